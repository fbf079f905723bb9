"""Journey: "was this choice good?" One tap, only under consent; randomised; what was sent is shown."""

from __future__ import annotations

import json

import httpx
import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, assert_only_public, open_home, turn_telemetry_on
from e2e.wire import Wire

pytestmark = pytest.mark.deep
CARD_HIDDEN = "find('#satisfactionCard').hidden"
# Force the tap, however much the card is hidden.
FORCE = "document.querySelector('#satisfied').click();"


def counted(server: Server) -> dict[str, object]:
    """What the server's totals say about answers."""
    satisfaction: dict[str, object] = httpx.get(f"{server.url}api/metrics").json()["satisfaction"]
    return satisfaction


def test_an_answer_needs_consent_and_is_shown_as_it_was_sent(page: Page, wire: Wire, server: Server) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    assert wait_for(page, CARD_HIDDEN)
    page.evaluate(FORCE)
    wait_for(page, "/Telemetry is off/.test(find('#satisfactionAnswer').textContent)", timeout=BOOT_SECONDS)
    assert_only_public(wire)

    turn_telemetry_on(page)
    wait_for(page, f"!{CARD_HIDDEN}")
    said = text(page, "#satisfactionText")
    for part in ("73 of 100", "opposite in 27", "ε = 1", "cannot be withdrawn"):
        assert part in said
    assert violations(page, "#satisfactionCard") == []
    page.click("button", "Yes")
    wait_text(page, "#satisfactionAnswer", "exactly what was sent")
    (sent,) = wire.seen("/api/feedback", "POST")
    assert text(page, "#satisfactionSent") == sent.body.decode()
    packet = json.loads(sent.body)
    assert packet.keys() == {"v", "kind", "good", "privacy", "timestamp", "nonce"}
    assert packet["timestamp"] % 86_400 == 0
    assert "cookie" not in sent.headers
    assert "referer" not in sent.headers
    assert counted(server)["answers"] == 1
    assert violations(page, "#satisfactionCard") == []

    page.evaluate("document.querySelector('#satisfactionCard details').open = true")
    assert packet["nonce"] in text(page, "#answers")
    assert text(page, "#answersBudget") == "Budget for answers: ε 1 of 10 spent in the last 30 days."
    page.click("button", "No")
    wait_text(page, "#satisfactionAnswer", "answered today already")
    page.reload()
    wait_text(page, "#liveState", "Connected")
    page.click("button", "No")
    wait_for(
        page, "/answered today already/.test(find('#satisfactionAnswer').innerText)", timeout=BOOT_SECONDS
    )
    assert wire.seen("/api/feedback", "POST") == [sent], "one answer a day, in a new page too"

    page.click("button", "Keep off")
    wait_for(page, CARD_HIDDEN)
    page.evaluate(FORCE)
    wait_for(page, "/Telemetry is off/.test(find('#satisfactionAnswer').textContent)")
    assert wire.seen("/api/feedback", "POST") == [sent]
    assert counted(server)["answers"] == 1
