"""Journey: learn. A consenting browser's packet arrives, the model is retrained, the page gets it by push."""

from __future__ import annotations

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.server import Server
from e2e.steps import (
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
    crowd(server, CROWD)

    answer = send(page)
    assert "HTTP 202" in answer, answer
    assert sent_packets(wire) == [shown], "what was sent is what was shown, to the last digit"
    wait_text(page, "#packetHint", "has been sent")

    page.evaluate("window.neverReloaded = true")
    wait_text(page, "#modelVersion", f"{before} → {before + 1}", timeout=TRAIN_SECONDS)
    assert page.evaluate("return window.neverReloaded") is True
    assert f"model {before} → {before + 1}" in text(page, "#liveLog")
    assert wait_for(page, "/\\d+ of \\d+ choices changed/.test(find('#liveLog').innerText)")
