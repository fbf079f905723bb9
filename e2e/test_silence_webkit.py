"""Journey: silence in the third engine, as far as its driver reaches: walks as in Chromium and Firefox, seen
on the wire alone (nothing can be recorded in the page before its own scripts run)."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page
from e2e.server import Server
from e2e.test_silence import SEED, undecided_then_refused
from e2e.wire import Wire


@pytest.mark.only_in(("webkit", "isolated"))
def test_nobody_who_has_not_agreed_sends_anything(page: Page, wire: Wire, server: Server) -> None:
    wire.messages.clear()
    undecided_then_refused(page, wire, server, (SEED + 7_000, SEED + 8_000))
