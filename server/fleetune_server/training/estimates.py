"""What all rounds of reports say together about each cell: a mean and how sure it is. Pure.

Rounds age: a round counts less for every newer one, and less still once newer rounds contradict it
(`changes.py`). A browser version starts at what was known of the version before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleetune.context import UNKNOWN, Environment
from fleetune.features import Floats, Ints, lineage_key
from fleetune.model import UPDATE_SD
from fleetune_server.store.base import CellSum
from fleetune_server.training.changes import changes_of
from fleetune_server.training.rounds import CellKey, Rounds, newer_rounds

DRIFT = 0.004  # ln speedup by which a cell's truth may move from one round to the next
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
    for generation in _generations(rounds):
        here = rounds.take(generation)
        if known:
            here = _with_inherited(here, Estimates.join(known))
        changed = np.zeros(len(here.cell))
        if doubt:
            changes = changes_of(here, reference or {})
            here, changed = replace(here, variance=here.variance + changes.variance), changes.recent
        known.append(_weighted(here, changed))
    return Estimates.join(known)


def _generations(rounds: Rounds) -> list[Ints]:
    """Rows by their environment's rank among those that it may inherit from, oldest first."""
    ages: dict[str, set[tuple[int, bool]]] = {}
    environments = dict.fromkeys(environment for _, _, environment, _ in rounds.cells)
    for environment in environments:
        ages.setdefault(lineage_key(environment.any_arch), set()).add(_age(environment))
    rank = {e: sorted(ages[lineage_key(e.any_arch)]).index(_age(e)) for e in environments}
    of_cell = np.array([rank[environment] for _, _, environment, _ in rounds.cells], dtype=np.int64)
    of_row = of_cell[rounds.cell]
    return [np.flatnonzero(of_row == number) for number in np.unique(of_row)]


def _age(environment: Environment) -> tuple[int, bool]:
    """An environment inherits from those of lower age and of the same architecture or of one that nobody told."""
    return environment.version, environment.arch != UNKNOWN


def _with_inherited(own: Rounds, older: Estimates) -> Rounds:
    """The rows, and for each of their places what was known of the nearest older environment, as the oldest
    round.

    An inherited cell that has no reports of its own yet is added too.
    """
    heirs: dict[tuple[str, str], set[Environment]] = {}
    for signature, _, environment, _ in (own.cells[i] for i in set(own.cell.tolist())):
        for lineage in {lineage_key(environment), lineage_key(environment.any_arch)}:
            heirs.setdefault((signature, lineage), set()).add(environment)
    newest: dict[CellKey, int] = {}
    for number, (signature, context, environment, candidate) in enumerate(older.cells):
        for heir in heirs.get((signature, lineage_key(environment)), ()):
            key = signature, context, heir, candidate
            if _age(environment) < _age(heir) and (
                key not in newest or _age(older.cells[newest[key]][2]) < _age(environment)
            ):
                newest[key] = number
    if not newest:
        return own
    index = {cell: number for number, cell in enumerate(own.cells)}
    cell = [index.setdefault(key, len(index)) for key in newest]
    source = np.array(list(newest.values()), dtype=np.int64)
    nothing = np.zeros(len(source))
    return Rounds(
        list(index),
        np.concatenate([own.cell, np.array(cell, dtype=np.int64)]),
        np.concatenate([own.round, np.full(len(source), INHERITED)]),
        np.concatenate([own.value, older.mean[source]]),
        np.concatenate([own.variance, older.variance[source] + UPDATE_SD**2]),
        np.concatenate([own.count, nothing]),
    )


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
