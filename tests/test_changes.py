"""Rounds that newer ones contradict give way; rounds that agree add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetune.context import Context, Environment
from fleetune.privacy import mechanism
from fleetune_research.fleet.simulate import draw_many, fold_symbols
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.changes import changes_of
from fleetune_server.training.estimates import combine
from fleetune_server.training.rounds import Rounds

HERE = Environment("chromium", 156, "windows", True, True, False, "8-15")
CELL = Cell("ab" * 16, Context(8, "f32", "random"), HERE, "scalar", 1, 2.0, 0.2, 0.0)


def reported(truth: float, version: int, count: int, rng: np.random.Generator, cell: Cell = CELL) -> CellSum:
    """A round of reports about a cell whose base prediction is its newest truth, or 0.2 away from it."""
    cell = replace(cell, version=version)
    residual = np.full(count, np.clip((truth - cell.base_log) / cell.clip, -1, 1))
    (n,), (total,), (squares,) = fold_symbols(
        np.zeros(count, dtype=np.int64), draw_many(mechanism(2.0), residual, rng), 1
    )
    return CellSum(cell, False, int(n), int(total), int(squares))


def test_fifty_rounds_of_the_old_truth_do_not_hold_the_new_one_back() -> None:
    """What an independent check found: 250 rounds at 0 after 50 at 0.40 had moved the cell to 0.29 only."""
    rng = np.random.default_rng(0)
    old = [reported(0.4, v, 40, rng, replace(CELL, base_log=0.4)) for v in range(50)]
    before = combine(old).mean[0]
    assert before == pytest.approx(0.4, abs=0.03)
    # The base prediction follows what was learnt, so the clip is in the way at first.
    rounds, base = list(old), 0.4
    for version in range(50, 70):
        rounds.append(reported(0.0, version, 40, rng, replace(CELL, base_log=base)))
        base = float(combine(rounds).mean[0])
    assert base == pytest.approx(0.0, abs=0.05)


def test_a_truth_that_stays_is_known_ever_better() -> None:
    rng = np.random.default_rng(1)
    rounds = [reported(0.05, v, 40, rng) for v in range(40)]
    assert combine(rounds).variance[0] < combine(rounds[:4]).variance[0] / 4
    assert combine(rounds).mean[0] == pytest.approx(0.05, abs=0.02)


def test_changes_are_hardly_ever_seen_where_there_are_none() -> None:
    rng = np.random.default_rng(2)
    seen = 0
    for _ in range(300):
        rounds = Rounds.of([reported(0.05, v, int(rng.integers(1, 60)), rng) for v in range(12)], True)
        seen += bool(changes_of(rounds, {}).size.any())
    assert seen <= 3


def test_many_cells_with_few_reports_each_show_a_change_together() -> None:
    rng = np.random.default_rng(3)
    cells = [replace(CELL, context=Context(size, "f32", "random"), base_log=0.1 * size) for size in range(16)]
    old = [reported(0.1 * i, 1, 30, rng, cell) for i, cell in enumerate(cells)]
    new = [reported(0.1 * i + 0.15, 2, 2, rng, cell) for i, cell in enumerate(cells)]
    reference = {(c.signature, c.context, c.environment, c.candidate): c.base_log for c in cells}
    alone = combine([*old, *new])
    together = combine([*old, *new], reference=reference)
    truth = 0.1 * np.arange(16) + 0.15
    assert np.abs(together.mean - truth).mean() < 0.7 * np.abs(alone.mean - truth).mean()
    assert (together.changed > 0).all()


@pytest.mark.parametrize("apart", [False, True])
def test_a_size_with_few_new_reports_follows_the_others_and_one_with_many_its_own(apart: bool) -> None:
    cells = [replace(CELL, context=Context(size, "f32", "random"), clip=0.5) for size in range(8)]
    truths, counts = [0.4] * 7 + [0.0 if apart else 0.4], [12] * 7 + [200 if apart else 1]
    reference = {(c.signature, c.context, c.environment, c.candidate): 0.0 for c in cells}
    means = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        old = [reported(0.0, 1, 100, rng, cell) for cell in cells]
        new = [reported(t, 2, n, rng, cell) for t, n, cell in zip(truths, counts, cells, strict=True)]
        told = combine([*old, *new], reference=reference)
        means.append(told.mean[[cell[1].log2_size for cell in told.cells].index(7)])
    assert np.mean(means) == pytest.approx(truths[-1], abs=0.07)


def test_a_pattern_that_changed_says_nothing_against_one_that_did_not() -> None:
    rng = np.random.default_rng(6)
    patterns = {"random": 0.5, "sorted": 0.0}
    cells = [
        replace(CELL, context=Context(size, "f32", pattern), clip=0.5)
        for pattern in patterns
        for size in range(8)
    ]
    old = [reported(0.0, 1, 50, rng, cell) for cell in cells]
    new = [reported(patterns[cell.context.pattern], 2, 20, rng, cell) for cell in cells]
    reference = {(c.signature, c.context, c.environment, c.candidate): 0.0 for c in cells}
    rounds = Rounds.of([*old, *new], True)
    changes = changes_of(rounds, reference)
    pattern = np.array([rounds.cells[i][1].pattern for i in rounds.cell])
    assert (changes.shift[(pattern == "random") & (rounds.round == 1)] > 0.4).all()
    assert not changes.size[pattern == "sorted"].any()


def test_a_likely_change_is_believed_beside_a_sure_one_only() -> None:
    sizes = [Context(size, "f32", "random") for size in range(8)]
    neighbour = [replace(CELL, context=size, candidate="inlining") for size in sizes]
    moved = [replace(CELL, context=size) for size in sizes]
    other = [replace(cell, context=replace(cell.context, pattern="sorted")) for cell in neighbour]
    reference = {
        (c.signature, c.context, c.environment, c.candidate): 0.0 for c in [*neighbour, *moved, *other]
    }

    def found(cells: list[Cell], truth: float) -> list[CellSum]:
        """50 reports of each cell whose mean is 0 in one round and `truth` in the next."""
        unit = 2 * mechanism(2.0).scale / CELL.clip
        return [
            CellSum(replace(cell, version=version), False, 50, round(50 * at * unit), 50)
            for cell in cells
            for version, at in ((1, 0.0), (2, truth))
        ]

    quiet = found(neighbour, 0.055)  # three deviations
    assert not changes_of(Rounds.of(quiet, False), reference).size.any()
    rounds = Rounds.of([*quiet, *found(moved, 0.15), *found(other, 0.055)], False)
    size = changes_of(rounds, reference).size
    before = np.array([n == 1 for n in rounds.round])
    names = np.array([rounds.cells[i][3] for i in rounds.cell])
    pattern = np.array([rounds.cells[i][1].pattern for i in rounds.cell])
    assert (size[before & (names == "inlining") & (pattern == "random")] > 0.02).all()
    assert not size[pattern == "sorted"].any()  # of another pattern nothing is said


def test_a_version_without_reports_of_a_cell_takes_its_predecessor_s_and_is_less_sure() -> None:
    rng = np.random.default_rng(4)
    other = replace(CELL, context=Context(9, "f32", "random"))
    rounds = [reported(0.1, 1, 200, rng), reported(0.1, 1, 200, rng, other)]
    updated = replace(CELL, environment=replace(HERE, version=157))
    told = combine([*rounds, reported(0.1, 2, 30, rng, updated)])
    by_cell = {cell[1:3]: i for i, cell in enumerate(told.cells)}
    inherited = by_cell[other.context, updated.environment]
    assert told.count[inherited] == 0
    assert told.mean[inherited] == told.mean[by_cell[other.context, HERE]]
    assert told.variance[inherited] > told.variance[by_cell[other.context, HERE]]
    elsewhere = replace(CELL, environment=replace(HERE, version=157, os="macos"))
    assert len(combine([*rounds, reported(0.1, 2, 30, rng, elsewhere)]).cells) == 3
