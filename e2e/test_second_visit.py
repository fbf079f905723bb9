"""Journey: the second visit without a network. What was used once boots again, model and Python included."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.steps import measure_a_little, open_home
from e2e.wire import Wire

CONTROLLED = "navigator.serviceWorker?.controller != null"


@pytest.mark.deep
def test_the_second_visit_boots_without_the_network(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", "Keep off")  # nothing is stored for someone who only looks
    wait_for(page, CONTROLLED)
    # The first load came before the service worker took over: a second one is kept whole.
    open_home(page, wire)
    wait_for(page, CONTROLLED)
    wait_text(page, "#liveState", "Connected")
    measure_a_little(page)
    version = text(page, "#modelVersion")

    wire.cut()
    page.open(wire.url)
    wait_for(page, "/^[1-9]/.test(find('#modelVersion')?.innerText ?? '')")
    assert text(page, "#modelVersion") == version
    wait_text(page, "#liveState", "Not connected", timeout=90)
    measure_a_little(page)
    assert text(page, "#modelVersion") == version
