"""Journey: withdrawal when it is late, and when it is early: aggregated already, and still in flight."""

from __future__ import annotations

import time

import httpx
import pytest

from e2e.drivers.base import Browser, Page, text, wait_for, wait_text, wait_until
from e2e.server import Server
from e2e.steps import (
    measure_a_little,
    open_home,
    send,
    sent_packets,
    shown_packet,
    turn_telemetry_on,
    wait_refused,
)
from e2e.wire import Wire

pytestmark = pytest.mark.deep
SETTINGS = {"hold_seconds": 0}  # aggregated at the next turn: too late for withdrawal
WITHDRAW = "Withdraw and delete what can be deleted"
SILENT_SECONDS = 1.0


def ready(page: Page, wire: Wire) -> None:
    """Telemetry on, something measured, a packet shown."""
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    measure_a_little(page)
    shown_packet(page)


def test_what_is_aggregated_is_counted_as_no_longer_removable(page: Page, wire: Wire, server: Server) -> None:
    ready(page, wire)
    assert "HTTP 202" in send(page)

    def pending() -> int:
        return int(httpx.get(f"{server.url}api/metrics").json()["store"]["pending"])

    wait_until(lambda: pending() == 0, "the packet is aggregated")
    page.click("button", WITHDRAW)
    wait_text(
        page, "#withdrawAnswer", "0 removed from the server; 1 had already been aggregated and could no"
    )
    assert text(page, "#serverAnswer") == "", "that it stored it is no longer said"
    assert len(wire.seen("/api/telemetry", "DELETE")) == 1
    page.click("button", WITHDRAW)
    wait_text(
        page, "#withdrawAnswer", "0 removed from the server; 1 had already been aggregated and could no"
    )
    page.reload()
    wait_for(page, "/Too late to withdraw/.test(find('#history').textContent)")
    assert len(wire.seen("/api/telemetry", "DELETE")) == 1, "asked once, and not again"


def test_withdrawal_in_one_tab_stops_what_another_has_in_flight(
    browser: Browser, page: Page, wire: Wire
) -> None:
    ready(page, wire)
    other = browser.new_page()
    open_home(other, wire)
    wait_text(other, "#consentState", "Telemetry is on")
    wire.cut()
    page.click("button", "Send")
    wait_text(page, "#serverAnswer", "Sending")
    wait_for(
        page, HISTORY
    )  # paid for, and on its way: the server may have it, for all that this browser knows
    start = time.monotonic()
    other.click("button", WITHDRAW)
    wait_text(page, "#serverAnswer", "telemetry was switched off")
    assert time.monotonic() - start < SILENT_SECONDS + 1, "silent within a second, and the poll of this test"
    wire.mend()
    # The server could not be asked while the network was away; asked again, it has nothing.
    wait_for(
        other, "/could not be asked|nothing to remove/.test(find('#withdrawAnswer').innerText)", timeout=150
    )
    other.click("button", WITHDRAW)
    wait_text(other, "#withdrawAnswer", "There was nothing to remove", timeout=150)
    assert sent_packets(wire) == [], "the packet never went"
    for tab in (page, other):
        tab.reload()
        wait_refused(tab)
    assert sent_packets(wire) == []
    assert text(page, "#consentState")


# Whether the shared record says that a packet is on its way.
HISTORY = """await (async () => {
  const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
  const opened = await answer(indexedDB.open("fleetune"));
  const { history } = await answer(opened.transaction("kv").objectStore("kv").get("reports"));
  return history.length === 1 && history[0].state === "sending";
})()"""
