"""Change points: rounds that newer ones contradict count for less. Pure.

For each cell and, since single cells have few reports, for each kernel, environment and candidate (by pattern,
and over all patterns), the mean of the newer rounds is compared with the mean of the older ones at every
possible split (the likelihood-ratio form of the CUSUM test: Page, "Continuous Inspection Schemes", 1954;
Basseville & Nikiforov, "Detection of Abrupt Changes", 1993, ch. 2). Where they differ surely, the older
rounds are wrong by about that difference, which becomes part of their deviation. What the sizes of a pattern
have in common moves them too: a size that has few new reports is better guessed by how the others changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleetune.features import Floats, Ints
from fleetune_server.training.rounds import CellKey, Rounds

SURE = 4.0  # deviations by which newer rounds must differ from older ones,
LIKELY = 2.5  # and where another candidate of the same kernel, pattern and environment has surely changed
ALIKE = 0.01  # ln speedup by which two halves may always differ
RECENT = 50  # reports of a pool after a change that may still be cut off by the clip from before it
FEWEST = 8  # reports in the newer rounds below which nothing is said


def _cell(cell: CellKey) -> object:
    return cell


def _candidate_in_pattern(cell: CellKey) -> object:
    return cell[0], cell[1].pattern, cell[2], cell[3]


def _candidate(cell: CellKey) -> object:
    return cell[0], cell[2], cell[3]


@dataclass(frozen=True, slots=True)
class Changes:
    """What newer rounds say against each row, (rows,) each."""

    size: Floats  # ln speedup of the change that came after the row; 0 if none did
    shift: Floats  # ln speedup by which all sizes of the row's pattern changed together; 0 if they did not
    recent: Floats  # ln speedup of the change that the row is among the first reports after; 0 without one

    def followed(self, rounds: Rounds) -> Rounds:
        """The rounds, old ones as far on as their pattern, and less sure by the whole change: one size may differ."""
        return replace(rounds, value=rounds.value + self.shift, variance=rounds.variance + self.size**2)


def changes_of(rounds: Rounds, reference: Mapping[CellKey, float]) -> Changes:
    """The surest change of each pool, if it is sure at all.

    Cells of a pool are compared through their distance from `reference`; cells without one only with
    themselves.
    """
    size, shift, recent = (np.zeros(len(rounds.cell)) for _ in range(3))
    expected = np.array([reference.get(cell, np.nan) for cell in rounds.cells])
    known = np.flatnonzero(np.isfinite(expected)[rounds.cell])

    def look(pool: Callable[[CellKey], object], rows: Ints, sure: float) -> Floats:
        """The change of each row's pool, which is also noted as its size and, if it is sure, as recent."""
        origin = 0.0 if pool is _cell else expected[rounds.cell[rows]]
        group = _numbers(rounds.cells, pool)[rounds.cell[rows]]
        residual = rounds.value[rows] + shift[rows] - origin
        columns = rounds.round[rows], residual, rounds.variance[rows], rounds.count[rows]
        before, after = _jumps(group, *columns, sure)
        size[rows] = np.maximum(size[rows], np.abs(before))
        # A single cell has so few reports that its place's clip would stay wide.
        if sure == SURE and pool is not _cell:
            recent[rows] = np.maximum(recent[rows], after)
        return before

    look(_cell, np.arange(len(rounds.cell)), SURE)
    look(_candidate_in_pattern, known, SURE)
    # An engine that compiles one candidate otherwise has probably changed the others too.
    place = _numbers(rounds.cells, lambda cell: (cell[0], cell[1].pattern, cell[2]))[rounds.cell]
    beside = known[np.isin(place[known], place[size > 0])]
    shift[beside] = look(_candidate_in_pattern, beside, LIKELY)
    # Of what no pattern explains: else one that changed would speak for the others.
    look(_candidate, known, SURE)
    return Changes(size, shift, recent)


def _numbers(cells: Sequence[CellKey], pool: Callable[[CellKey], object]) -> Ints:
    """The number of each cell's pool, (cells,)."""
    index: dict[object, int] = {}
    return np.array([index.setdefault(pool(cell), len(index)) for cell in cells], dtype=np.int64)


def _jumps(
    group: Ints, order: Ints, value: Floats, variance: Floats, count: Floats, least: float
) -> tuple[Floats, Floats]:
    """The surest change in each row's group, if it is at least so many deviations: for rows from before
    it, and for rows from after it while they are few; (rows,) each."""
    sort = np.lexsort((order, group))
    group, order = group[sort], order[sort]
    value, variance, count = value[sort], variance[sort], count[sort]
    weight = 1 / variance
    first = np.searchsorted(group, group)  # where each row's group begins
    last = np.searchsorted(group, group, side="right") - 1

    def halves(column: Floats) -> tuple[Floats, Floats]:
        """The sum of each row's group up to the row, and after it."""
        total = np.cumsum(column)
        return total - total[first] + column[first], total[last] - total

    (w_old, w_new), (v_old, v_new), (_, n_new) = halves(weight), halves(weight * value), halves(count)
    ends = np.append((group[1:] != group[:-1]) | (order[1:] != order[:-1]), True)  # a split is between rounds
    valid = ends & (n_new >= FEWEST)
    w_new = np.where(valid, w_new, 1.0)
    change = v_new / w_new - v_old / w_old
    z = np.where(valid, np.abs(change) / np.sqrt(1 / w_new + 1 / w_old + ALIKE**2), 0.0)
    best = np.lexsort((z, group))[last]  # the surest split of each row's group
    sure = np.where(z[best] > least, change[best], 0.0)
    after = np.arange(len(group)) > best
    jump, recent = np.zeros(len(group)), np.zeros(len(group))
    jump[sort] = np.where(after, 0.0, sure)
    recent[sort] = np.where(after & (n_new[best] < RECENT), np.abs(sure), 0.0)
    return jump, recent
