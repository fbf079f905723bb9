"""`python -m e2e.flake --times 20 --json`: every journey so often in each engine; what failed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import pytest

from e2e.engines import chosen_engines
from e2e.server import ROOT


class Counter:
    """A pytest plugin that counts runs and names failures."""

    def __init__(self) -> None:
        self.runs = 0
        self.journeys: set[str] = set()
        self.failures: list[dict[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test: a run is its call; an error in a fixture is a failure too."""
        module, _, name = report.nodeid.partition("::")
        if report.when == "call":
            self.runs += 1
            self.journeys.add(module.rsplit("test_", 1)[1].removesuffix(".py"))
        if report.failed:
            self.failures.append({"test": name, "phase": report.when, "error": report.longreprtext[-2000:]})


def main(argv: Sequence[str] | None = None) -> int:
    """Run and report; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.flake")
    parser.add_argument("--times", type=int, default=20, help="runs of every journey in each engine")
    parser.add_argument("--workers", type=int, default=0, help="run so many at once (default: one by one)")
    parser.add_argument("--json", action="store_true", help="print only the figures, as JSON")
    parser.add_argument("journeys", nargs="*", help="e.g. consent learn (default: all)")
    args = parser.parse_args(argv)
    paths = [f"e2e/test_{journey}.py" for journey in args.journeys] or ["e2e"]
    counter = Counter()
    quiet = ["-q", "-q", "--no-summary", "--no-header"] if args.json else ["-q"]
    workers = ["-n", str(args.workers)] if args.workers else []
    code = pytest.main(
        [
            *quiet,
            *workers,
            f"--rootdir={ROOT}",
            f"--times={args.times}",
            *(str(ROOT / path) for path in paths),
        ],
        plugins=[counter],
    )
    figures = {
        "engines": list(chosen_engines()),
        "journeys": sorted(counter.journeys),
        "times": args.times,
        "runs": counter.runs,
        "failures": len(counter.failures),
        "failed": counter.failures,
    }
    print(
        json.dumps(figures, indent=1)
        if args.json
        else f"{counter.runs} runs, {len(counter.failures)} failures"
    )
    return 1 if counter.failures or code else 0


if __name__ == "__main__":
    sys.exit(main())
