"""Journey: calls. A fixed share of the adversarial calls (tests/calls), made on an embedding page of another origin.

And calls with arrays that come from elsewhere.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from tests.calls import attack
from tests.calls.generate import cases

from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder, policy
from e2e.wire import Wire

PAGE = '<!doctype html><html lang="en"><title>Calls</title><script type="module" src="/page.js"></script>'
SCRIPT = """
try {
const { connect } = await import("SERVERfleetune.js");
const { TunedKernel } = await import("SERVERstatic/embed/tuned_kernel.js");
const { runner } = await import("/run.js");
const tuner = await connect();
const manifest = await (await fetch(`${tuner.server}api/kernels`)).json();
const root = new URL(manifest.root, tuner.server).href;
const able = ({ features }) => features.every((one) => tuner.environment[one]);
const runs = (entry) => ({ ...entry, variants: entry.variants.filter(able) });
const entries = Object.fromEntries(manifest.kernels.map((entry) => [entry.name, runs(entry)]));
const load = (entry) => async (name) => {
  const response = await fetch(`${root}embed/${entry.name}/${encodeURIComponent(name)}.wasm`);
  if (!response.ok) throw new Error(`no module ${name}`);
  return WebAssembly.compileStreaming(response);
};
const script = (name) => import(`${root}embed/${name}.js`);
window.attack = runner({ TunedKernel, load, script, kept: 40 });
Object.assign(window, { entries, tuner, connect });
} catch (error) {
  window.failed = String(error);
}
"""
RUN = """
attack(a[0], entries, { every: a[1] }).then(
  (found) => (window.found = found),
  (error) => (window.found = { failed: String(error) }),
);
"""
# Arrays of another tuner, of another window, and of another worker, after `close`.
PASSED = """
const other = await connect();
const [one, two] = [await tuner.kernel("dot"), await other.kernel("dot")];
const [a, b] = [tuner, other].map((from) => from.alloc("dot", Float32Array, 3));
a.set([1, 2, 3]);
b.fill(1);
const frame = document.body.appendChild(document.createElement("iframe"));
const echo = "onmessage = ({ data }) => postMessage(data)";
const worker = new Worker(URL.createObjectURL(new Blob([echo], { type: "text/javascript" })));
const back = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
worker.postMessage(a);
const sent = await back;
worker.terminate();
tuner.close();
const framed = frame.contentWindow.Float32Array.of(1, 2, 3);
return [[a, b], [framed, b], [sent, a]].map(([x, y]) => [one(x, y, 3), two(x, y, 3)]);
"""
SEED, SHARE, EVERY, BATCH = 7, 28 * 14, 97, 28
SECONDS = 120


def test_no_call_of_a_fixed_share_is_wrong_in_this_browser(page: Page, wire: Wire) -> None:
    run = (Path(attack.__file__).with_name("run.mjs")).read_text()
    files = {"/": PAGE, "/page.js": SCRIPT.replace("SERVER", wire.url), "/run.js": run}
    stream = cases(attack.kernels(), SEED)
    calls = 0
    seen: dict[str, set[str]] = {"kernels": set(), "ways": set()}
    with Embedder(files, policy(wire.url)) as site:
        page.open(f"{site.origin}/")
        wait_for(page, "Boolean(window.attack || window.failed)", timeout=SECONDS)
        assert page.evaluate("return window.failed ?? null") is None
        for _ in range(SHARE // BATCH):
            batch: list[dict[str, Any]] = list(islice(stream, BATCH))
            page.evaluate("window.found = undefined;" + RUN, batch, EVERY)
            found = wait_for(page, "window.found", timeout=SECONDS)
            assert "failed" not in found, found
            assert found["wrong"] == []
            calls += found["calls"]
            for key, values in seen.items():
                values.update(found[key])
        assert page.evaluate(PASSED) == [[6, 6], [6, 6], [14, 14]]
    assert calls > SHARE // 2
    assert {key: len(values) for key, values in seen.items()} == {"kernels": 28, "ways": 9}
