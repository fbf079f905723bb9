"""How long the predictor takes in a browser: python tests/benchmarks/predict.py [--engines …] [--json].

In Pyodide, in a worker of a page of our own server, with the model that the server published: all candidates
of one context (every context of the catalogue, each the fastest of some calls), and the decision table of all
kernels and sizes at once. Milliseconds by the browser's own clock, beside one fixed numpy workload (a product
of two 128 × 128 matrices) in the same run, so that machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.engines import ENGINES, JOURNEY_ENGINES, Engine
from e2e.server import Server

PATIENCE = 600.0
PYTHON = """
import json, time
import numpy as np
from fleetune.context import Environment
from fleetune.manifest import Manifest
from fleetune.model import Model

# The browser's clock ticks at 0.005 to 1 ms: what takes less is repeated until it spans TICKS of them.
TICKS = 20
def clock_step():
    steps = []
    for _ in range(5):
        start = now = time.perf_counter()
        while now == start:
            now = time.perf_counter()
        steps.append(now - start)
    return max(steps)

STEP = clock_step()
def best_ms(work, rounds):
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            work()
        spent = time.perf_counter() - start
        if spent >= TICKS * STEP:
            break
        count *= 2
    least = spent / count
    for _ in range(rounds - 1):
        start = time.perf_counter()
        for _ in range(count):
            work()
        least = min(least, (time.perf_counter() - start) / count)
    return least * 1000

def measure(manifest_text, model_bytes, environment_text):
    manifest = Manifest.load(manifest_text.encode())
    environment = Environment.from_wire(json.loads(environment_text))
    start = time.perf_counter()
    model = Model.from_bytes(bytes(model_bytes))
    first = model.predict_table(list(manifest.kernels.values()), environment)
    cold = (time.perf_counter() - start) * 1000
    one = []
    for kernel in manifest.kernels.values():
        candidates = kernel.candidates(environment.features)
        for _, _, _, context in kernel.contexts():
            one.append(best_ms(lambda: model.predict(kernel, context, environment, candidates), 3))
    kernels = list(manifest.kernels.values())
    table = best_ms(lambda: model.predict_table(kernels, environment), 5)
    square = np.random.default_rng(0).random((128, 128))
    one.sort()
    return json.dumps({
        "contexts": len(one),
        "candidates": sum(len(row.predictions.candidates) for row in first),
        "context_ms": one[len(one) // 2],
        "context_ms_p99": one[int(0.99 * (len(one) - 1))],
        "context_ms_worst": one[-1],
        "table_ms": table,
        "read_and_first_table_ms": cold,
        "matmul_128_ms": best_ms(lambda: square @ square, 5),
        "clock_step_ms": STEP * 1000,
    })
"""
SCRIPT = """
const source = `
  import { detectEnvironment } from "${location.origin}/static/shared/environment.js";
  const at = (path) => new URL(path, "${location.origin}/").href;
  const json = (path) => fetch(at(path)).then((response) => response.json());
  try {
    const boot = await json("api/boot.json");
    const { loadPyodide } = await import(at(boot.pyodide) + "pyodide.mjs");
    const pyodide = await loadPyodide({ indexURL: at(boot.pyodide), packages: ["numpy"] });
    pyodide.unpackArchive(await fetch(at(boot.wheel)).then((response) => response.arrayBuffer()), "wheel");
    const manifest = await fetch(at("api/kernels")).then((response) => response.text());
    const latest = await json("api/model/latest");
    const model = new Uint8Array(await fetch(at(latest.url)).then((response) => response.arrayBuffer()));
    pyodide.runPython(${JSON.stringify(a[0])});
    const measure = pyodide.globals.get("measure");
    const answer = JSON.parse(measure(manifest, pyodide.toPy(model), JSON.stringify(detectEnvironment())));
    postMessage({ ...answer, modelVersion: latest.version });
  } catch (error) {
    postMessage({ error: String(error) });
  }`;
const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const worker = new Worker(script, { type: "module" });
const answer = await new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
});
worker.terminate();
return answer;
"""


def measure(engine: Engine, url: str) -> dict[str, Any]:
    """The figures of one browser; RuntimeError with the page's own words if Python failed there."""
    with engine.launch() as browser:
        page = browser.new_page()
        page.open(f"{url}privacy")  # of our origin, and runs nothing itself
        answer: dict[str, Any] = page.evaluate(SCRIPT, PYTHON, timeout=PATIENCE)
        if "error" in answer:
            raise RuntimeError(f"{engine.name}: {answer['error']}")
        return {
            name: round(value, 4) if isinstance(value, float) else value for name, value in answer.items()
        } | {"browser": browser.version}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(JOURNEY_ENGINES))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server:
        for name in args.engines.split(","):
            results[name] = measure(ENGINES[name], server.url)
            print(name, results[name], file=sys.stderr)
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
