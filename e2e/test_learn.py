"""Journey: learn. A consenting browser's packet arrives, once the network does; the model is retrained and pushed."""

from __future__ import annotations

from e2e.drivers.base import Page, text, wait_text
from e2e.server import Server
from e2e.steps import (
    RECONNECT_SECONDS,
    TRAIN_SECONDS,
    crowd,
    measure_a_little,
    open_home,
    send,
    sent_packets,
    shown_packet,
    turn_telemetry_on,
)
from e2e.wire import Wire

# How many of this browser's choices differ between the first model and the stable one, of how many.
CHANGED = """
const at = (name) => new URL("static/" + name, location.href).href;
const { crowdDecisions } = await import(at("shared/api.js"));
const { detectEnvironment } = await import(at("shared/environment.js"));
const environment = detectEnvironment();
const choices = async (query) =>
  Object.values((await crowdDecisions("", environment, query)).kernels)
    .flatMap((patterns) => Object.values(patterns).flat())
    .map(({ choice }) => choice);
const [old, now] = [await choices("?model=first"), await choices()];
return [now.filter((choice, i) => choice !== old[i]).length, now.length];
"""
CROWD = 300  # packets of other clients; the page's own is the one that reaches the threshold
SETTINGS = {"retrain_packets": CROWD + 1, "hold_seconds": 3600}


def test_a_packet_is_shown_sent_answered_and_learned_from(page: Page, wire: Wire, server: Server) -> None:
    open_home(page, wire)
    before = int(text(page, "#modelVersion"))
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    measure_a_little(page)
    shown = shown_packet(page)
    assert sent_packets(wire) == []

    wire.cut()
    wait_text(page, "#liveState", "Not connected", timeout=RECONNECT_SECONDS)
    measure_a_little(page)  # kernels, model and Python are here already
    assert int(text(page, "#modelVersion")) == before
    assert "Not sent" in send(page)
    assert sent_packets(wire) == []
    wire.mend()
    wait_text(page, "#liveState", "Connected", timeout=RECONNECT_SECONDS)
    crowd(server, CROWD)

    answer = send(page)
    assert "HTTP 202" in answer, answer
    assert sent_packets(wire) == [shown], "what was shown, to the last digit: no second draw of noise"
    wait_text(page, "#packetHint", "Today's report is spent")

    page.evaluate("window.neverReloaded = true")
    wait_text(page, "#modelVersion", f"{before} → {before + 1}", timeout=TRAIN_SECONDS)
    assert page.evaluate("return window.neverReloaded") is True
    changed, total = page.evaluate(CHANGED)
    said = text(page, "#liveLog")
    if changed:
        assert f"model {before} → {before + 1}" in said
        assert f"{changed} of {total} choices changed" in said
    else:
        assert said == "", "a version that changes nothing here is no news"
