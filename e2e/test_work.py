"""Journey: work. A report that must bring proof of work is sent again with an answer, unchanged, and counts."""

from __future__ import annotations

import re

import pytest

from e2e.drivers.base import Page
from e2e.steps import measure_a_little, open_home, send, sent_packets, turn_telemetry_on
from e2e.wire import Wire

SETTINGS = {"work_bits": 12}


@pytest.mark.deep
def test_a_report_brings_the_work_that_it_is_asked_for(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    turn_telemetry_on(page)
    measure_a_little(page)
    assert "HTTP 202" in send(page)
    first, second = wire.seen("/api/telemetry", "POST")
    assert first.path == "/api/telemetry"
    assert re.fullmatch(r"/api/telemetry\?work=\d+", second.path)
    assert first.body == second.body
    assert len({packet["nonce"] for packet in sent_packets(wire)}) == 1
