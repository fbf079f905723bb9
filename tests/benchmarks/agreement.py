"""Whether two runs in one browser agree: python tests/benchmarks/agreement.py [--engines …] [--pairs 10] [--json].

Presses the page's button twice, each time in a fresh profile, and compares the two headlines (the speed of the choices
over the better JavaScript). `within` counts the pairs that differ by at most 5 %. To see why a pair differs,
`same_contexts` compares the headline over the contexts that both runs measured, and `worst` names the functions whose
own figures lie furthest apart. Run it on a machine that does nothing else, or say its load.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.drivers.base import Browser, wait_text
from e2e.engines import ENGINES, JOURNEY_ENGINES
from e2e.server import Server
from e2e.steps import BENCHMARK, BOOT_SECONDS, open_home
from e2e.test_result import SAVED
from e2e.wire import Wire

AIM = 0.05  # relative difference of two headlines
BUDGET_SECONDS = 20
Contexts = Mapping[tuple[str, str, int], float]  # ln of the choice's speed over the better JavaScript


def contexts(measurements: list[dict[str, Any]]) -> Contexts:
    """One figure a context, from the page's own export."""
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for one in measurements:
        found.setdefault((one["function"], one["data"], one["size"]), []).append(one)
    logs = {}
    for context, candidates in found.items():
        better = max(one["speedup"] or 0 for one in candidates if one["candidate"] in ("js", "js-tuned"))
        (chosen,) = (one["speedup"] for one in candidates if one["chosen"])
        logs[context] = math.log(chosen / better)
    return logs


def by_function(logs: Contexts) -> dict[str, float]:
    """The mean of a function's contexts."""
    found: dict[str, list[float]] = {}
    for (kernel, _, _), value in logs.items():
        found.setdefault(kernel, []).append(value)
    return {kernel: statistics.mean(values) for kernel, values in found.items()}


def once(browser: Browser, wire: Wire) -> dict[str, Any]:
    """One run in a fresh profile, as the page exports it."""
    browser.fresh()
    page = browser.new_page()
    open_home(page, wire)
    page.click("button", BENCHMARK)
    wait_text(page, "#progressText", "Done", timeout=BOOT_SECONDS + 3 * BUDGET_SECONDS)
    saved = json.loads(page.evaluate(SAVED, "#saveJson"))
    return {"headline": saved["result"]["speedup"], "contexts": contexts(saved["measurements"])}


def compare(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """How far the two runs of a pair are apart, and where."""
    both = one["contexts"].keys() & two["contexts"].keys()
    common = [by_function({key: run["contexts"][key] for key in both}) for run in (one, two)]
    apart = {name: math.expm1(abs(common[0][name] - common[1][name])) for name in common[0]}
    means = [statistics.mean(values.values()) for values in common] if both else [0.0, 0.0]
    worst = sorted(apart, key=apart.__getitem__, reverse=True)[:3]
    return {
        "headlines": [round(run["headline"], 3) for run in (one, two)],
        "difference": round(math.expm1(abs(math.log(one["headline"] / two["headline"]))), 4),
        "contexts": [len(run["contexts"]) for run in (one, two)],
        "same_contexts": round(math.expm1(abs(means[0] - means[1])), 4),
        "worst": {name: round(apart[name], 3) for name in worst},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(JOURNEY_ENGINES))
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server, Wire(server.port) as wire:
        for name in args.engines.split(","):
            pairs = []
            with ENGINES[name].launch() as browser:
                for _ in range(args.pairs):
                    pairs.append(
                        compare(once(browser, wire), once(browser, wire)) | {"load": os.getloadavg()[0]}
                    )
                    print(name, pairs[-1], file=sys.stderr)
                results[name] = {
                    "pairs": args.pairs,
                    "within": sum(pair["difference"] <= AIM for pair in pairs),
                    "worst_difference": max(pair["difference"] for pair in pairs),
                    "runs": pairs,
                    "browser": browser.version,
                }
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
