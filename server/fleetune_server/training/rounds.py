"""Sums of reports decoded: one row for each cell and round, with its own variance. Pure.

Old rounds become fewer cells, so that a store does not grow for ever. What is merged is what training would have made
of it anyway: the rounds of a cell become one estimate, and groups that are too small to be an environment of their own
count for their engine (`aggregate.py: roll_up`). The result is the round OLD of its cell, older than all versions. Its
base is what the sources say together, its clip makes one report's noise what their precision comes to, and every report
is still counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleetune.context import Context, Environment
from fleetune.features import Floats, Ints
from fleetune.privacy import SYMBOLS, mechanism
from fleetune_server.store.base import Cell, CellSum, Merge
from fleetune_server.training.aggregate import GROUP, coarsen, place
from fleetune_server.training.doubts import FEW, cut_off, forged, over_reported

CellKey = tuple[str, Context, Environment, str]  # signature, context, environment, candidate
BASE_ERROR = 0.02  # a round's own systematic error (rounding, clip bias), added to every mean's deviation
FORGED_SD = 5.0  # deviation added to reports that look forged: many together still count for next to nothing
CUT_OFF = 0.5  # clips that a wholly cut-off newest round may be wrong by,
SUPERSEDED = 2.0  # and more for every newer round
OLD = 0  # the round of what was merged
ROOM = 300_000  # old cells that may keep their environment
NARROWEST = 0.01  # clip: nothing is surer than BASE_ERROR anyway

Group = tuple[str, Environment]


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


def merges(rows: Sequence[CellSum], newest: int, room: int = ROOM, at_once: int = 300_000) -> list[Merge]:
    """What becomes of the rounds up to `newest`, given all folded sums; about `at_once` sources at most.

    Reports that training doubts stay as they are: beside honest ones they would be believed.
    """
    doubted = forged(rows) | over_reported(rows)
    old = [row for row, doubt in zip(rows, doubted, strict=True) if row.cell.version <= newest and not doubt]
    small = _small(rows, old, room)
    values = Rounds.of(old, doubt=True)
    apart = {
        _placed(row.cell, row.cell.environment)
        for row, doubt in zip(rows, doubted, strict=True)
        if doubt and row.cell.version == OLD
    }
    into: dict[Cell, list[int]] = {}
    for number, row in enumerate(old):
        cell = row.cell
        environment = coarsen(cell.environment) if _group(row) in small else cell.environment
        into.setdefault(_placed(cell, environment), []).append(number)
    found: list[Merge] = []
    taken = 0
    for target, numbers in into.items():
        sources = [old[number] for number in numbers]
        places = {(row.cell.environment, row.cell.version) for row in sources}
        if places == {(target.environment, OLD)} or target in apart:
            continue  # merged already, or a merged one is doubted now: it would have to be among the sources
        found.append(_merged(target, sources, values.value[numbers], values.variance[numbers]))
        taken += len(sources)
        if taken >= at_once:
            break
    return found


def _placed(cell: Cell, environment: Environment) -> Cell:
    """The merged cell of a place, before its base and clip are known."""
    return replace(cell, environment=environment, version=OLD, clip=0.0, base_log=0.0)


def _group(row: CellSum) -> Group:
    return row.cell.signature, row.cell.environment


def _small(rows: Iterable[CellSum], old: Iterable[CellSum], room: int) -> set[Group]:
    """Groups that join their engine: fewer than GROUP reports in all, then the thinnest until the others fit."""
    reports: Counter[Group] = Counter()
    for row in rows:
        reports[_group(row)] += row.count
    cells: dict[Group, set[object]] = {}
    for row in old:
        cell = row.cell
        if coarsen(cell.environment) != cell.environment:
            cells.setdefault(_group(row), set()).add((cell.context, cell.candidate, cell.epsilon))
    left = sum(map(len, cells.values()))
    small: set[Group] = set()
    for group in sorted(cells, key=lambda one: reports[one] / len(cells[one])):
        if reports[group] < GROUP or left > room:
            small.add(group)
            left -= len(cells[group])
    return small


def _merged(target: Cell, sources: Sequence[CellSum], value: Floats, variance: Floats) -> Merge:
    """One cell that says what its sources say: both shares around one base, every report counted."""
    noise = mechanism(target.epsilon)
    weight = 1 / variance
    base = float(np.average(value, weights=weight))
    count = sum(row.count for row in sources)
    spread = max(1 / float(weight.sum()) - BASE_ERROR**2, 0.0) * count / float(noise.variance(0.0))
    cell = replace(target, clip=max(math.sqrt(spread), NARROWEST), base_log=base)
    result = []
    for share in (False, True):
        mine = np.array([row.heldout == share for row in sources])
        if mine.any():
            number = sum(row.count for row in sources if row.heldout == share)
            squares = sum(row.squares for row in sources if row.heldout == share)
            residual = (float(np.average(value[mine], weights=weight[mine])) - base) / cell.clip
            total = _possible(2 * noise.scale * number * residual, number, squares)
            result.append(CellSum(cell, share, number, total, squares))
    return Merge(sources, result)


def _possible(total: float, count: int, squares: int) -> int:
    """The nearest sum that so many odd numbers with these squares can have (`store/schema.py`)."""
    most = min((SYMBOLS - 1) * count, math.isqrt(count * squares))
    most -= (most - count) % 2
    nearest = 2 * round((total - count) / 2) + count
    return max(-most, min(most, nearest))
