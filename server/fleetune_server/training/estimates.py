"""What all rounds of reports say together about each cell: a mean and how sure it is. Pure.

Rounds age: a round counts less for every newer one, and less still once newer rounds contradict it
(`changes.py`). A browser version starts at what was known of the version before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from fleetune.context import UNKNOWN, Context, Environment
from fleetune.features import Floats, Ints, lineage_key
from fleetune.model import UPDATE_SD
from fleetune_server.store.base import CellSum
from fleetune_server.training.changes import changes_of
from fleetune_server.training.rounds import CellKey, Rounds, newer_rounds

DRIFT = 0.004  # ln speedup by which a cell's truth may move from one round to the next
Age = tuple[int, bool]
INHERITED = -1  # the round that a predecessor's estimate counts as: older than all


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the reports say about each distinct cell: the mean ln speedup and its variance, by columns.

    `count` reports of the cell's own environment stand behind each estimate; 0 if it is all inherited.
    """

    cells: Sequence[CellKey]
    mean: Floats  # (cells,) ln speedup
    variance: Floats  # (cells,)
    count: Ints  # (cells,)
    changed: Floats  # (cells,) ln speedup of a recent change; 0 if there was none

    @classmethod
    def join(cls, parts: Sequence[Estimates]) -> Estimates:
        if not parts:
            return cls([], np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0))
        cells = [cell for part in parts for cell in part.cells]
        columns = (
            [getattr(part, name) for part in parts] for name in ("mean", "variance", "count", "changed")
        )
        return cls(cells, *(np.concatenate(column) for column in columns))


def combine(
    rows: Sequence[CellSum],
    doubt: bool = True,
    reference: Mapping[CellKey, float] | None = None,
) -> Estimates:
    """Combine the rounds of each cell by inverse variance, older ones aged.

    `reference` is one prediction for every cell, the previous model's, against which rounds of different
    cells can be compared; without it only rounds of the same cell are.
    """
    rounds = Rounds.of(rows, doubt)
    if doubt:
        aged = rounds.variance + DRIFT**2 * newer_rounds(rounds.round)
        rounds = replace(rounds, variance=aged)
    known: list[Estimates] = []
    ancestors = _Ancestors()
    for generation in _generations(rounds):
        here = ancestors.inherited(rounds.take(generation))
        changed = np.zeros(len(here.cell))
        if doubt:
            changes = changes_of(here, reference or {})
            here, changed = changes.followed(here), changes.recent
        known.append(_weighted(here, changed))
        ancestors.add(known[-1])
    return Estimates.join(known)


def _generations(rounds: Rounds) -> list[Ints]:
    """Rows by their environment's rank among those that it may inherit from, oldest first."""
    ages: dict[str, set[Age]] = {}
    environments = dict.fromkeys(environment for _, _, environment, _ in rounds.cells)
    for environment in environments:
        ages.setdefault(lineage_key(environment.any_arch), set()).add(_age(environment))
    rank = {e: sorted(ages[lineage_key(e.any_arch)]).index(_age(e)) for e in environments}
    of_cell = np.array([rank[environment] for _, _, environment, _ in rounds.cells], dtype=np.int64)
    of_row = of_cell[rounds.cell]
    return [np.flatnonzero(of_row == number) for number in np.unique(of_row)]


def _age(environment: Environment) -> Age:
    """An environment inherits from those of lower age and of the same architecture or of one that nobody told."""
    return environment.version, environment.arch != UNKNOWN


class _Ancestors:
    """What is known of the newest environment of each lineage, to begin its successors with. Fed oldest first."""

    def __init__(self) -> None:
        # (signature, lineage) → (context, candidate) → age, mean, variance
        self._newest: dict[tuple[str, str], dict[tuple[Context, str], tuple[Age, float, float]]] = {}
        self._lineage = cache(lineage_key)  # asked of each cell, of which each environment has hundreds

    def add(self, known: Estimates) -> None:
        """One more generation: what it knows is newer than all before."""
        for cell, mean, variance in zip(
            known.cells, known.mean.tolist(), known.variance.tolist(), strict=True
        ):
            signature, context, environment, candidate = cell
            places = self._newest.setdefault((signature, self._lineage(environment)), {})
            places[context, candidate] = _age(environment), mean, variance

    def inherited(self, own: Rounds) -> Rounds:
        """The rows, and for each of their places what was known of the nearest older environment, as the oldest
        round.

        An inherited cell that has no reports of its own yet is added too.
        """
        found: dict[CellKey, tuple[float, float]] = {}
        for signature, environment in dict.fromkeys((cell[0], cell[2]) for cell in own.cells):
            for (context, candidate), (_, mean, variance) in self._of(signature, environment).items():
                found[signature, context, environment, candidate] = mean, variance
        if not found:
            return own
        index = {cell: number for number, cell in enumerate(own.cells)}
        cell = [index.setdefault(key, len(index)) for key in found]
        mean, variance = np.array(list(found.values())).T
        return Rounds(
            list(index),
            np.concatenate([own.cell, np.array(cell, dtype=np.int64)]),
            np.concatenate([own.round, np.full(len(cell), INHERITED)]),
            np.concatenate([own.value, mean]),
            np.concatenate([own.variance, variance + UPDATE_SD**2]),
            np.concatenate([own.count, np.zeros(len(cell))]),
        )

    def _of(
        self, signature: str, environment: Environment
    ) -> Mapping[tuple[Context, str], tuple[Age, float, float]]:
        """What is known of the older of its lineage, and of those whose architecture nobody told."""
        own, any_arch = (
            self._newest.get((signature, self._lineage(one)), {})
            for one in (environment, environment.any_arch)
        )
        newer = {key: one for key, one in any_arch.items() if key not in own or own[key][0] < one[0]}
        return {**own, **newer}


def _weighted(rounds: Rounds, changed: Floats) -> Estimates:
    present, cell = np.unique(rounds.cell, return_inverse=True)
    largest = np.zeros(len(present))
    np.maximum.at(largest, cell, changed)
    weight = 1 / rounds.variance
    total = np.bincount(cell, weight, len(present))
    return Estimates(
        [rounds.cells[i] for i in present.tolist()],
        np.bincount(cell, rounds.value * weight, len(present)) / total,
        1 / total,
        np.bincount(cell, rounds.count, len(present)).astype(np.int64),
        largest,
    )
