"""How long folding and training take as the fleet grows: python tests/benchmarks/training.py [--json].

Folding 10 M reports held in memory (against a numpy group-by of raw rows by sorting), and training on 10 k,
100 k and 1 M aggregated rows (against LightGBM on the largest), with peak memory of this process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.synthetic import catalogue, truth

from fleetune.context import CORES, Environment
from fleetune.features import Frame
from fleetune_research.baselines import available, boosted
from fleetune_research.fleet.simulate import fold_symbols
from fleetune_server.training.fit import Rows, fit

PACKETS = 10_000_000
CELLS = 16_000
SIZES = (10_000, 100_000, 1_000_000)
SYSTEMS = ("windows", "macos", "linux", "android")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def folding(packets: int) -> dict[str, float]:
    """Seconds to fold, by bincount and by sorting raw rows."""
    rng = np.random.default_rng(0)
    cell = rng.integers(0, CELLS, packets)
    symbol = rng.integers(0, 64, packets).astype(np.uint8)
    seconds, sums = timed(lambda: fold_symbols(cell, symbol, CELLS))

    def group_by() -> Any:
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(CELLS))
        value = 2 * symbol[order].astype(np.int64) - 63
        return np.add.reduceat(value, starts), np.add.reduceat(value * value, starts)

    slow, check = timed(group_by)
    assert (check[0] == sums[1]).all()
    assert (check[1] == sums[2]).all()
    return {
        "packets": packets,
        "seconds": seconds,
        "packets_per_second": packets / seconds,
        "group_by_seconds": slow,
        "peak_mb": peak_mb(),
    }


def rows(count: int) -> Rows:
    """`count` aggregated cells of 28 kernels in as many environments as that takes, with reports' noise."""
    rng = np.random.default_rng(1)
    manifest = catalogue(28, sizes=(8, 64, 512, 4096, 32768, 262144))
    cells = [
        (kernel, context, name)
        for kernel in manifest.kernels.values()
        for _, _, _, context in kernel.contexts()
        for name in kernel.variants
    ]
    browsers = ("chromium", "firefox", "webkit")
    places = [
        Environment(browser, version, system, True, browser != "webkit", False, cores)
        for version in range(150, 200)
        for browser in browsers
        for system in SYSTEMS
        for cores in CORES
    ][: -(-count // len(cells))]
    base = {
        browser: np.array(
            [truth(k, c, Environment(browser, 1, "linux", True, True, False, "1"), n) for k, c, n in cells]
        )
        for browser in {place.browser for place in places}
    }
    once = Frame.of((k, c, places[0], n) for k, c, n in cells)
    repeat = len(places)
    frame = Frame(
        once.kernels, once.contexts, places, once.candidates,
        np.tile(once.kernel, repeat), np.tile(once.context, repeat),
        np.repeat(np.arange(repeat), len(cells)), np.tile(once.candidate, repeat),
    )  # fmt: skip
    target = np.concatenate([base[place.browser] for place in places])
    variance = np.full(len(target), 0.05**2)
    whole = Rows(frame, target + rng.normal(0, 0.07, len(target)), variance)
    return whole.take(rng.permutation(len(target))[:count])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--packets", type=int, default=PACKETS)
    args = parser.parse_args()
    result: dict[str, Any] = {"folding": folding(args.packets), "training": []}
    for count in args.rows:
        data = rows(count)
        seconds, (model, report) = timed(partial(fit, data, seed=0, version=1, clip=0.25))
        artefact = model.to_bytes()
        entry = {
            "rows": count,
            "seconds": seconds,
            "peak_mb": peak_mb(),
            "wide_rows": len(model.artefact.keys),
            "bytes": len(artefact),
            "gzip": len(gzip.compress(artefact, 6)),
            "loss": report.wide_losses[-1],
        }
        if count == max(args.rows) and "lightgbm" in available():
            few = data.frame.take(np.arange(8))
            entry["lightgbm_seconds"] = timed(partial(boosted, "lightgbm", data, few))[0]
        result["training"].append(entry)
        print(entry, file=sys.stderr, flush=True)
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
