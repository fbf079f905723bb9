"""What a page tells over its open connection, and how often it asks where there is none."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tests import node

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
VISITS = 200
# Visits of a browser whose sockets open or never do; its timers are noted, and the next one is called at once.
SCRIPT = """
const [, opens, visits] = process.argv;
const [sent, asked, waits, states] = [[], [], [], []];
const due = [];
globalThis.addEventListener = () => {};
globalThis.WebSocket = class {
  constructor() { setImmediate(() => (opens === "yes" ? this.onopen() : this.onclose())); }
  send(text) { sent.push(JSON.parse(text)); }
  close() {}
};
globalThis.fetch = async (url, { credentials }) => {
  asked.push([new URL(url).search, credentials]);
  return { ok: true, json: async () => ({ upToDate: true }) };
};
globalThis.setTimeout = (work, ms) => { waits.push([work.name, ms]); due.push(work); };
globalThis.clearTimeout = () => {};
for (let visit = 0; visit < Number(visits); visit += 1) {
  const { subscribe } = await import(`./shared/socket.js?visit=${visit}`);
  const onState = (state) => states.push(state);
  subscribe({ server: "https://tuner.example/", version: () => 7, onVersion() {}, onState });
  for (let turn = 0; turn < 12; turn += 1) {
    await new Promise((next) => setImmediate(next));
    if (opens !== "yes") for (const work of due.splice(0)) work();
  }
  due.length = 0;
}
console.log(JSON.stringify({ sent, asked, waits, states }));
"""


def visited(opens: str, visits: int) -> dict[str, Any]:
    found: dict[str, Any] = node.evaluate(SCRIPT, opens, str(visits), cwd=WEB)
    return found


def test_a_page_tells_its_version_and_a_number_that_is_drawn_afresh_at_every_visit() -> None:
    found = visited("yes", VISITS)
    assert all(hello.keys() == {"type", "version", "draw"} for hello in found["sent"])
    assert {(hello["type"], hello["version"]) for hello in found["sent"]} == {("hello", 7)}
    draws = [hello["draw"] for hello in found["sent"]]
    assert len(draws) == VISITS
    assert all(0 <= draw < 1000 for draw in draws)
    # Of 200 equal chances in a thousand about 181 differ, by a deviation of 3.6.
    assert len(set(draws)) > 160
    assert abs(statistics.mean(draws) - 499.5) < 5 * 289 / VISITS**0.5
    assert found["asked"] == []
    assert set(found["states"]) == {"connecting", "on"}


def test_without_a_connection_a_page_asks_about_once_a_minute_and_tells_no_more() -> None:
    found = visited("no", 20)
    assert found["states"][-1] == "polling"
    assert {"off", "polling"} <= set(found["states"])
    searches = {search for search, _credentials in found["asked"]}
    assert all(search.startswith("?version=7&draw=") and search.count("=") == 2 for search in searches)
    assert {credentials for _search, credentials in found["asked"]} == {"omit"}
    between = [ms for name, ms in found["waits"] if name == "poll"]
    assert len(between) > 50
    assert all(30_000 <= ms <= 90_000 for ms in between)
    assert abs(statistics.mean(between) - 60_000) < 10_000
