"""What the dispatcher costs and what it gains, in real browsers, from a page of another origin.

    python tests/benchmarks/dispatch.py [--engines firefox] [--budget 60] [--outside] [--worst 9]

The page loads every kernel, lets `tuner.benchmark` measure for `--budget` seconds, and then runs a mixed
workload: every kernel that leaves its input alone, in all six sizes of its first pattern, arrays in the
kernel's memory (`--outside`: ordinary arrays). Each of these cells counts as much as any other: its calls
take plain JavaScript one unit of time. Compared is the total time of the workload, dispatched, with that of
pages without a dispatcher, which call a function that takes the very same arrays (JavaScript itself, or the
module behind the code that turns arrays into pointers), each from a script of its own, so that it is the only
one its call sites ever see:

`vs_js`: always JavaScript. `vs_capability`: always the safe default (the capability heuristic).
`percent_of_hindsight`: per cell whichever candidate is the fastest there, known beforehand; so this holds the
dispatcher's own cost against it too. A first series of timings picks that candidate, a second one times it
and the dispatched call: the least of ten times is a lucky one. `percent_of_hindsight_one_series`: as before
that was told apart. `percent_of_choice`: the same as `percent_of_hindsight`, but for the chosen candidates
called without the dispatcher: what the choices alone lose.

Where every cell counts alike, calls of 3 to 10 ns are a sixth of the time. `equal_calls` has the same figures
for the workload that calls every cell equally often: long calls weigh more there. `by_js_ns`: percent of
hindsight by how long a call takes JavaScript, up to so many ns.

`slower_than_default_percent`: share of cells where the dispatched call is more than 5 % slower than the safe
default through a dispatcher of its own, in both series. `overhead_ns`: a dispatched call less a call of the
chosen module's own export, smallest dot, before measuring.

`--checks 3` measures something else, so many times: ns a call that the checks of arguments take (EMBED.md,
"What a call must keep to"), against the same dispatcher that only asks for marks, so where arrays lie, in the same
run, for resident arrays of eight elements and the safe default's module. It counts the CPU time of the page's thread
(Linux), which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.drivers.base import Page
from e2e.embedder import Embedder, policy
from e2e.engines import ENGINES
from e2e.server import Server
from tests.kernel_runner import DIST, manifest
from tests.test_embed import before_pyodide, gzipped

from fleetune.context import Environment
from fleetune.features import safe_default
from fleetune.manifest import Manifest

BOUNDS_NS = [0.0, *(10.0**k for k in range(1, 9))]
PAGE = '<!doctype html><title>Workload</title><script type="module" src="/page.js"></script>'
SCRIPT = 'import { connect } from "SERVERfleetune.js"; window.tuner = await connect();'
CONNECTED = "for (let i = 0; !window.tuner && i < 600; i++) await new Promise((r) => setTimeout(r, 100));"
PAGE_SCRIPT = Path(__file__).with_name("dispatch_page.mjs").read_text()
CHECKED = ("dot", "saxpy", "argmax", "fnv1a64")
ENTRY = re.compile(r"    if \((p_.+)\) return \$inside\(")  # of the generated dispatchers
CALLS = 4_000_000
TURNS = 4  # each loop, the least time counts


def measure(engine: str, server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one engine."""
    budget, inside, worst = options.budget, not options.outside, options.worst
    only = options.kernels.split(",") if options.kernels else []
    files = {
        "/": PAGE,
        "/page.js": SCRIPT.replace("SERVER", server.url.rstrip("/") + "/"),
        "/dispatch_page.js": PAGE_SCRIPT,
    }
    module = 'const page = await import("/dispatch_page.js"); return '
    with Embedder(files, policy(server.url)) as site, ENGINES[engine].launch() as browser:
        page = browser.new_page()
        page.open(f"{site.origin}/")
        environment = Environment.from_wire(page.evaluate(CONNECTED + "return tuner.environment"))
        manifest = Manifest.load(
            json.dumps(page.evaluate("return (await fetch(`${tuner.server}api/kernels`)).json()"))
        )
        defaults = {k.name: safe_default(k, environment.features) for k in manifest.kernels.values()}
        cost = page.evaluate(module + "page.overhead(tuner)", timeout=120)
        page.evaluate(module + "page.prepare(tuner, ...a)", inside, only, timeout=120)
        if budget:
            page.evaluate(
                "await tuner.benchmark({ budgetMs: a[0], kernels: a[1] ?? undefined })",
                budget * 1000,
                only or None,
                timeout=budget + 180,
            )
        cells = page.evaluate(module + "page.workload(tuner, ...a)", defaults, inside, only, timeout=900)[
            "cells"
        ]
    return {
        "overhead_ns": round(cost["overhead"], 1),
        **summary(cells),
        "budget_s": budget,
        "arrays": "inside" if inside else "outside",
        "version": browser.version,
        **({"lost": losers(cells, worst)} if worst else {}),
    }


def unchecked(kernel: str) -> str:
    """The kernel's script with a dispatcher that believes its arguments, once it knows where the arrays lie."""
    text = (DIST / "embed" / f"{kernel}.js").read_text()
    [tests] = ENTRY.findall(text)
    return text.replace(tests, " && ".join(test for test in tests.split(" && ") if "fleetune" in test))


def cpu_ns() -> dict[int, int]:
    """The CPU time that the main thread of each process below this one has taken."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    below = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    taken = {}
    for pid in below:
        with contextlib.suppress(OSError):
            taken[pid] = int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])
    return taken


def loop_ns(page: Page, index: int) -> float:
    """ns a call of one loop: of the process that was busiest meanwhile."""
    before = cpu_ns()
    page.evaluate("works[a[0]](a[1])", index, CALLS, timeout=120)
    return max(now - before[pid] for pid, now in cpu_ns().items() if pid in before) / CALLS


def checks(engine: str, server: Server, times: int) -> dict[str, Any]:
    """By kernel, for each run: ns a call of the bare export, and what dispatcher and checks add."""
    files = {
        "/": PAGE,
        "/page.js": SCRIPT.replace("SERVER", server.url.rstrip("/") + "/"),
        "/dispatch_page.js": PAGE_SCRIPT,
        **{f"/unchecked/{name}.js": unchecked(name) for name in CHECKED},
    }
    found: dict[str, Any] = {name: [] for name in CHECKED}
    with Embedder(files, policy(server.url)) as site, ENGINES[engine].launch() as browser:
        for _ in range(times):
            page = browser.new_page()
            page.open(f"{site.origin}/")
            features = Environment.from_wire(page.evaluate(CONNECTED + "return tuner.environment")).features
            for name in CHECKED:
                variant = safe_default(manifest().kernels[name], features)
                script = 'const page = await import("/dispatch_page.js"); window.works = await page.checks(tuner, ...a)'
                page.evaluate(script, name, variant, timeout=120)
                bare, asked, checked = (min(loop_ns(page, index) for _ in range(TURNS)) for index in range(3))
                figures = {"bare": bare, "dispatcher": asked - bare, "checks": checked - asked}
                found[name].append({key: round(value, 2) for key, value in figures.items()})
            page.close()
        return {**found, "version": browser.version, "load": round(os.getloadavg()[0], 1)}


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The workload's totals; each cell in units of its time in JavaScript."""
    first = [cell["first"] for cell in cells]
    slower = [cell for cell in cells if cell["slower"]]
    return {
        **ratios(cells, [1 / cell["js"] for cell in cells]),
        "percent_of_hindsight_one_series": percent(first, "best", [1 / cell["js"] for cell in first]),
        "equal_calls": ratios(cells, [1.0] * len(cells)),
        "by_js_ns": {
            str(round(top)): [len(part), percent(part, "best", [1 / cell["js"] for cell in part])]
            for low, top in itertools.pairwise(BOUNDS_NS)
            if (part := [cell for cell in cells if low <= cell["js"] * 1e6 < top])
        },
        "slower_than_default_percent": round(100 * len(slower) / len(cells), 2),
        "cells": len(cells),
        "measured_cells": sum(cell["source"] == "measured" for cell in cells),
    }


def percent(cells: list[dict[str, Any]], key: str, weights: list[float]) -> float:
    """What the calls would take as `key` says, in percent of what they take dispatched."""

    def total(of: str) -> float:
        return sum(weight * float(cell[of]) for weight, cell in zip(weights, cells, strict=True))

    return round(100 * total(key) / total("ms"), 1)


def ratios(cells: list[dict[str, Any]], weights: list[float]) -> dict[str, float]:
    """`weights`: how often each cell is called."""
    best, same, js, safe = (percent(cells, key, weights) for key in ("best", "same", "js", "safeDirect"))
    return {
        "percent_of_hindsight": best,
        "percent_of_choice": round(100 * best / same, 1),
        "vs_js": round(js / 100, 3),
        "vs_capability": round(safe / 100, 3),
    }


def losers(cells: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The cells where most is lost, in percent of the workload's time, with ns a call."""
    whole = sum(cell["ms"] / cell["js"] for cell in cells)
    worst = sorted(cells, key=lambda cell: (cell["best"] - cell["ms"]) / cell["js"])[:count]
    return [
        {
            **{key: cell[key] for key in ("name", "size", "variant", "source", "fastest", "slower")},
            "lost_percent": round(100 * (cell["ms"] - cell["best"]) / cell["js"] / whole, 2),
            **{f"{key}_ns": round(cell[key] * 1e6, 1) for key in ("ms", "same", "best", "js", "safe")},
        }
        for cell in worst
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default="chromium,firefox,webkit")
    parser.add_argument("--budget", type=float, default=60, help="seconds of measuring first; 0: none")
    parser.add_argument("--kernels", default="", help="only these, separated by commas")
    parser.add_argument("--outside", action="store_true", help="ordinary arrays, not in the kernels' memory")
    parser.add_argument("--worst", type=int, default=0, help="show so many cells that lose most (ns a call)")
    parser.add_argument("--checks", type=int, default=0, help="what the checks cost, so many times")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "data") as server:
        for engine in options.engines.split(","):
            if options.checks:
                figures[engine] = checks(engine, server, options.checks)
            else:
                figures[engine] = measure(engine, server, options)
    figures["widget_gzip_bytes"] = gzipped(before_pyodide("embed/fleetune.js"))
    figures["element_gzip_bytes"] = gzipped(before_pyodide("embed/widget.js"))
    print(json.dumps(figures, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
