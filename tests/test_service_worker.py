"""The service worker in Node: what it keeps of the catalogue, and what it lets go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import node

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"
OLD, NEW = "/kernels/" + "a" * 64 + "/", "/kernels/" + "b" * 64 + "/"
RUN = """
const origin = "https://fleetune.test";
const kept = new Map();
const cache = {
  match: async (request) => kept.get(request.url),
  put: async (request, response) => void kept.set(request.url, response),
  keys: async () => [...kept.keys()].map((url) => ({ url })),
  delete: async (url) => kept.delete(url),
};
const listeners = {};
globalThis.caches = { open: async () => cache };
globalThis.self = { location: new URL(origin), addEventListener: (name, listener) => (listeners[name] = listener) };
globalThis.fetch = async () => new Response("file");
const { readFile } = await import("node:fs/promises");
new Function(await readFile("page/sw.js", "utf8"))();
for (const path of JSON.parse(process.argv[1])) {
  const work = [];
  const request = new Request(origin + path);
  listeners.fetch({ request, respondWith: (answer) => work.push(answer), waitUntil: (more) => work.push(more) });
  for (let i = 0; i < work.length; i++) await work[i];
}
console.log(JSON.stringify([...kept.keys()].map((url) => url.slice(origin.length))));
"""


@pytest.mark.parametrize(
    "names",
    [
        ["base.wasm", "own/twice.js", "own/twice/scalar.wasm"],
        ["own/twice/scalar.wasm", "base.wasm"],
        ["embed/own.js", "calls/dot.js", "base.wasm"],
    ],
)
def test_files_of_one_catalogue_are_kept_together_and_another_replaces_them(
    names: list[str],
) -> None:
    before = [OLD + name for name in ("base.wasm", "own/other.js")]
    page = ["/static/page/page.js"]
    asked = [NEW + name for name in names]
    assert node.evaluate(RUN, json.dumps([*page, *before, *asked]), cwd=WEB) == [*page, *asked]


SLOW = RUN.replace(
    'globalThis.fetch = async () => new Response("file");',
    """globalThis.fetch = async (request, { signal }) => {
  const held = request.url.includes("/api/") ? 20_000 : 0;
  await new Promise((next, stop) => {
    setTimeout(next, held);
    signal.addEventListener("abort", () => stop(signal.reason));
  });
  return new Response(new ReadableStream({ async start(body) {
    await new Promise((next) => setTimeout(next, 20_000));
    signal.aborted ? body.error(signal.reason) : (body.enqueue(new TextEncoder().encode("file")), body.close());
  } }));
};
const waits = globalThis.setTimeout;
globalThis.setTimeout = (then, ms) => waits(then, ms / 100); // a hundred times as fast
AbortSignal.timeout = (ms) => {
  const limit = new AbortController();
  setTimeout(() => limit.abort(), ms);
  return limit.signal;
};
""",
)
READ = "console.log(JSON.stringify(await Promise.all([...kept.values()].map((answer) => answer.text()))));"


def test_a_large_file_may_take_as_long_as_a_slow_line_needs_and_an_answer_that_does_not_begin_may_not() -> (
    None
):
    """What was seen: whoever had the worker could not measure at 400 kbit/s, because each file had 10 s."""
    script = SLOW[: SLOW.rindex("console.log")] + READ
    paths = [NEW + "base.wasm", "/static/page/page.js"]
    assert node.evaluate(script, json.dumps(paths), cwd=WEB) == ["file", "file"]
    caught = script.replace(
        "await work[i];", "await work[i].catch(() => kept.set('', new Response('given up')));"
    )
    assert node.evaluate(caught, json.dumps(["/api/kernels"]), cwd=WEB) == ["given up"]
