"""Journey: consent. Telemetry is off until turned on; until then the wire carries only public files."""

from __future__ import annotations

import json

import pytest

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.steps import (
    assert_no_third_party,
    assert_only_public,
    measure_a_little,
    open_home,
    shown_packet,
    turn_telemetry_on,
    wait_refused,
)
from e2e.wire import Wire


def names(value: object) -> object:
    """The names of its fields, at every depth."""
    return {key: names(one) for key, one in value.items()} if isinstance(value, dict) else None


@pytest.mark.deep
def test_nothing_leaves_before_consent_nor_by_it_alone(page: Page, wire: Wire) -> None:
    """Without consent a sample is shown, and what is measured cannot be sent; with it a packet with the sample's
    fields is shown and waits for a press."""
    open_home(page, wire)
    assert page.evaluate("return document.querySelector('#enableTelemetry').checked") is False
    assert "You have not chosen yet" in text(page, "#consentState")
    wait_for(page, "!find('#sample').hidden")
    sample = json.loads(text(page, "#samplePacket"))
    assert sample["privacy"]["epsilon"] == 2
    page.check("#strict")
    wait_text(page, "#consentText", "(ε = 1)")
    assert json.loads(text(page, "#samplePacket"))["privacy"]["epsilon"] == 1
    page.check("#strict", False)
    measure_a_little(page)
    wait_text(page, "#packetHint", "Telemetry is off")
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    assert_only_public(wire)
    assert wire.seen("/ws"), "the tap must see the WebSocket, else its silence proves nothing"
    turn_telemetry_on(page)
    packet = shown_packet(page)
    assert len(packet["actualSpeedups"]) == 1
    assert packet["privacy"]["epsilon"] == 2.0
    sample["actualSpeedups"] = packet["actualSpeedups"]  # its field is the variant's name
    assert names(sample) == names(packet)
    assert page.evaluate("return document.querySelector('#sample').hidden") is True
    assert_only_public(wire)
    assert_no_third_party(page, wire)


# Databases, caches, other storage, service workers and cookies of the page's origin, by name.
STORED = """
const databases = (await indexedDB.databases()).map(({ name }) => `database ${name}`);
const areas = [localStorage, sessionStorage].flatMap((area) => Object.keys(area));
const kept = [...areas, ...(await caches.keys()), document.cookie];
const workers = (await navigator.serviceWorker.getRegistrations()).map(() => "service worker");
return [...databases, ...kept, ...workers].filter(Boolean);
"""

# What is drawn anew before the choice is written must not take the press back.
PRESS_AND_REDRAW = """
const box = document.querySelector("#enableTelemetry");
box.click();
document.querySelector("#language").dispatchEvent(new Event("change"));
return box.checked;
"""


def test_who_only_looks_leaves_no_trace_on_either_side(page: Page, wire: Wire) -> None:
    """No environment is sent and nothing is stored before a choice; then the choice, and what it asks for."""
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    assert page.evaluate(STORED) == []
    assert_only_public(wire)
    (asked,) = [request.path for request in wire.requests if "decisions" in request.path]
    assert asked.rpartition("/")[2].split("-")[0] in ("chromium", "firefox", "webkit")
    page.click("button", "Keep off")
    wait_refused(page)
    assert "database fleetune" in page.evaluate(STORED)
    values = page.evaluate("""
      const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
      const opened = await answer(indexedDB.open("fleetune"));
      return answer(opened.transaction("kv").objectStore("kv").getAllKeys());""")
    assert values == ["consent"]


def test_the_choice_survives_a_reload_and_can_be_taken_back(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_for(page, "!find('#enableTelemetry').disabled")
    assert page.evaluate(PRESS_AND_REDRAW) is True
    wait_text(page, "#consentState", "Telemetry is on")
    page.reload()
    wait_text(page, "#consentState", "Telemetry is on")
    page.click("button", "Keep off")
    wait_refused(page)
    page.reload()
    wait_refused(page)
    assert page.evaluate("return document.querySelector('#enableTelemetry').checked") is False
    assert_only_public(wire)


@pytest.mark.deep
def test_a_changed_policy_asks_again_and_is_silent_until_answered(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    turn_telemetry_on(page)
    revision = page.evaluate(REVISE, -1)
    page.reload()
    wait_text(page, "#consentState", "The privacy policy has changed")
    assert page.evaluate("return document.querySelector('#enableTelemetry').checked") is False
    measure_a_little(page)
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    wait_text(page, "#packetHint", "Telemetry is off")
    assert_only_public(wire)
    turn_telemetry_on(page)
    assert page.evaluate(REVISE, 0) == revision, "the new yes is to the policy as it stands"
    shown_packet(page)


# The stored yes as if it had been given to another revision of the policy; which it was given to.
REVISE = """
const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
const store = (await answer(indexedDB.open("fleetune"))).transaction("kv", "readwrite").objectStore("kv");
const record = await answer(store.get("consent"));
await answer(store.put({ ...record, revision: record.revision + a[0] }, "consent"));
return record.revision;
"""


@pytest.mark.deep
def test_the_signal_in_requests_alone_is_heeded_too(page: Page, wire: Wire) -> None:
    """Some proxies add the header and leave the page's navigator as it is."""
    open_home(page, wire)
    turn_telemetry_on(page)
    wire.adds = b"Sec-GPC: 1"
    page.reload()
    wait_text(page, "#consentState", "Global Privacy Control")
    assert page.evaluate("return navigator.globalPrivacyControl !== true")
    assert page.evaluate("return document.querySelector('#enableTelemetry').disabled") is True
    assert_only_public(wire)


@pytest.mark.deep
def test_withdrawing_nothing_sends_nothing(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", "Withdraw and delete what can be deleted")
    wait_text(page, "#withdrawAnswer", "There was nothing to remove", timeout=150)
    assert wire.seen("/api/telemetry") == []
