"""`python -m e2e.flake --times 20 --json`: every journey so often in each engine; what failed.

Twenty times all of it takes hours on two cores: `--keep FILE` writes every run down, and the next call with
the same file goes on where that one ended, after as many `--minutes` as it was given.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from e2e.parity import place_of
from e2e.server import ROOT


@dataclass(frozen=True)
class Run:
    """One test, once: where, and what went wrong."""

    test: str  # with engine and mode
    error: str = ""

    @property
    def journey(self) -> str:
        return self.test.partition("::")[0].rsplit("test_", 1)[1].removesuffix(".py")

    @property
    def engine(self) -> str:
        """Empty for a test without a browser."""
        place = place_of(self.test)
        return place[0] if place else ""


class Chosen:
    """A pytest plugin that notes which tests are chosen."""

    def __init__(self) -> None:
        self.tests: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tests = [item.nodeid for item in session.items]


class Recorder:
    """A pytest plugin that notes runs: a run is its call; an error in a fixture is a failure too."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.runs.append(Run(report.nodeid, f"{report.when}: {report.longreprtext[-2000:]}"))
        elif report.when == "call":
            self.runs.append(Run(report.nodeid))


class Record:
    """All runs so far, kept in a file if there is one."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        lines = file.read_text().splitlines() if file and file.exists() else []
        self.runs = [Run(**json.loads(line)) for line in lines]

    def add(self, runs: Sequence[Run]) -> None:
        self.runs.extend(runs)
        if self.file:
            with self.file.open("a") as file:
                file.writelines(json.dumps(asdict(run)) + "\n" for run in runs)

    def least(self, tests: Collection[str]) -> int:
        """How often that one of these tests ran that ran least often."""
        times = Counter(run.test for run in self.runs)
        return min((times[test] for test in tests), default=0)

    def figures(self) -> dict[str, object]:
        """Counts, over all that was run; `least_times` is that of the test that ran least often."""
        tests = {run.test for run in self.runs}
        failures = [run for run in self.runs if run.error]
        return {
            "engines": sorted({run.engine for run in self.runs if run.engine}),
            "journeys": sorted({run.journey for run in self.runs}),
            "tests": len(tests),
            "least_times": self.least(tests),
            "runs": len(self.runs),
            "failures": len(failures),
            "failed": [asdict(run) for run in failures],
        }


def rounds(done: int, times: int, minutes: float) -> Iterator[int]:
    """Numbers of the rounds that are still to be run, while there is time."""
    begin = time.monotonic()
    for number in range(done, times):
        if time.monotonic() - begin > 60 * minutes:
            return
        yield number + 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run and report; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m e2e.flake", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="runs of every journey in each engine")
    parser.add_argument("--workers", type=int, default=0, help="run so many at once (default: one by one)")
    parser.add_argument("--keep", type=Path, help="file of runs to go on with")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no round after that")
    parser.add_argument("--json", action="store_true", help="print only the figures, as JSON")
    parser.add_argument("journeys", nargs="*", help="e.g. consent learn (default: all)")
    args = parser.parse_args(argv)
    paths = [f"e2e/test_{journey}.py" for journey in args.journeys] or ["e2e"]
    workers = ["-n", str(args.workers)] if args.workers else []
    selection = [f"--rootdir={ROOT}", "-m", "not deep", *(str(ROOT / path) for path in paths)]
    chosen = Chosen()
    with redirect_stdout(sys.stderr):  # stdout is for the figures
        code = pytest.main(["-qq", "--collect-only", *selection], plugins=[chosen])
    if code:
        return int(code)
    record = Record(args.keep)
    for number in rounds(record.least(chosen.tests), args.times, args.minutes):
        print(f"round {number} of {args.times}", file=sys.stderr)
        recorder = Recorder()
        with redirect_stdout(sys.stderr):
            code = pytest.main(["-q", *workers, *selection], plugins=[recorder])
        record.add(recorder.runs)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return int(code)
    figures = record.figures()
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        print(f"{figures['runs']} runs of {figures['tests']} tests, {figures['failures']} failures")
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
