"""Lab measurements and folded reports as training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fleetune.context import Context, Environment
from fleetune.fit import Rows
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune_server.learn.aggregate import Estimates
from fleetune_server.learn.lab import LabRow

LAB_SD = 0.015  # least relative error of one lab cell: browser launches differ by this much


def lab_rows(rows: Sequence[LabRow], manifest: Manifest, *, repeats: frozenset[int] | None = None) -> Rows:
    """One row per cell: the mean of its repeats' ln speedups, variance LAB_SD² / repeats + their scatter.

    `repeats` keeps only these (evaluation holds one out). Disturbed series are left out.
    """
    cells: dict[tuple[str, Context, Environment, str], list[float]] = {}
    for row in rows:
        if repeats is None or row.repeat in repeats:
            for name, value in row.log_speedups().items():
                if name != BASELINE:
                    cells.setdefault((row.signature, row.context, row.environment, name), []).append(value)
    kernels = manifest.by_signature
    table: list[tuple[Kernel, Context, Environment, str, float, float]] = []
    for (signature, context, environment, name), values in cells.items():
        scatter = float(np.var(values)) if len(values) > 1 else 0.0
        variance = (LAB_SD**2 + scatter) / len(values)
        table.append((kernels[signature], context, environment, name, float(np.mean(values)), variance))
    return Rows.of(table)


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
