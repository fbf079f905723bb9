"""Journey: silence. Whatever a visitor does who has not agreed, no telemetry leaves, in two engines.

Seeded random walks over everything that can be pressed, forced where it is disabled or hidden; recorded on
the wire (requests and WebSocket messages, workers included), in the page (`recorder.js`) and in the server's
counts. 15 walks in each of seven states are 105 an engine; `FLEETUNE_WALKS` sets another number than 15. A
failure names its seeds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.embedder import Embedder, policy
from e2e.server import Server
from e2e.steps import (
    PUBLIC,
    QUERIES,
    STATIC,
    assert_only_public,
    measure_a_little,
    open_home,
    send,
    turn_telemetry_on,
    wait_refused,
)
from e2e.wire import Wire
from fleetune_server.http.pages.policy import REVISION

WALKS = int(os.environ.get("FLEETUNE_WALKS", "15"))
STEPS = 12
SEED = 20_261_123
HERE = Path(__file__).parent
WALK = (HERE / "walk.js").read_text()
RECORDER = (HERE / "recorder.js").read_text()
YES = ["#accept", "#enableTelemetry", "#strict", "dialog *"]
WIDGET_YES = ["details .actions.equal button:first-child", *YES]
EMBED = """
import { sharedTuner } from "SERVERwidget.js";
window.tuner = await sharedTuner(null, false);
"""
FILES = {
    "/": '<!doctype html><html lang="en"><meta charset="utf-8"><title>Embedder</title><h1>Embedder</h1>'
    '<fleetune-widget kernels="dot"></fleetune-widget><script type="module" src="/host.js"></script></html>',
    "/host.js": EMBED,
}
KEPT = """
const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
const names = (await indexedDB.databases()).map(({ name }) => name);
const kept = {};
for (const name of names) {
  const store = (await answer(indexedDB.open(name))).transaction("kv").objectStore("kv");
  for (const key of await answer(store.getAllKeys())) kept[key] = await answer(store.get(key));
}
return kept;
"""

HOME = "/^[1-9]/.test(find('#modelVersion')?.innerText ?? '')"
EMBEDDED = "window.tuner && find('tbody tr')"

pytestmark = pytest.mark.always_in(("chromium", "isolated"), ("firefox", "isolated"))


@pytest.fixture
def recorded(browser: PlaywrightBrowser, page: Page, wire: Wire) -> Page:
    """A tab with the recorder."""
    browser.before_scripts(RECORDER)
    wire.messages.clear()
    return page


def walk(page: Page, first: int, yes: list[str], again: int = 5, ready: str = HOME) -> list[list[str]]:
    """WALKS random walks from seed `first` on; the page is loaded anew after every `again` of them."""
    trails = []
    for i in range(WALKS):
        if again and i % again == again - 1:
            page.reload()
            wait_for(page, ready)
        trails.append([f"seed {first + i}", *page.evaluate(WALK, first + i, STEPS, yes)])
    return trails


def accepted_by(server: Server) -> int:
    """Packets that the server has taken so far."""
    return int(httpx.get(f"{server.url}api/metrics").json()["packets"].get("accepted", 0))


def assert_silent(page: Page, wire: Wire, server: Server, trails: list[list[str]], accepted: int) -> None:
    """No telemetry since the wire was cleared, however it might leave; the server has `accepted` packets."""
    story = json.dumps(trails, ensure_ascii=False)
    own = page.evaluate(
        "return (await fetch(a[0] + 'api/boot.json')).ok", wire.url
    )  # a fence: after all others
    assert own
    for request in wire.requests:
        assert "telemetry" not in request.route, story
        assert "feedback" not in request.route, story
        assert request.method in ("GET", "HEAD", "OPTIONS"), (request.method, request.path, story)
        assert not request.body, (request.path, story)
        assert "cookie" not in request.headers, request.path
        public = request.route in PUBLIC or request.route.startswith(STATIC)
        assert public, (request.path, story)
        query = request.path.partition("?")[2]
        assert {part.partition("=")[0] for part in query.split("&") if part} <= QUERIES, request.path
    for message in wire.messages:
        assert json.loads(message).keys() == {"type", "version", "draw"}, (message, story)
    for kind, *what in page.evaluate("return globalThis.__ways ?? []"):
        assert kind in ("fetch", "WebSocket", "socket", "indexedDB"), (kind, what, story)
        if kind == "fetch":
            assert (what[0], what[2]) == ("GET", ""), (what, story)
        elif kind == "indexedDB":
            assert what[0] == "consent", (what, story)
    assert accepted_by(server) == accepted, story
    assert httpx.get(f"{server.url}api/metrics").json()["satisfaction"]["answers"] == 0, story


def undecided_then_refused(
    page: Page, wire: Wire, server: Server, seeds: tuple[int, int], beside: Sequence[str] = ()
) -> None:
    """Walks without an answer, which leave nothing, and after a no, which leave that."""
    before = accepted_by(server)
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    trails = walk(page, seeds[0], [*YES, "#refuse", "#withdraw", "#run", "#thorough", "#send", *beside])
    assert_silent(page, wire, server, trails, before)
    assert wire.messages, "the tap hears WebSockets, else its silence proves nothing"
    assert page.evaluate(KEPT) == {}, "who only looks leaves nothing behind"

    page.click("button", "Keep off")
    wait_refused(page)
    trails = walk(page, seeds[1], [*YES, "#run", "#thorough"])
    assert_silent(page, wire, server, trails, before)
    assert page.evaluate(KEPT)["consent"]["choice"] == "off"


def test_nobody_who_has_not_agreed_sends_anything(recorded: Page, wire: Wire, server: Server) -> None:
    """Undecided and refused, before and after Python runs; then agreed, sent (the control), withdrawn."""
    page, before = recorded, accepted_by(server)
    undecided_then_refused(page, wire, server, (SEED, SEED + 1_000), ["#satisfactionCard *"])

    page.reload()
    wait_text(page, "#liveState", "Connected")  # the last thing that starts: buttons answer
    measure_a_little(page)  # Python runs: now the disabled buttons reach it
    trails = walk(page, SEED + 2_000, YES, again=0)
    assert_silent(page, wire, server, trails, before)
    kept = page.evaluate(KEPT)
    assert not {"reports", "ledger", "feedbackLedger", "answers"} & kept.keys(), kept.keys()

    page.reload()
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    measure_a_little(page)
    assert "HTTP 202" in send(page)
    assert len(wire.seen("/api/telemetry", "POST")) == 1, "the control: what is sent is seen"
    page.click("button", "Withdraw and delete what can be deleted")
    wait_text(page, "#withdrawAnswer", "1 removed")
    wire.requests.clear()
    page.evaluate("globalThis.__ways.length = 0")
    trails = walk(page, SEED + 3_000, YES, again=0)
    assert_silent(page, wire, server, trails, before + 1)


@pytest.mark.always_in(("chromium-gpc", "isolated"), ("firefox-gpc", "isolated"))
def test_global_privacy_control_silences_what_was_agreed(recorded: Page, wire: Wire, server: Server) -> None:
    page, before = recorded, accepted_by(server)
    open_home(page, wire)
    wait_text(page, "#consentState", "Global Privacy Control")
    requests = [r for r in wire.requests if r.route != "/ws"]  # to which extensions cannot add headers
    assert all(r.headers.get("sec-gpc") == "1" for r in requests), "the header is sent too"
    assert page.evaluate("return document.querySelector('#enableTelemetry').disabled") is True
    measure_a_little(page)
    assert page.evaluate("return document.querySelector('#send').disabled") is True
    page.evaluate("document.querySelector('#satisfied').click()")  # an answer is refused too
    wait_for(page, "/Global Privacy Control/.test(find('#satisfactionAnswer').textContent)")
    assert_only_public(wire)
    # An agreement of the time before the signal changes nothing.
    page.evaluate(
        """
      const opening = indexedDB.open("fleetune");
      const opened = await new Promise((done) => (opening.onsuccess = () => done(opening.result)));
      const record = { choice: "on", revision: a[0], epsilon: 2, perDay: 1, at: 0 };
      const writing = opened.transaction("kv", "readwrite");
      writing.objectStore("kv").put(record, "consent");
      await new Promise((done) => (writing.oncomplete = done));""",
        REVISION,
    )
    page.evaluate("globalThis.__ways.length = 0")
    trails = walk(page, SEED + 4_000, [], again=0)
    assert_silent(page, wire, server, trails, before)
    assert "Global Privacy Control" in text(page, "#consentState")


def test_an_embedding_page_is_as_silent(recorded: Page, wire: Wire, server: Server) -> None:
    page, before = recorded, accepted_by(server)
    files = {path: body.replace("SERVER", wire.url) for path, body in FILES.items()}
    with Embedder(files, policy(wire.url)) as site:
        page.open(f"{site.origin}/")
        wait_for(page, EMBEDDED)
        trails = walk(page, SEED + 5_000, [*WIDGET_YES, ".primary"], ready=EMBEDDED)
        assert_silent(page, wire, server, trails, before)
        wait_for(page, EMBEDDED)
        refused = page.evaluate(
            "return tuner.send().then(() => 'sent', ({ message }) => message)", timeout=150
        )
        assert "Telemetry is off" in refused
        trails = walk(page, SEED + 6_000, WIDGET_YES, again=0)
        assert_silent(page, wire, server, trails, before)
