"""What the lab measurements say: policies side by side, where the best differs, how far runs agree. Pure.

Speedups are over the idiomatic baseline `js`, combined over repeats and cells as geometric means;
`againstTuned` states the same against the better of `js` and `js-tuned`. Resident cells lead; copied ones
stand beside them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean
from typing import Any

from fleetune.context import Context
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune_server.training.lab import LabRow

TUNED = "js-tuned"
NEAR_TIE = math.log(1.03)
MAIN_ENGINES = ("chromium", "firefox", "webkit")

SafeDefault = Callable[[Kernel, frozenset[str]], str]


@dataclass(frozen=True)
class Cell:
    """One kernel in one context and engine: ln speedup over `js` of every candidate, mean over repeats."""

    engine: str
    kernel: Kernel
    size: int
    context: Context
    features: frozenset[str]
    speedups: Mapping[str, float]

    @property
    def best(self) -> str:
        return max(self.speedups, key=lambda name: (self.speedups[name], name))

    @property
    def oracle(self) -> float:
        return self.speedups[self.best]

    @property
    def baseline(self) -> float:
        """ln speedup of the better JavaScript."""
        return max(self.speedups[BASELINE], self.speedups.get(TUNED, 0.0))

    @property
    def near_tie(self) -> bool:
        """Whether the second best is within 3 % of the best."""
        first, *rest = sorted(self.speedups.values(), reverse=True)
        return bool(rest) and first - rest[0] <= NEAR_TIE

    def of(self, candidate: str) -> float:
        """ln speedup of a candidate; where it does not exist (or was wrong) JavaScript runs, at 0."""
        return self.speedups.get(candidate, 0.0)


def cells(rows: Iterable[LabRow], manifest: Manifest) -> list[Cell]:
    """Rows of all repeats as cells; disturbed series are left out, and cells that have nothing left."""
    grouped: dict[tuple[str, str, int, Context], list[LabRow]] = defaultdict(list)
    for row in rows:
        grouped[row.engine, row.signature, row.size, row.context].append(row)
    found = []
    for (engine, signature, size, context), repeats in sorted(grouped.items(), key=lambda item: item[0]):
        values: dict[str, list[float]] = defaultdict(list)
        for row in repeats:
            for name, value in row.log_speedups().items():
                values[name].append(value)
        if values:
            speedups = {name: fmean(each) for name, each in values.items()}
            kernel = manifest.by_signature[signature]
            found.append(Cell(engine, kernel, size, context, repeats[0].environment.features, speedups))
    return found


def report(rows: Sequence[LabRow], manifest: Manifest, safe_default: SafeDefault) -> dict[str, Any]:
    """The whole report as JSON-able data; `safe_default(kernel, features)` is the capability heuristic."""
    every = cells(rows, manifest)
    if not every:
        raise ValueError("no lab measurements of the current kernels: run make lab")
    engines = list(dict.fromkeys(cell.engine for cell in every))
    by_engine = {engine: [cell for cell in every if cell.engine == engine] for engine in engines}
    measured = {cell.kernel.name: cell.kernel for cell in every}
    repeats = {engine: repeatability([r for r in rows if r.engine == engine]) for engine in engines}
    disturbed = sum(not row.steady(name) for row in rows for name in row.times)
    return {
        "kernels": len(measured),
        "variants": sum(len(kernel.variants) for kernel in measured.values()),
        "environments": len(engines),
        "engines": engines,
        "cells": {engine: len(found) for engine, found in by_engine.items()},
        "baseline": "js: idiomatic JavaScript; againstTuned: the better of js and js-tuned",
        "policies": {engine: policies(found, safe_default) for engine, found in by_engine.items()},
        "best": best_table(every),
        "differs": differs(every),
        "nearTies": _share(cell.near_tie for cell in every),
        "wrong": sorted({f"{row.engine} {row.kernel} {name}" for row in rows for name in row.wrong}),
        "disturbed": disturbed / max(sum(len(row.times) for row in rows), 1),
        "repeatability": _pooled(list(repeats.values())) | {"engines": repeats},
    }


def policies(found: Sequence[Cell], safe_default: SafeDefault) -> dict[str, Any]:
    """Geometric mean speedups of every policy on resident cells, and under `copied` on copied ones."""
    resident = [cell for cell in found if not cell.context.copied]
    copied = [cell for cell in found if cell.context.copied]
    result = _policies(resident or copied, safe_default)
    if copied and resident:
        result["copied"] = _policies(copied, safe_default)
    return result


def _policies(found: Sequence[Cell], safe_default: SafeDefault) -> dict[str, Any]:
    best_of_kernel = _hindsight(found, lambda cell: cell.kernel.name)
    best_of_pattern = _hindsight(found, lambda cell: (cell.kernel.name, cell.context.pattern))
    choices: dict[str, Callable[[Cell], float]] = {
        "js": lambda cell: 0.0,
        "capability": lambda cell: cell.of(safe_default(cell.kernel, cell.features)),
        "best_fixed": lambda cell: cell.of(best_of_kernel[cell.kernel.name]),
        "best_fixed_pattern": lambda cell: cell.of(best_of_pattern[cell.kernel.name, cell.context.pattern]),
        "oracle": lambda cell: cell.oracle,
    }
    logs = {name: [choice(cell) for cell in found] for name, choice in choices.items()}
    baseline = fmean(cell.baseline for cell in found)
    means = {name: fmean(values) for name, values in logs.items()}
    names = sorted({name for cell in found for name in cell.speedups} - {BASELINE})
    fixed = {name: fmean(cell.of(name) for cell in found) for name in names}
    return {
        **{name: math.exp(mean) for name, mean in means.items()},
        "ofOracle": {
            name: fmean(math.exp(value - cell.oracle) for value, cell in zip(values, found, strict=True))
            for name, values in logs.items()
        },
        "againstTuned": {name: math.exp(mean - baseline) for name, mean in means.items()},
        "fixed": {
            name: {
                "speedup": math.exp(mean),  # JavaScript where the kernel has no such variant
                "cells": _share(name in cell.speedups for cell in found),
            }
            for name, mean in fixed.items()
        },
        "jsBest": _share(cell.best in (BASELINE, TUNED) for cell in found),
    }


def _hindsight(found: Sequence[Cell], key: Callable[[Cell], Any]) -> dict[Any, str]:
    """For each group the one candidate with the highest mean ln speedup over its cells."""
    groups: dict[Any, list[Cell]] = defaultdict(list)
    for cell in found:
        groups[key(cell)].append(cell)
    best = {}
    for name, group in groups.items():
        candidates = sorted({candidate for cell in group for candidate in cell.speedups})
        best[name] = max(candidates, key=lambda candidate: fmean(cell.of(candidate) for cell in group))
    return best


def best_table(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """The best candidate per kernel × context, engine by engine."""
    table: dict[tuple[str, str, int], dict[str, Any]] = {}
    for cell in found:
        key = (cell.kernel.name, cell.context.pattern, cell.size)
        table.setdefault(key, {})[cell.engine] = {"best": cell.best, "speedup": math.exp(cell.oracle)}
    return [
        {"kernel": kernel, "pattern": pattern, "size": size, "engines": engines}
        for (kernel, pattern, size), engines in sorted(table.items())
    ]


def differs(found: Sequence[Cell]) -> dict[str, float]:
    """How often the best differs across sizes, and across the main engines; strictly, and by over 3 %."""
    sizes: dict[Any, list[Cell]] = defaultdict(list)
    engines: dict[Any, list[Cell]] = defaultdict(list)
    for cell in found:
        sizes[cell.engine, cell.kernel.name, cell.context.pattern].append(cell)
        if cell.engine in MAIN_ENGINES:
            engines[cell.kernel.name, cell.size, cell.context].append(cell)
    several = [group for group in sizes.values() if len(group) > 1]
    across = [group for group in engines.values() if len(group) > 1]
    return {
        "sizes": _share(len({cell.best for cell in group}) > 1 for group in several),
        "sizesOver3pct": _share(_no_common(group) for group in several),
        "engines": _share(len({cell.best for cell in group}) > 1 for group in across),
        "enginesOver3pct": _share(_no_common(group) for group in across),
    }


def _no_common(group: Sequence[Cell]) -> bool:
    """Whether no single candidate is within 3 % of the best in every cell of the group."""
    good = [
        {name for name, value in cell.speedups.items() if cell.oracle - value <= NEAR_TIE} for cell in group
    ]
    return not set.intersection(*good)


def repeatability(rows: Sequence[LabRow]) -> dict[str, float]:
    """How far independent launches of one engine agree: one run's choice judged by every other run's times.

    `mean_abs_dlog` is per candidate; the rest is per cell; `pairs` counts (cell, run, other run)."""
    runs: dict[tuple[str, int, Context], dict[int, Mapping[str, float]]] = defaultdict(dict)
    for row in rows:
        if speedups := row.log_speedups():
            runs[row.signature, row.size, row.context][row.repeat] = speedups
    same, losses, deltas = [], [], []
    for by_run in runs.values():
        for here, there in permutations(by_run.values(), 2):
            common = sorted(here.keys() & there.keys())
            mine, best = (max(common, key=run.__getitem__) for run in (here, there))
            same.append(mine == best)
            losses.append(there[best] - there[mine])
            deltas += [abs(here[name] - there[name]) for name in common if name != BASELINE]
    if not same:
        return {"pairs": 0}
    return {
        "same_best": _share(same),
        "within_3pct": _share(loss <= NEAR_TIE for loss in losses),
        "within_5pct": _share(loss <= math.log(1.05) for loss in losses),
        "mean_abs_dlog": fmean(deltas),
        "regret": fmean(1 - math.exp(-loss) for loss in losses),
        "pairs": len(same),
    }


def _pooled(parts: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Engines' repeatability together, weighted by pairs."""
    counted = [part for part in parts if part["pairs"]]
    total = sum(part["pairs"] for part in counted)
    keys = [key for key in (counted[0] if counted else ()) if key != "pairs"]
    return {key: sum(part[key] * part["pairs"] for part in counted) / total for key in keys} | {
        "pairs": total
    }


def _share(flags: Iterable[bool]) -> float:
    """The share of true ones; 0 of none."""
    values = list(flags)
    return sum(values) / len(values) if values else 0.0
