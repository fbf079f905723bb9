"""Journey: offline. Without the server the page goes on with its last good model, says so, and recovers."""

from __future__ import annotations

import pytest

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.steps import measure_a_little, open_home, send, sent_packets, shown_packet, turn_telemetry_on
from e2e.wire import Wire

RECONNECT_SECONDS = 90.0  # the page's own waiting between attempts grows
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


def test_the_page_works_on_without_its_server_and_comes_back(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    measure_a_little(page)
    shown = shown_packet(page)
    version = text(page, "#modelVersion")

    wire.cut()
    wait_text(page, "#liveState", "Not connected", timeout=RECONNECT_SECONDS)
    measure_a_little(page)  # kernels, model and Python are here already
    assert text(page, "#modelVersion") == version
    assert "Not sent" in send(page)
    assert sent_packets(wire) == []

    wire.mend()
    wait_text(page, "#liveState", "Connected", timeout=RECONNECT_SECONDS)
    assert "HTTP 202" in send(page)
    (packet,) = sent_packets(wire)
    assert packet["nonce"] == shown["nonce"], "a retry is the same packet, not a second draw of noise"


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
