"""Journey: silence in the third engine, as far as its driver reaches: walks as in Chromium and Firefox, seen
on the wire alone (nothing can be recorded in the page before its own scripts run)."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page, wait_text
from e2e.server import Server
from e2e.steps import open_home
from e2e.test_silence import KEPT, SEED, YES, accepted_by, assert_silent, walk
from e2e.wire import Wire


@pytest.mark.only_in(("webkit", "isolated"))
def test_nobody_who_has_not_agreed_sends_anything(page: Page, wire: Wire, server: Server) -> None:
    before = accepted_by(server)
    wire.messages.clear()
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    trails = walk(page, SEED + 7_000, [*YES, "#refuse", "#withdraw", "#run", "#thorough", "#send"])
    assert_silent(page, wire, server, trails, before)
    assert wire.messages, "the tap hears WebSockets, else its silence proves nothing"
    assert page.evaluate(KEPT) == {}, "who only looks leaves nothing behind"
    page.click("button", "Keep off")
    wait_text(page, "#consentState", "Telemetry is off.")
    trails = walk(page, SEED + 8_000, [*YES, "#run", "#thorough"])
    assert_silent(page, wire, server, trails, before)
    assert page.evaluate(KEPT)["consent"]["choice"] == "off"
