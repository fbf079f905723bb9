"""Journey: truth. What the page says about telemetry, against the store and the wire: before Python runs, after a
reload, in a second tab, offline, and with a store that is broken."""

from __future__ import annotations

import json
import statistics

import pytest

from e2e.drivers.base import Browser, Page, text, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.steps import (
    BOOT_SECONDS,
    measure_a_little,
    open_home,
    packets_of,
    send,
    sent_packets,
    shown_packet,
    turn_telemetry_on,
    wait_refused,
)
from e2e.wire import Wire

WITHDRAW = "Withdraw and delete what can be deleted"
AGREE_MS = 200
STORED = """
const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
const opened = await answer(indexedDB.open("fleetune"));
const found = await answer(opened.transaction("kv").objectStore("kv").get(a[0]));
opened.close();
return found;
"""
WRITE = """
const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
const opened = await answer(indexedDB.open("fleetune"));
await answer(opened.transaction("kv", "readwrite").objectStore("kv").put(a[1], a[0]));
opened.close();
"""
HISTORY = "return [...document.querySelectorAll('#history pre')].map((node) => node.textContent)"
READ = "!/Reading what/.test(find('#budgetText').innerText)"


def python_asked(wire: Wire) -> bool:
    """Whether the page has fetched Python since the wire was cleared."""
    return any(request.route.startswith("/pyodide/") for request in wire.requests)


def test_what_was_sent_is_told_before_python_runs_in_every_tab_offline_and_once_withdrawn(
    browser: Browser, page: Page, wire: Wire
) -> None:
    open_home(page, wire)
    turn_telemetry_on(page)
    measure_a_little(page)
    shown_packet(page)
    page.reload()
    # Without Python: the measurements are kept, so no new benchmark is needed.
    wait_text(page, "#packetHint", "Press the button to prepare the packet")
    page.click("button", "Show the packet")
    wait_for(page, "!find('#packetPreview').hidden", timeout=BOOT_SECONDS)
    assert "HTTP 202" in send(page)
    (post,) = wire.seen("/api/telemetry", "POST")

    page.reload()
    other = browser.new_page()
    wire.requests.clear()
    open_home(other, wire)
    wait_text(page, "#consentState", "Telemetry is on")
    for tab in (page, other):
        wait_text(tab, "#budgetText", "ε 2 of 60 spent in the last 30 days; today 1 of 1")
        assert [one.encode() for one in tab.evaluate(HISTORY)] == [post.body]
        assert "Today's report is spent" in text(tab, "#packetHint")
        assert tab.evaluate("return document.querySelector('#send').disabled") is True
    assert not python_asked(wire)

    wire.cut()
    other.reload()
    wait_text(other, "#budgetText", "ε 2 of 60")
    assert [one.encode() for one in other.evaluate(HISTORY)] == [post.body]
    wait_text(other, "#notices", "The server cannot be reached. What an earlier visit kept is shown")
    assert text(other, "#crowdSpeedup").endswith("×"), "and it is shown"
    wire.mend()

    page.evaluate("const button = document.querySelector('#withdraw'); button.click(); button.click();")
    once = wait_text(page, "#withdrawAnswer", "1 removed from the server; 0", timeout=BOOT_SECONDS)
    page.click("button", WITHDRAW)
    wait_for(page, "find('#withdrawAnswer').innerText.trim() === a[0]", once)
    (deletion,) = wire.seen("/api/telemetry", "DELETE")
    (packet,) = packets_of(post)
    assert json.loads(deletion.body) == {"nonces": [packet["nonce"]]}
    assert page.evaluate("return document.querySelector('#enableTelemetry').checked") is False
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    for tab in (page, other):
        wait_refused(tab)
        wait_for(tab, "/removed from the server/.test(find('#history').textContent)")
    page.reload()
    wait_refused(page)
    page.click("button", WITHDRAW)
    wait_text(page, "#withdrawAnswer", "1 removed from the server; 0", timeout=BOOT_SECONDS)
    assert len(wire.seen("/api/telemetry", "DELETE")) == 1, "asked once, whatever is pressed"


@pytest.mark.deep
def test_a_kept_packet_is_shown_after_a_reload_and_goes_as_it_was_shown(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    measure_a_little(page)
    shown = shown_packet(page)
    wire.cut()
    assert "Not sent" in send(page)
    wire.mend()
    wire.requests.clear()
    page.reload()
    wait_text(page, "#packetHint", "This packet is paid for")
    assert shown_packet(page) == shown
    stored = page.evaluate(STORED, "reports")
    assert text(page, "#packetPreview") == stored["history"][-1]["text"]
    assert not python_asked(wire)
    assert "HTTP 202" in send(page)
    (post,) = wire.seen("/api/telemetry", "POST")
    assert json.loads(post.body) == shown
    assert sent_packets(wire) == [shown]


CHANGED = """
window.seen = [];
new MutationObserver(() => window.seen.push(Date.now())).observe(
  document.querySelector("#consentState"), { childList: true, characterData: true, subtree: true });
"""
PRESS = "window.pressed = Date.now(); document.querySelector(a[0]).click(); return window.pressed;"


def test_tabs_agree_at_once(browser: Browser, page: Page, wire: Wire) -> None:
    open_home(page, wire)
    other = browser.new_page()
    open_home(other, wire)
    wait_for(other, "!find('#accept').disabled")
    took = []
    for turn in range(3):
        for button, words in (("#accept", "Telemetry is on"), ("#refuse", "Telemetry is off.")):
            other.evaluate(CHANGED)
            pressed = page.evaluate(PRESS, button)
            wait_text(other, "#consentState", words)
            took.append(other.evaluate("return window.seen[0]") - pressed)
            assert other.evaluate("return document.querySelector('#enableTelemetry').checked") is (
                button == "#accept"
            ), turn
    assert statistics.median(took) <= AGREE_MS, took


@pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))
def test_until_the_store_is_read_the_page_says_so(browser: PlaywrightBrowser, page: Page, wire: Wire) -> None:
    """A database that never answers."""
    browser.before_scripts("indexedDB.databases = () => new Promise(() => {});")
    page.open(wire.url)
    wait_text(page, "#consentText", "If you agree")
    for selector in ("#consentState", "#packetHint", "#budgetText", "#historyEmpty"):
        assert page.evaluate("return document.querySelector(a[0]).textContent", selector).startswith(
            "Reading"
        )
    assert page.evaluate("return document.querySelector('#accept').disabled") is True


@pytest.mark.deep
def test_a_broken_store_breaks_no_part_of_the_page(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", "Keep off")
    wait_refused(page)
    for broken in ("text", {"history": 5, "results": 7, "spent": "x", "cells": 3}):
        keys = (
            "ledger",
            "reports",
            "answers",
            "feedbackLedger",
            "measurements",
            "results",
            "personal",
            "consent",
        )
        for key in keys:
            page.evaluate(WRITE, key, broken)
        open_home(page, wire)
        wait_text(page, "#consentState", "The stored choice cannot be read")
        wait_text(page, "#budgetText", "cannot be read")
        wait_text(page, "#notices", "could not be read")
        wait_for(page, "find('#resultsTable tbody tr')")
    measure_a_little(page)
    turn_telemetry_on(page)
    wait_text(page, "#packetHint", "cannot be read")
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    assert wire.seen("/api/telemetry") == []
