"""How soon the page is useful and Python ready, against a page that only boots Pyodide and numpy.

    python tests/benchmarks/startup.py [--engines chromium,firefox,webkit] [--times 3] [--json]

Every visit is in a fresh profile, apart from the second ones. In turn: bare boot (a worker of a page without
scripts imports numpy), first visit, Python from a press of a button to its first answer, second visit. Times
are medians in seconds; `ready_vs_bare_boot` is the median of the ratios of neighbours. Bytes are those of the
wire, headers included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.drivers.base import Browser, wait_for
from e2e.engines import ENGINES, JOURNEY_ENGINES
from e2e.server import Server
from e2e.wire import Wire

PATIENCE = 180.0
BARE = """
const source = `
  const { loadPyodide } = await import(${JSON.stringify(location.origin + "/pyodide/pyodide.mjs")});
  const pyodide = await loadPyodide({ indexURL: ${JSON.stringify(location.origin + "/pyodide/")} });
  await pyodide.loadPackage(["numpy"], { messageCallback: () => {} });
  pyodide.runPython("import numpy");
  postMessage("ready");`;
const began = performance.now();
const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const worker = new Worker(script, { type: "module" });
await new Promise((resolve, reject) => {
  worker.onmessage = resolve;
  worker.onerror = (event) => reject(new Error(event.message));
});
worker.terminate();
return (performance.now() - began) / 1000;
"""
READY = """
const { Python } = await import(new URL("static/shared/python.js", location.href).href);
const began = performance.now();
const python = new Python();
const ops = await python.ops();
const seconds = (performance.now() - began) / 1000;
const { modelVersion } = await ops.state();
python.close();
return { seconds, modelVersion };
"""
CONTENT = "performance.getEntriesByName('content')[0]?.startTime"
CHOICE = "performance.getEntriesByName('choice')[0]?.startTime"


def visit(browser: Browser, wire: Wire, path: str = "") -> Any:
    """A tab on the page."""
    page = browser.new_page()
    page.open(wire.url + path)
    return page


def once(browser: Browser, wire: Wire) -> dict[str, Any]:
    """One bare boot, one first visit and one second visit."""
    browser.fresh()
    seen: dict[str, Any] = {"bare": visit(browser, wire, "privacy").evaluate(BARE, timeout=PATIENCE)}

    browser.fresh()
    wire.received = 0
    page = visit(browser, wire)
    seen["content"] = wait_for(page, CONTENT) / 1000
    seen["choice"] = wait_for(page, CHOICE) / 1000
    seen["page_bytes"] = wire.received
    ready = page.evaluate(READY, timeout=PATIENCE)
    assert ready["modelVersion"] > 0, "Python is ready once it has a model"
    seen["ready"] = ready["seconds"]
    seen["cold"] = wire.received

    page.click("button", "Keep off")  # nothing is stored for someone who only looks
    # The first load came before the service worker took over: the visit after it is kept whole.
    wait_for(page, "navigator.serviceWorker?.controller != null")
    page.reload()
    wait_for(page, CHOICE)
    page.evaluate(READY, timeout=PATIENCE)
    wire.received = 0
    wire.requests.clear()
    page.reload()
    seen["second_choice"] = wait_for(page, CHOICE) / 1000
    seen["before_pyodide"] = not any(request.route.startswith("/pyodide/") for request in wire.requests)
    seen["second_ready"] = page.evaluate(READY, timeout=PATIENCE)["seconds"]
    seen["warm"] = wire.received
    return seen


def measure(name: str, wire: Wire, times: int) -> dict[str, Any]:
    """The medians of one engine."""
    with ENGINES[name].launch() as browser:
        runs = [once(browser, wire) for _ in range(times)]
    middle = {key: statistics.median(float(run[key]) for run in runs) for key in runs[0]}
    return {
        "first_content_s": round(middle["content"], 3),
        "first_choice_s": round(middle["choice"], 3),
        "bare_boot_s": round(middle["bare"], 3),
        "ready_s": round(middle["ready"], 3),
        "ready_vs_bare_boot": round(statistics.median(run["ready"] / run["bare"] for run in runs), 3),
        "second_visit_choice_s": round(middle["second_choice"], 3),
        "second_visit_choice_before_pyodide": all(run["before_pyodide"] for run in runs),
        "second_ready_vs_bare_boot": round(
            statistics.median(run["second_ready"] / run["bare"] for run in runs), 3
        ),
        "bytes_page": round(middle["page_bytes"]),
        "bytes_cold": round(middle["cold"]),
        "bytes_warm": round(middle["warm"]),
        "browser": browser.version,
        "runs": times,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(JOURNEY_ENGINES))
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server, Wire(server.port) as wire:
        for name in args.engines.split(","):
            results[name] = measure(name, wire, args.times)
            print(name, results[name], file=sys.stderr)
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
