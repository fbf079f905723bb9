"""Sums of reports decoded: one row for each cell and round, with its own variance. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetune.context import Context, Environment
from fleetune.features import Floats, Ints
from fleetune.privacy import mechanism
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import place
from fleetune_server.training.doubts import FEW, cut_off, forged, over_reported

CellKey = tuple[str, Context, Environment, str]  # signature, context, environment, candidate
BASE_ERROR = 0.02  # a round's own systematic error (rounding, clip bias), added to every mean's deviation
FORGED_SD = 5.0  # deviation added to reports that look forged: many together still count for next to nothing
CUT_OFF = 0.5  # clips that a wholly cut-off newest round may be wrong by,
SUPERSEDED = 2.0  # and more for every newer round


@dataclass(frozen=True, slots=True)
class Rounds:
    """Decoded rounds of cells by columns, (rows,) each; `cell` indexes `cells`."""

    cells: Sequence[CellKey]
    cell: Ints
    round: Ints
    value: Floats  # ln speedup
    variance: Floats
    count: Floats

    @classmethod
    def of(cls, rows: Sequence[CellSum], doubt: bool) -> Rounds:
        """Decode every (cell, round, ε): base + clip · mean(x̂), with variance clip² · var(x̂) / n + 0.02².

        The variance of one decoded report is the mechanism's own, not the sample's: right for n = 1 too. With
        `doubt`, a round whose reports lie at the clip tells the direction only and yields to newer ones, and
        reports that look forged count for next to nothing.
        """
        index: dict[CellKey, int] = {}
        cell = np.array([index.setdefault(place(row.cell), len(index)) for row in rows], dtype=np.int64)
        count = np.array([row.count for row in rows], dtype=np.float64)
        clip = np.array([row.cell.clip for row in rows])
        base = np.array([row.cell.base_log for row in rows])
        version = np.array([row.cell.version for row in rows], dtype=np.int64)
        mean, noise = decoded_means(rows)
        variance = clip**2 * noise / np.maximum(count, 1) + BASE_ERROR**2
        if doubt:
            newer = newer_rounds(version)
            variance += ((CUT_OFF + SUPERSEDED * newer) * clip * cut_off(rows, mean)) ** 2
            variance += FORGED_SD**2 * (forged(rows) | over_reported(rows))
        return cls(list(index), cell, version, base + clip * mean, variance, count)

    def take(self, rows: Ints) -> Rounds:
        """Only these rows, and their cells."""
        present, cell = np.unique(self.cell[rows], return_inverse=True)
        columns = (getattr(self, name)[rows] for name in ("round", "value", "variance", "count"))
        return Rounds([self.cells[number] for number in present.tolist()], cell, *columns)


def newer_rounds(version: Ints) -> Ints:
    """How many rounds are newer than each row's, (rows,)."""
    distinct, number = np.unique(version, return_inverse=True)
    return np.asarray(len(distinct) - 1 - number)


def decoded_means(rows: Sequence[CellSum]) -> tuple[Floats, Floats]:
    """Per row: the mean decoded residual in clip units, unbiased, and one report's variance around it.

    The variance is taken at the mean shrunk toward 0: at the bare mean of a few reports it would follow
    the noise.
    """
    mean, variance = np.zeros(len(rows)), np.zeros(len(rows))
    epsilon = np.array([row.cell.epsilon for row in rows])
    total = np.array([row.total for row in rows], dtype=np.float64)
    count = np.array([max(row.count, 1) for row in rows], dtype=np.float64)
    for value in np.unique(epsilon):
        here = epsilon == value
        noise = mechanism(float(value))
        mean[here] = total[here] / (2 * noise.scale) / count[here]
        variance[here] = noise.variance(mean[here] * count[here] / (count[here] + FEW))
    return mean, variance
