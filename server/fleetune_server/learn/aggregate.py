"""Reports to statistics: (n, Σ, Σ²) per cell, round and ε, mergeable, so that nothing needs raw packets.

Pure: values in, values out. Σ is kept in integers (of 2·symbol − 63, twice the centred symbol), so that
folding is exact, independent of order, and each report counts exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context, Environment
from fleetune.privacy import SYMBOLS, mechanism
from fleetune_server.learn.evenness import crowded
from fleetune_server.store.base import Cell, CellSum

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BASE_ERROR = 0.02  # a round's own systematic error (rounding, clip bias), added to every mean's deviation
FEW = 20  # reports whose mean is about half noise
FORGED = 0.3  # of the noise's least variance: honest reports do not come below it
DISCOUNT = 1.0  # deviation added to reports that look forged: they count for next to nothing
FULL = 0.85  # mean residual, in clips, from which a round may have been cut off by its clip
CUT_OFF = 0.5  # clips that a wholly cut-off newest round may be wrong by,
SUPERSEDED = 2.0  # and more for every newer round
GROUP = 20  # reports below which a (signature, environment) group is rolled up, not published on its own


def is_heldout(nonce: str, share: int = 10) -> bool:
    """Whether a report is kept out of training for the gate: one in `share`, decided by its random nonce."""
    return int(nonce[:8], 16) % share == 0


def fold_symbols(cell: Ints, symbol: NDArray[np.uint8], cells: int) -> tuple[Ints, Ints, Ints]:
    """(n, Σ, Σ²) per cell of reports given as columns: `cell` (reports,) in [0, cells), `symbol` (reports,).

    One pass of `np.bincount`; float64 sums of these small integers are exact up to 2^53.
    """
    centred = 2.0 * symbol - (SYMBOLS - 1)
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, weights=centred, minlength=cells)
    squares = np.bincount(cell, weights=centred * centred, minlength=cells)
    return count.astype(np.int64), total.astype(np.int64), squares.astype(np.int64)


def merge(rows: Iterable[CellSum]) -> list[CellSum]:
    """Sums of the same cell and share added up, in order of first appearance. Associative and commutative."""
    merged: dict[tuple[Cell, bool], CellSum] = {}
    for row in rows:
        key = row.cell, row.heldout
        known = merged.get(key)
        merged[key] = row if known is None else _add(known, row)
    return list(merged.values())


def _add(a: CellSum, b: CellSum) -> CellSum:
    return CellSum(a.cell, a.heldout, a.count + b.count, a.total + b.total, a.squares + b.squares)


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the reports say about each distinct cell: the mean ln speedup and its variance, by columns.

    `count` reports stand behind each estimate.
    """

    cells: Sequence[tuple[str, Context, Environment, str]]  # (signature, context, environment, candidate)
    mean: Floats  # (cells,) ln speedup
    variance: Floats  # (cells,)
    count: Ints  # (cells,) sampleCount

    @property
    def confidence(self) -> Floats:
        """1 for a cell known without error, 0 for one not better known than a guess (sd 0.5)."""
        return np.asarray(1 / (1 + self.variance / 0.5**2))


def combine(rows: Sequence[CellSum], doubt: bool = True) -> Estimates:
    """Decode every (cell, round, ε) and combine a cell's rounds by inverse variance.

    A round's estimate is base + clip · mean(x̂); its variance is clip² · var(x̂) / n + 0.02². The variance of
    one decoded report is the mechanism's own, not the sample's: right for n = 1 too. With `doubt`, a round
    whose reports lie at the clip tells the direction only and yields to newer ones, and reports that look
    forged count for next to nothing.
    """
    index: dict[tuple[str, Context, Environment, str], int] = {}
    cell = np.array([index.setdefault(place(row.cell), len(index)) for row in rows], dtype=np.int64)
    count = np.array([row.count for row in rows], dtype=np.float64)
    clip = np.array([row.cell.clip for row in rows])
    base = np.array([row.cell.base_log for row in rows])
    mean, noise = decoded_means(rows)
    value = base + clip * mean
    spread = clip**2 * noise / np.maximum(count, 1) + BASE_ERROR**2
    if doubt:
        version = np.array([row.cell.version for row in rows], dtype=np.int64)
        newer = len(np.unique(version)) - 1 - np.unique(version, return_inverse=True)[1]  # rounds
        spread += ((CUT_OFF + SUPERSEDED * newer) * clip * cut_off(rows, mean)) ** 2
        spread = np.where(too_regular(rows) | crowded(rows), spread + DISCOUNT**2, spread)
    weight = np.bincount(cell, 1 / spread, len(index))
    return Estimates(
        list(index),
        np.bincount(cell, value / spread, len(index)) / weight,
        1 / weight,
        np.bincount(cell, count, len(index)).astype(np.int64),
    )


def cut_off(rows: Sequence[CellSum], mean: Floats) -> Floats:
    """How far each round was cut off by its clip, 0 to 1, from its mean residuals (rows,) in clip units.

    What is beyond the clip is reported as the clip, so there the mean is no estimate of the truth. Judged by
    (kernel, candidate, round) and by (kernel, round), shrunk toward 0: single cells have too few reports.
    """
    count = np.array([row.count for row in rows], dtype=np.float64)
    worst = np.zeros(len(rows))
    for candidates in (True, False):
        index: dict[tuple[str, str, int], int] = {}
        cells = (row.cell for row in rows)
        keys = ((c.signature, c.candidate if candidates else "", c.version) for c in cells)
        group = np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.int64)
        reports = np.bincount(group, count, len(index))
        pooled = np.abs(np.bincount(group, mean * count, len(index))) / (reports + FEW)
        worst = np.maximum(worst, np.clip((pooled - FULL) / (1 - FULL), 0, 1)[group])
    return worst


def too_regular(rows: Sequence[CellSum]) -> NDArray[np.bool_]:
    """Rows whose reports scatter less than the mechanism's own noise must: not made by it, but forged.

    Judged by (kernel, environment, candidate, round, ε), contexts pooled: an honest group's variance
    within its cells is at least the noise's, and below FORGED of it with a chance that FEW reports make
    negligible.
    """
    index: dict[tuple[object, ...], int] = {}
    group = np.array(
        [
            index.setdefault((c.signature, c.environment, c.candidate, c.version, c.epsilon), len(index))
            for c in (row.cell for row in rows)
        ],
        dtype=np.int64,
    )
    count = np.array([row.count for row in rows], dtype=np.float64)
    total = np.array([row.total for row in rows], dtype=np.float64)
    squares = np.array([row.squares for row in rows], dtype=np.float64)
    within = np.bincount(group, squares - total**2 / np.maximum(count, 1), len(index))
    freedom = np.bincount(group, np.maximum(count - 1, 0), len(index))
    noise = [mechanism(float(epsilon)) for *_, epsilon in index]  # type: ignore[arg-type]
    least = np.array([float(m.variance(0.0)) * (2 * m.scale) ** 2 for m in noise])
    return np.asarray(((freedom >= FEW) & (within < FORGED * least * freedom))[group])


def place(cell: Cell) -> tuple[str, Context, Environment, str]:
    """The cell without its round: what rounds are combined over."""
    return cell.signature, cell.context, cell.environment, cell.candidate


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


def roll_up(rows: Sequence[CellSum], least: int = GROUP) -> list[CellSum]:
    """Each (signature, environment) group of fewer than `least` reports moved to its coarser environment.

    The coarser environment keeps browser and features and drops version, system and cores: reports of small
    groups still teach about the engine, but are never published on their own; a group that is too small even
    then is left out until it grows. Reports are counted, not people: nothing identifies people.
    """
    counts = _group_counts(rows)
    large = [row for row in rows if counts[_group(row)] >= least]
    small = (row for row in rows if counts[_group(row)] < least)
    coarse = merge(
        replace(row, cell=replace(row.cell, environment=coarsen(row.cell.environment))) for row in small
    )
    coarse_counts = _group_counts(coarse)
    return large + [row for row in coarse if coarse_counts[_group(row)] >= least]


def coarsen(environment: Environment) -> Environment:
    """The engine that an environment belongs to: browser and features only."""
    return replace(environment, version=0, os="other", cores="1", threads=False)


def _group(row: CellSum) -> tuple[str, Environment]:
    return row.cell.signature, row.cell.environment


def _group_counts(rows: Iterable[CellSum]) -> Mapping[tuple[str, Environment], int]:
    counts: dict[tuple[str, Environment], int] = {}
    for row in rows:
        counts[_group(row)] = counts.get(_group(row), 0) + row.count
    return counts
