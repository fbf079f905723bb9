"""Journey: offline. Without the server the page goes on with its last good model, says so, and recovers."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.steps import RECONNECT_SECONDS, measure_a_little, open_home
from e2e.wire import Wire

# The page's files come, and nothing that only the server knows.
NO_ANSWERS = """
const ask = fetch;
window.fetch = (url, ...more) =>
  String(url).includes("api/") ? Promise.reject(new TypeError("Failed to fetch")) : ask(url, ...more);
window.WebSocket = class {
  constructor() { setTimeout(() => this.onclose(), 50); }
  close() {}
};
"""


@pytest.mark.deep
def test_a_lost_server_is_said_when_the_page_opens(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.evaluate("window.neverReloaded = true")
    wire.cut()
    wait_text(page, "#liveState", "Not connected", timeout=RECONNECT_SECONDS)
    page.click("button", "Benchmark this browser")
    wait_for(page, "/could not|cannot|Failed|failed|NetworkError|Load/.test(find('#progressText').innerText)")
    wait_for(page, "!find('#run').disabled")
    wire.mend()
    measure_a_little(page)
    assert page.evaluate("return window.neverReloaded") is True


@pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))
def test_a_first_visit_without_answers_says_that_nothing_is_known_and_takes_no_yes(
    browser: PlaywrightBrowser, page: Page, wire: Wire
) -> None:
    browser.before_scripts(NO_ANSWERS)
    page.open(wire.url)
    wait_text(page, "#notices", "no earlier visit kept anything here")
    wait_text(page, "#resultsEmpty", "Nothing is known yet: the server cannot be reached")
    wait_text(page, "#consentState", "You have not chosen yet")
    assert page.evaluate("return document.querySelector('#accept').disabled") is True
    assert wire.seen("/api/telemetry") == []
