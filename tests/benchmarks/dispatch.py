"""What the dispatcher costs and what it gains, in real browsers, from a page of another origin.

    python tests/benchmarks/dispatch.py [--engines chromium,firefox] [--budget 60] [--json]

`overhead_ns`: a dispatched call less a call of the chosen module's own export, same arrays. The rest: every
kernel that leaves its input alone, in all sizes, resident; each cell counts as much as any other (its calls
take JavaScript one unit of time). Percent of the best candidate per cell in hindsight, times JavaScript,
times the capability heuristic; after `tuner.benchmark` with that budget.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.embedder import Embedder, policy
from e2e.engines import ENGINES
from e2e.server import Server
from tests.test_embed import before_pyodide, gzipped

from fleetune.context import Environment
from fleetune.features import safe_default
from fleetune.manifest import Manifest

PAGE = '<!doctype html><title>Workload</title><script type="module" src="/page.js"></script>'
SCRIPT = 'import { connect } from "SERVERfleetune.js"; window.tuner = await connect();'
CONNECTED = "for (let i = 0; !window.tuner && i < 600; i++) await new Promise((r) => setTimeout(r, 100));"
TIMING = """
const [heuristic] = a;
const manifest = await (await fetch(`${tuner.server}api/kernels`)).json();
const { TunedKernel } = await import(`${tuner.server}static/tuned_kernel.js`);
const { seeded } = await import(`${tuner.server}static/compare.js`);
const root = new URL(manifest.root, tuner.server).href;
const compile = (kernel, name) =>
  WebAssembly.compileStreaming(fetch(`${root}embed/${kernel}/${encodeURIComponent(name)}.wasm`));
const batch = (work, times) => { const t = performance.now(); work(times); return performance.now() - t; };
/** The least time of a call, ms: batches of all in turn. */
function least(works, ms, rounds) {
  const times = works.map((work) => {
    let n = 1;
    while (batch(work, n) < ms / 2) n *= 2;
    return n * 2;
  });
  const best = works.map(() => Infinity);
  for (let round = 0; round < rounds; round++)
    works.forEach((work, i) => (best[i] = Math.min(best[i], batch(work, times[i]) / times[i])));
  return best;
}
/** A loop of its own for each callee: one text for all would share type feedback. */
const loop = (() => { let made = 0; return async (arity) => {
  const args = Array.from({ length: arity }, (_, i) => `a${i}`).join(", ");
  const body = `for (let i = 0; i < n; i++) f(${args});`;
  const text = `export const loop = (f, [${args}]) => function l${made++}(n) { ${body} };`;
  return (await import(`${location.origin}/loop.js?${encodeURIComponent(text)}`)).loop;
}; })();
"""
OVERHEAD = """
const call = await tuner.kernel("dot");
const [x, y] = [0, 1].map(() => tuner.alloc("dot", Float32Array, 8).fill(1));
const { variant } = tuner.explain("dot", { size: 8 });
const entry = manifest.kernels.find(({ name }) => name === "dot");
let direct = (await import(`${root}embed/dot.js`)).baselines[variant];
let given = [x, y, 8];
if (!direct) {
  const memory = new WebAssembly.Memory({ initial: 64 });
  direct = (await WebAssembly.instantiate(await compile("dot", variant), { env: { memory } })).exports.run;
  given = [entry.dataEnd, entry.dataEnd + 64, 8];
}
const [own, dispatched] = [(await loop(3))(direct, given), (await loop(3))(call, [x, y, 8])];
const [one, two] = least([own, dispatched], 20, 15);
return { overhead: (two - one) * 1e6, variant };
"""
WORKLOAD = """
let [best, js, capable, chosen, cells] = [0, 0, 0, 0, 0];
const lost = [];
for (const entry of manifest.kernels) {
  if (entry.params.some(({ dir }) => dir === "inout")) continue;
  const [name, pattern] = [entry.name, entry.patterns[0]];
  const script = await import(`${root}embed/${name}.js`);
  const call = await tuner.kernel(name);
  const features = ["simd", "relaxedSimd"].filter((feature) => tuner.environment[feature]);
  const runnable = entry.variants.filter((v) => v.features.every((f) => features.includes(f)));
  const names = [...entry.baselines, ...runnable.map((v) => v.name)];
  const fixed = new Map();
  for (const candidate of names) {
    const tuned = new TunedKernel(entry, script, 16 << 20, (c) => compile(name, c), pattern);
    await tuned.follow({ [pattern]: [{ choice: candidate, log2Size: 0 }] });
    fixed.set(candidate, tuned);
  }
  for (const size of entry.sizes) {
    const place = (alloc) => script.makeInput(size, pattern, seeded(size)).map((value) => {
      if (!ArrayBuffer.isView(value)) return value;
      const view = alloc(value.constructor, value.length);
      view.set(value);
      return view;
    });
    tuner.release(name);
    const works = [(await loop(entry.params.length))(call, place((T, n) => tuner.alloc(name, T, n)))];
    for (const tuned of fixed.values()) {
      tuned.arena.release();
      works.push((await loop(entry.params.length))(tuned.call, place((T, n) => tuned.arena.alloc(T, n))));
    }
    const [mine, ...times] = least(works, 6, 5);
    const base = times[names.indexOf("js")];
    cells += 1;
    chosen += mine / base;
    js += 1;
    best += Math.min(mine, ...times) / base;
    const least_ = Math.min(mine, ...times);
    const { variant, source } = tuner.explain(name, { size });
    const fastest = names[times.indexOf(Math.min(...times))];
    const same = times[names.indexOf(variant)];
    const [ns, ownNs, sameNs, bestNs] = [base, mine, same, least_].map((ms) => ms * 1e6);
    const row = { ns, ownNs, sameNs, bestNs, variant, source, fastest };
    lost.push({ name, size, lost: (mine - least_) / base, ...row });
    capable += times[names.indexOf(heuristic[name])] / base;
  }
}
lost.sort((x, y) => y.lost - x.lost);
const worst = lost.slice(0, a[1]);
return { percent: (100 * best) / chosen, js: js / chosen, capable: capable / chosen, cells, lost: worst };
"""


def measure(engine: str, server: Server, budget: float, worst: int) -> dict[str, Any]:
    """The figures of one engine."""
    files = {"/": PAGE, "/page.js": SCRIPT.replace("SERVER", server.url.rstrip("/") + "/")}
    with Embedder(files, policy(server.url)) as site, ENGINES[engine].launch() as browser:
        page = browser.new_page()
        page.open(f"{site.origin}/")
        environment = Environment.from_wire(page.evaluate(CONNECTED + "return tuner.environment"))
        manifest = Manifest.load(
            json.dumps(page.evaluate("return (await fetch(`${tuner.server}api/kernels`)).json()"))
        )
        heuristic = {k.name: safe_default(k, environment.features) for k in manifest.kernels.values()}
        cost = page.evaluate(TIMING + OVERHEAD, heuristic, timeout=120)
        if budget:
            page.evaluate("await tuner.benchmark({ budgetMs: a[0] })", budget * 1000, timeout=budget + 180)
        found = page.evaluate(TIMING + WORKLOAD, heuristic, worst, timeout=900)
    return {
        "overhead_ns": round(cost["overhead"], 1),
        "percent_of_hindsight": round(found["percent"], 1),
        "vs_js": round(found["js"], 3),
        "vs_capability": round(found["capable"], 3),
        "cells": found["cells"],
        "budget_s": budget,
        "version": browser.version,
        **({"lost": found["lost"]} if worst else {}),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default="chromium,firefox")
    parser.add_argument("--budget", type=float, default=60, help="seconds of measuring first; 0: none")
    parser.add_argument("--worst", type=int, default=0, help="show so many cells that lose most (ns a call)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "data") as server:
        for engine in options.engines.split(","):
            figures[engine] = measure(engine, server, options.budget, options.worst)
    figures["widget_gzip_bytes"] = gzipped(before_pyodide("fleetune.js"))
    figures["element_gzip_bytes"] = gzipped(before_pyodide("widget.js"))
    print(json.dumps(figures, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
