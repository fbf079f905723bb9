"""Journey: one budget for five tabs of a profile, through reloads, a crash and a clock that jumps."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from e2e.drivers.base import Page, wait_for, wait_text, wait_until
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, open_home, sent_packets, turn_telemetry_on
from e2e.wire import Wire

TABS = 5
CAP = 60.0  # ε in 30 days
# The shipped worker behind a line that moves its clock by days; every tab's follows one channel.
START = """
const moved = `
  const now = Date.now.bind(Date);
  let days = 0;
  Date.now = () => now() + days * 86_400_000;
  new BroadcastChannel("clock").onmessage = ({ data }) => (days = data);
  import("${new URL("/static/workers/python_worker.js", location)}");`;
const address = URL.createObjectURL(new Blob([moved], { type: "text/javascript" }));
window.started = (async () => {
  const { connectWorker } = await import("/static/shared/rpc.js");
  window.ops = (await connectWorker(address)).ops;
  await window.ops.update({});
})();
"""
MEASURE = """
await window.ops.benchmark({ workloads: [{ kernel: "dot", size: 512, pattern: "random", copied: false }] });
"""
MOVE = 'const channel = new BroadcastChannel("clock"); channel.postMessage(a[0]); channel.close();'
SEND = """
const turn = (window.turn = (window.turn ?? 0) + 1); // an earlier attempt that answers late is not this one's
window.answer = undefined;
const done = (answer) => turn === window.turn && (window.answer = answer);
(async () => {
  const { reason } = await window.ops.preview(); // what a tab shows: a draft, or why there is none
  return window.ops.send().catch(({ message }) => ({ ok: false, why: reason?.code, message }));
})().then(done, ({ message }) => done({ message }));
"""
LEDGER = """
const answer = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
const opened = await answer(indexedDB.open("fleetune"));
return answer(opened.transaction("kv").objectStore("kv").get("ledger"));
"""

pytestmark = [pytest.mark.deep, pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))]


def start(tabs: list[Page], wire: Wire) -> None:
    """Open the page in each tab and start Python behind the movable clock."""
    for tab in tabs:
        tab.open(wire.url)
        tab.evaluate(START)
    for tab in tabs:
        tab.evaluate("await window.started", timeout=BOOT_SECONDS)


def send_in_all(tabs: list[Page], patience: float = 60) -> list[dict[str, Any]]:
    """Every tab tries to send at once; their answers."""
    for tab in tabs:
        tab.evaluate(SEND)
    return [wait_for(tab, "window.answer", timeout=patience) for tab in tabs]


def packets_on(wire: Wire) -> dict[str, dict[str, Any]]:
    """Distinct packets that crossed the wire, by nonce: a packet that is tried again is the same packet."""
    return {packet["nonce"]: packet for packet in sent_packets(wire)}


def test_five_tabs_never_send_more_than_one_packet_a_day(
    browser: PlaywrightBrowser, page: Page, wire: Wire, server: Server
) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    turn_telemetry_on(page)
    start([page], wire)
    page.evaluate(MEASURE, timeout=BOOT_SECONDS)
    tabs: list[Page] = [page, *(browser.new_page() for _ in range(TABS - 1))]
    start(tabs[1:], wire)

    # The network is lost while all five send; a tab dies, and with it whatever it was about to do.
    assert packets_on(wire) == {}
    wire.cut()
    for tab in tabs:
        tab.evaluate(SEND)
    paid = wait_until(lambda: page.evaluate(LEDGER), "something is spent")
    assert [spent for _, spent in paid["spent"]] == [2.0], "five tabs paid once"
    browser.crash(tabs.pop())
    wire.mend()
    tabs.append(browser.new_page())
    start(tabs[-1:], wire)

    send_in_all(tabs)
    send_in_all(tabs)
    (first,) = packets_on(wire).values()
    start(tabs[:1], wire)  # opening it anew is a reload
    answers = send_in_all(tabs)
    assert [(answer["ok"], answer["why"]) for answer in answers] == [(False, "budget")] * TABS, answers
    assert list(packets_on(wire)) == [first["nonce"]], "reloading gains nothing"

    # Clocks that jump: a packet may only go on a day later than any that the browser has ever seen.
    jumps = random.Random(6)
    latest, days = 0, [0]
    for _ in range(9):
        day = latest + jumps.randint(-40, 20)
        tabs[0].evaluate(MOVE, day)
        for tab in tabs:
            tab.evaluate("await window.ops.history()")  # a fence: messages before it have arrived
        send_in_all(tabs)
        if day > latest:
            latest = day
            days.append(day)
        assert len(packets_on(wire)) <= len(days), (day, days)
        ledger = tabs[0].evaluate(LEDGER)
        within = [epsilon for at, epsilon in ledger["spent"] if at > ledger["day"] - 30]
        assert sum(within) <= CAP
        assert len({at for at, _ in ledger["spent"]}) == len(ledger["spent"]), "one report a day"
    assert len(days) > 2, "the clock did go forward"
    assert len(packets_on(wire)) == len(days), "and a new day brings a new packet"
    stamps = [packet["timestamp"] for packet in packets_on(wire).values()]
    assert len(set(stamps)) == len(stamps), json.dumps(stamps)
