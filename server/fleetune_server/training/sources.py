"""Training rows from lab measurements and reports; from a guess where nothing was measured, so that every server
starts its loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fleetune.context import CORES, Context, Environment
from fleetune.features import safe_default
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune_server.training.estimates import Estimates
from fleetune_server.training.fit import Rows
from fleetune_server.training.lab import LabRow, load, of_visitors

GAIN = 1.0  # ln speedup of the capability heuristic's choice over JavaScript: 2.8 times, at design time
VARIANCE = 0.5**2  # of a guess
_FEATURES = ((True, True), (True, False), (False, False))  # SIMD, relaxed SIMD


def guessed_rows(manifest: Manifest) -> Rows:
    """The capability heuristic's choice gains GAIN, every other variant half of it, each with VARIANCE."""
    cells = []
    for simd, relaxed in _FEATURES:
        environment = Environment("other", 0, "other", simd, relaxed, False, CORES[0])
        for kernel in manifest.kernels.values():
            best = safe_default(kernel, environment.features)
            for _size, _pattern, _copied, context in kernel.contexts():
                for candidate in kernel.candidates(environment.features):
                    if candidate != BASELINE:
                        gain = GAIN if candidate == best else GAIN / 2
                        cells.append((kernel, context, environment, candidate, gain, VARIANCE))
    return Rows.of(cells)


LAB_SD = 0.015  # least relative error of one lab cell: browser launches differ by this much


@dataclass(frozen=True)
class Lab:
    """Public rows to train from."""

    rows: Rows
    measured: bool = True  # False: the capability heuristic's guesses, which no figure may be taken from


def lab_rows(rows: Sequence[LabRow], manifest: Manifest, *, repeats: frozenset[int] | None = None) -> Rows:
    """One row per cell: the mean of its repeats' ln speedups, variance LAB_SD² / repeats + their scatter, and
    the least time of the reference in its context.

    `repeats` keeps only these (evaluation holds one out). Disturbed series are left out.
    """
    cells: dict[tuple[str, Context, Environment], dict[str, list[float]]] = {}
    reference: dict[tuple[str, Context, Environment], float] = {}
    for row in rows:
        if repeats is None or row.repeat in repeats:
            where = row.signature, row.context, row.environment
            reference[where] = min(reference.get(where, math.inf), row.times[BASELINE] * 1e6)
            speedups = cells.setdefault(where, {})
            for name, value in row.log_speedups().items():
                if name != BASELINE:
                    speedups.setdefault(name, []).append(value)
    kernels = manifest.by_signature
    table: list[tuple[Kernel, Context, Environment, str, float, float]] = []
    times: list[float] = []
    for where, speedups in cells.items():
        signature, context, environment = where
        times += [reference[where]] * len(speedups)
        for name, values in speedups.items():
            # Not numpy's: for a handful of numbers, thousands of times, it takes ten times as long.
            mean = sum(values) / len(values)
            scatter = sum((value - mean) ** 2 for value in values) / len(values)
            variance = (LAB_SD**2 + scatter) / len(values)
            table.append((kernels[signature], context, environment, name, mean, variance))
    return replace(Rows.of(table), reference_ns=np.array(times))


def public_rows(folder: Path, manifest: Manifest) -> Rows:
    """What the lab in this folder measured in browsers that a visitor can have."""
    return lab_rows(of_visitors(load(folder, manifest)), manifest)


def report_rows(estimates: Estimates, manifest: Manifest) -> Rows:
    """Estimates from reports as rows; cells that the catalogue does not have are left out."""
    kernels = manifest.by_signature
    table: list[tuple[Kernel, Context, Environment, str, float, float]] = []
    for (signature, context, environment, name), mean, variance in zip(
        estimates.cells, estimates.mean.tolist(), estimates.variance.tolist(), strict=True
    ):
        kernel = kernels.get(signature)
        if kernel is not None and name != BASELINE and (name in kernel.variants or name in kernel.baselines):
            table.append((kernel, context, environment, name, mean, variance))
    return Rows.of(table)
