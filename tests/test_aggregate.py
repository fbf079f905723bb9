"""Reports to statistics: exact, mergeable, unbiased, and small groups rolled up."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetune.context import Context, Environment
from fleetune.privacy import mechanism
from fleetune_research.fleet.simulate import draw_many, fold_symbols
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.aggregate import coarsen, merge, roll_up
from fleetune_server.training.doubts import forged
from fleetune_server.training.estimates import combine
from fleetune_server.training.rounds import decoded_means

CONTEXT = Context(8, "f32", "random")
HERE = Environment("firefox", 153, "linux", True, True, False, "2-3")
CELL = Cell("ab" * 16, CONTEXT, HERE, "scalar", 3, 2.0, 0.5, 0.7)


def summed(symbols: np.ndarray, cell: Cell = CELL, heldout: bool = False) -> CellSum:
    (count,), (total,), (squares,) = fold_symbols(np.zeros(len(symbols), dtype=np.int64), symbols, 1)
    return CellSum(cell, heldout, int(count), int(total), int(squares))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 63)), max_size=200))
def test_folding_counts_every_report_exactly_once(reports: list[tuple[int, int]]) -> None:
    cells = np.array([cell for cell, _ in reports], dtype=np.int64)
    symbols = np.array([symbol for _, symbol in reports], dtype=np.uint8)
    count, total, squares = fold_symbols(cells, symbols, 5)
    for cell in range(5):
        centred = [2 * symbol - 63 for c, symbol in reports if c == cell]
        assert (count[cell], total[cell], squares[cell]) == (
            len(centred),
            sum(centred),
            sum(value * value for value in centred),
        )


@given(st.lists(st.integers(0, 63), min_size=2, max_size=40), st.data())
def test_folding_in_any_parts_and_order_gives_the_same_sums(symbols: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(symbols) - 1))
    shuffled = data.draw(st.permutations(symbols))
    whole = summed(np.array(symbols, dtype=np.uint8))
    parts = merge(summed(np.array(p, dtype=np.uint8)) for p in (shuffled[:cut], shuffled[cut:]))
    assert parts == [whole]


def test_rounds_privacy_levels_and_held_out_reports_stay_apart() -> None:
    base = summed(np.array([1, 2], dtype=np.uint8))
    others = [
        CellSum(Cell("ab" * 16, CONTEXT, HERE, "scalar", 4, 2.0, 0.5, 0.7), False, 1, 1, 1),
        CellSum(Cell("ab" * 16, CONTEXT, HERE, "scalar", 3, 1.0, 0.5, 0.7), False, 1, 1, 1),
        CellSum(CELL, True, 1, 1, 1),
    ]
    assert len(merge([base, *others, base])) == 4


@pytest.mark.parametrize("epsilon", [2.0, 1.0])
@pytest.mark.parametrize("residual", [-0.3, 0.0, 0.4])
def test_the_mean_of_many_reports_is_unbiased_and_its_variance_honest(
    epsilon: float, residual: float
) -> None:
    rng = np.random.default_rng(7)
    cell = Cell("ab" * 16, CONTEXT, HERE, "scalar", 3, epsilon, 0.5, 0.7)
    scaled = []
    for _ in range(60):
        symbols = draw_many(mechanism(epsilon), np.full(400, residual), rng)
        estimate = combine([summed(symbols, cell)])
        sampling = estimate.variance[0] - 0.02**2
        scaled.append((estimate.mean[0] - (0.7 + 0.5 * residual)) / sampling**0.5)
    assert abs(np.mean(scaled)) < 4 / 60**0.5
    assert 0.7 < np.std(scaled) < 1.3


def test_rounds_cut_off_by_their_clip_yield_to_the_one_that_was_not() -> None:
    rng, truth, clip = np.random.default_rng(1), 2.0, 0.25
    rounds = []
    for version, base in enumerate((0.7, 0.9, 1.3, 1.7, 1.95)):
        cell = Cell("ab" * 16, CONTEXT, HERE, "scalar", version, 2.0, clip, base)
        residual = np.full(400, np.clip((truth - base) / clip, -1, 1))
        rounds.append(summed(draw_many(mechanism(2.0), residual, rng), cell))
    for known, least in ((2, 0.95), (3, 1.25), (4, 1.6)):
        assert combine(rounds[:known]).mean[0] > least, "each round goes on from the one before"
    told = combine(rounds)
    assert told.mean[0] == pytest.approx(truth, abs=0.08)
    assert told.variance[0] < 0.05**2
    assert combine(rounds[:1]).variance[0] > (0.2 * clip) ** 2, "at the clip the truth may be further"


def test_a_single_report_has_the_mechanism_s_variance_not_none() -> None:
    mean, variance = decoded_means([summed(np.array([63], dtype=np.uint8))])
    assert mean[0] > 1
    assert variance[0] == pytest.approx(0.633, abs=0.02)


def test_reports_more_regular_than_the_noise_allows_count_for_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    honest = [
        summed(draw_many(mechanism(2.0), np.full(n, x), rng)) for n in (20, 50, 400) for x in (-1, 0, 1)
    ] * 20
    made_up = summed(np.full(50, 63, dtype=np.uint8))
    assert not forged(honest).any()
    assert forged([made_up]).all()
    before = summed(draw_many(mechanism(2.0), np.zeros(50), rng))
    told = combine([before, replace(made_up, cell=replace(CELL, version=4))])
    assert abs(told.mean[0] - 0.7) < 0.15


def test_a_few_reports_further_out_than_any_truth_are_forged_however_they_scatter() -> None:
    """Two a context, so that their scatter within contexts says nothing yet."""
    contexts = [replace(CELL, context=Context(size, "f32", "random")) for size in range(12)]
    greatest = [replace(summed(np.full(2, 63, dtype=np.uint8)), cell=cell) for cell in contexts]
    assert forged(greatest).all()
    assert not forged(greatest[:10]).any(), "twenty may be chance"
    for seed in range(200):
        rng = np.random.default_rng(seed)
        at_the_clip = [
            replace(summed(draw_many(mechanism(2.0), np.ones(2), rng)), cell=cell) for cell in contexts
        ]
        assert not forged(at_the_clip).any()


def test_rounds_are_combined_by_inverse_variance() -> None:
    symbols = draw_many(mechanism(2.0), np.zeros(5000), np.random.default_rng(0))
    sure = summed(symbols, Cell("ab" * 16, CONTEXT, HERE, "scalar", 5, 2.0, 0.25, 1.0))
    vague = summed(symbols[:5], Cell("ab" * 16, CONTEXT, HERE, "scalar", 4, 2.0, 2.0, 5.0))
    both = combine([sure, vague])
    assert len(both.cells) == 1
    assert both.count[0] == 5005
    assert both.mean[0] == pytest.approx(1.0, abs=0.05)
    assert both.variance[0] < combine([sure]).variance[0]


def test_an_architecture_starts_at_what_was_known_of_any() -> None:
    symbols = draw_many(mechanism(2.0), np.zeros(5000), np.random.default_rng(0))

    def said(environment: Environment, base: float, reports: int) -> CellSum:
        return summed(symbols[:reports], Cell("ab" * 16, CONTEXT, environment, "scalar", 5, 2.0, 0.25, base))

    arm, x86 = (replace(HERE, arch=arch) for arch in ("arm", "x86"))
    found = combine([said(x86, 2.0, 2), said(HERE, 1.0, 5000), said(arm, 0.0, 5000)])
    mean = {cell[2]: value for cell, value in zip(found.cells, found.mean.tolist(), strict=True)}
    assert mean[HERE] == pytest.approx(1.0, abs=0.05), "inherits from neither"
    assert mean[x86] == pytest.approx(1.0, abs=0.2), "few reports: what was known of any architecture"
    assert mean[arm] == pytest.approx(0.0, abs=0.2), "many reports of its own"
    later = replace(arm, version=arm.version + 1)
    found = combine([said(HERE, 1.0, 5000), said(arm, 0.0, 5000), said(later, 0.3, 2)])
    mean = {cell[2]: value for cell, value in zip(found.cells, found.mean.tolist(), strict=True)}
    assert mean[later] == pytest.approx(mean[arm], abs=0.1), (
        "the predecessor of its own architecture is nearer"
    )


def test_small_groups_are_rolled_up_to_the_engine_and_kept_back_until_large_enough() -> None:
    def group(version: int, count: int, signature: str = "ab" * 16) -> CellSum:
        where = Environment("firefox", version, "linux", True, True, False, "2-3")
        return CellSum(Cell(signature, CONTEXT, where, "scalar", 3, 2.0, 0.5, 0.7), False, count, 0, 0)

    rows = roll_up([group(153, 30), group(152, 12), group(151, 9), group(150, 3, "cd" * 16)], least=20)
    assert [(row.cell.environment, row.count) for row in rows] == [
        (group(153, 1).cell.environment, 30),
        (coarsen(HERE), 21),
    ]
    assert coarsen(HERE).features == HERE.features
    assert coarsen(replace(HERE, arch="arm")) == coarsen(HERE)


def test_the_simulator_draws_as_the_mechanism_does() -> None:
    noise = mechanism(2.0)
    for residual in (-1.0, -0.37, 0.0, 0.999, 1.0):
        start, fraction = noise.place(residual)
        share = fraction / 2**32
        rows = [np.array([float(p) for p in noise.row(min(s, noise.starts - 1))]) for s in (start, start + 1)]
        expected = (1 - share) * rows[0] + share * rows[1]
        symbols = draw_many(noise, np.full(200_000, residual), np.random.default_rng(3))
        seen = np.bincount(symbols, minlength=64) / 200_000
        chi2 = float((200_000 * (seen - expected) ** 2 / expected).sum())
        assert chi2 < 130, residual  # 63 degrees of freedom: p < 1e-6


def test_folding_is_linear_in_reports_and_merging_in_rows() -> None:
    rows = [summed(np.array([k], dtype=np.uint8)) for k in range(64)]
    assert merge(itertools.chain(rows, [])) == [summed(np.arange(64, dtype=np.uint8))]
