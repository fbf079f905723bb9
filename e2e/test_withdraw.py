"""Journey: withdraw. What was sent can be deleted again, and telemetry is off from that click on."""

from __future__ import annotations

import json

import pytest

from e2e.drivers.base import Page, wait_for, wait_text
from e2e.steps import measure_a_little, open_home, send, sent_packets, turn_telemetry_on, wait_refused
from e2e.wire import Wire


@pytest.mark.deep
def test_a_packet_can_be_withdrawn(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    turn_telemetry_on(page)
    measure_a_little(page)
    assert "HTTP 202" in send(page)
    (packet,) = sent_packets(wire)
    wait_for(page, "find('#history').children.length === 1")

    page.click("button", "Withdraw and delete what can be deleted")
    wait_text(page, "#withdrawAnswer", "1 removed from the server")
    (deletion,) = wire.seen("/api/telemetry", "DELETE")
    assert json.loads(deletion.body) == {"nonces": [packet["nonce"]]}
    assert page.evaluate("return document.querySelector('#enableTelemetry').checked") is False
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    page.reload()
    wait_refused(page)


@pytest.mark.deep
def test_withdrawing_nothing_sends_nothing(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", "Withdraw and delete what can be deleted")
    wait_text(page, "#withdrawAnswer", "There was nothing to remove", timeout=150)
    assert wire.seen("/api/telemetry") == []
