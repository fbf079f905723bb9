"""Training of the wide part: crossed random effects by backfitting, with empirical-Bayes variances.

Each table (cross) has one effect a row, drawn from N(0, τ²) a priori. A sweep visits the tables from coarse
to fine; given all other tables an effect's posterior is N(m, s²) with s² = 1/(Σ 1/v + 1/τ²), m = s² Σ r/v
over the residuals r of its rows. τ² is re-estimated as the mean of m² + s² (the EM step of Laird & Ware,
1982). Every step is one `np.bincount`: a million rows in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import SMOOTH, VALUE_STEP
from fleetune.features import Floats, Ints
from fleetune.model import CROSSES, table_keys

TAU_BOUNDS = (0.02**2, 1.5**2)
TAU_START = 0.2**2
ENVIRONMENT_SD = 0.03
SURE = 3.0  # deviations, of the prior and its own, from which an effect is outlying
REPLICATED = 1.5  # environments per engine from which the data may tell
STICKY = 1.2  # quantisation steps that a row must move before its code changes,
HELD = 0.5  # or deviations of its own: less than that is nothing new


@dataclass
class Table:
    """One cross: the packed keys of its rows, each data row's group, effects and posterior variances."""

    keys: Ints  # (groups,) ascending
    group: Ints  # (n,) into keys
    tau2: float = TAU_START
    learns: bool = True  # whether τ² is estimated; otherwise it stays as given
    effect: Floats = field(default_factory=lambda: np.zeros(0))
    variance: Floats = field(default_factory=lambda: np.zeros(0))
    outlying: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def update(self, residual: Floats, precision: Floats) -> Floats:
        """Set the posterior from residuals (n,) that exclude this table; return its part of the fit, (n,)."""
        total = np.bincount(self.group, precision, len(self.keys))
        weighted = np.bincount(self.group, precision * residual, len(self.keys))
        # Effects are mostly small and sometimes large, when an engine changes one thing. What is surely
        # larger than the prior allows gets a prior of its own size instead of being shrunk away.
        square = (weighted / total) ** 2
        self.outlying = square > SURE**2 * (self.tau2 + 1 / total)
        self.variance = 1 / (total + 1 / np.where(self.outlying, square, self.tau2))
        self.effect = weighted * self.variance
        return self.effect[self.group]

    def learn_tau(self) -> None:
        """The EM step for the prior variance, kept within TAU_BOUNDS; outlying effects say nothing of it."""
        if self.learns and np.count_nonzero(~self.outlying) >= 4:
            mean = float(np.mean((self.effect**2 + self.variance)[~self.outlying]))
            self.tau2 = min(max(mean, TAU_BOUNDS[0]), TAU_BOUNDS[1])


def tables_of(codes: Mapping[str, Ints], crosses: Sequence[Sequence[str]], first: int = 0) -> list[Table]:
    """The tables from number `first` on, of rows given by vocabulary entries; all entries must be known."""
    tables = []
    for keys in table_keys(codes, crosses)[first:]:
        distinct, group = np.unique(keys, return_inverse=True)
        tables.append(Table(distinct, group.astype(np.int64)))
    return tables


def environment_tables(codes: Mapping[str, Ints]) -> list[Table]:
    """Empty tables of how environments differ from their engine, with the prior variances to start from.

    Always the same start, not the previous model's: the estimate is not run to convergence, and so equal rows
    give equal effects, and few new rows a small change. An engine seen in one environment only cannot
    tell what is the engine's and what the environment's; then ENVIRONMENT_SD is assumed of each table, so
    that what the lab taught carries over to other machines.
    """
    tables = tables_of(codes, CROSSES, len(SMOOTH))
    learns = len(np.unique(codes["environment"])) >= REPLICATED * len(np.unique(codes["engine"]))
    for table in tables:
        table.tau2, table.learns = ENVIRONMENT_SD**2, learns
    return tables


def backfit(tables: Sequence[Table], target: Floats, variance: Floats, *, sweeps: int) -> list[float]:
    """Fit all tables to the target (n,) with noise variances (n,); the weighted loss after every sweep."""
    precision = 1 / variance
    parts = [table.effect[table.group] if len(table.effect) else np.zeros(len(target)) for table in tables]
    residual = target - sum(parts, start=np.zeros(len(target)))
    losses = []
    for sweep in range(sweeps):
        for number, table in enumerate(tables):
            residual += parts[number]
            parts[number] = table.update(residual, precision)
            residual -= parts[number]
            if sweep >= 1:
                table.learn_tau()
        losses.append(float(np.average(residual**2, weights=precision)))
    return losses


def quantise(
    tables: Sequence[Table], drift: Floats, previous: Mapping[int, int] | None = None
) -> list[NDArray[np.int16]]:
    """Effects as multiples of VALUE_STEP. The finest table, of cells, makes up for what rounding leaves.

    `drift` (n,): what rows outside these tables say too little of each data row. With `previous` codes by
    key, a row keeps its code unless it moved by more than STICKY steps and HELD deviations: of its own, and
    for the coarser tables of the cells that it speaks for.
    """
    drift = drift.copy()
    codes = []
    for table in tables:
        finest = table is tables[-1]
        exact = table.effect
        if finest:
            exact = exact + np.bincount(table.group, drift) / np.bincount(table.group)
        code = np.clip(np.rint(exact / VALUE_STEP), -32767, 32767)
        if previous:
            before = np.array([previous.get(key, 1 << 20) for key in table.keys.tolist()], dtype=np.float64)
            spread = table.variance + (0.0 if finest else tables[-1].tau2)
            held = np.maximum(STICKY, HELD * np.sqrt(spread) / VALUE_STEP)
            code = np.where(np.abs(before - exact / VALUE_STEP) <= held, before, code)
        drift += (table.effect - code * VALUE_STEP)[table.group]
        table.effect = code * VALUE_STEP
        codes.append(code.astype(np.int16))
    return codes
