"""Timing statistics: what a series says, when to stop, and what counts as a change."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from fleetune.stats import (
    Interval,
    Plan,
    Series,
    Timed,
    contenders,
    decided,
    leader,
    noisy,
    precise,
)

times = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=30)


@given(times)
def test_the_minimum_and_its_interval(values: list[float]) -> None:
    series = Series(values)
    assert series.minimum == min(values)
    assert 0 <= series.interval.low <= min(values) <= series.interval.high
    assert series.spread >= 0


@given(times)
def test_one_disturbed_batch_does_not_move_the_estimate(values: list[float]) -> None:
    assert Series([*values, 10 * max(values)]).minimum == Series(values).minimum


def test_the_minimum_of_more_batches_is_closer_to_the_truth_than_the_median() -> None:
    rng = random.Random(3)

    def noise() -> float:
        return 1 + abs(rng.gauss(0, 0.02)) + (rng.random() < 0.3) * rng.random()

    minimum_errors, median_errors = [], []
    for _ in range(200):
        series = Series([noise() for _ in range(15)])
        minimum_errors.append(series.minimum - 1)
        median_errors.append(series.minimum * (1 + series.spread) - 1)
    assert sum(minimum_errors) < 0.2 * sum(median_errors)


def test_the_interval_covers_the_true_time_about_as_often_as_it_says() -> None:
    rng = random.Random(5)
    covered = 0
    for _ in range(2000):
        low = Series([1 + rng.expovariate(20) for _ in range(15)]).interval.low
        covered += low <= 1.0
    # Exponential noise, n = 15: P(U ≤ 4 V) for gaps U ~ Exp(n), V ~ Exp(n − 1) is 4n / (4n + n − 1) = 60/74.
    assert 0.75 < covered / 2000 < 0.85


def test_a_coarse_clock_widens_the_interval() -> None:
    fine, coarse = Series([1.0, 1.0, 1.0]), Series([1.0, 1.0, 1.0], quantum=0.02)
    assert fine.interval.width == 0
    assert coarse.interval == Interval(0.98, 1.02)


def test_a_time_below_the_clock_can_still_be_divided_by() -> None:
    assert Series([0.0, 0.0], quantum=0.01).minimum == 0.01
    assert Series([0.0, 0.0]).minimum > 0


def test_the_leader_and_its_contenders() -> None:
    series = {"a": Series([2.0, 2.1]), "b": Series([1.0, 1.1]), "c": Series([2.01, 2.2])}
    assert leader(series) == "b"
    assert contenders(series) == ["a", "b"]


def test_decided_only_when_intervals_are_apart() -> None:
    assert decided({"a": Series([1.0, 1.01]), "b": Series([2.0, 2.01])})
    assert not decided({"a": Series([1.0, 1.01]), "b": Series([1.02, 1.05])})


def test_precise_and_noisy() -> None:
    assert precise([Series([1.0, 1.001])])
    assert not precise([Series([1.0, 1.001]), Series([1.0, 1.1])])
    assert noisy([Series([1.0, 1.3, 1.4])])
    assert not noisy([Series([1.0, 1.1, 1.1])])


@given(times, times)
def test_a_speedup_lies_in_its_interval(a: list[float], b: list[float]) -> None:
    timed = Timed.of(Series(a), Series(b))
    assert timed.low <= timed.speedup <= timed.high
    assert timed.batches == len(a)


def play(plan: Plan, true: dict[str, float], noise: float = 0.0) -> list[list[str]]:
    rng = random.Random(1)
    rounds = []
    while order := plan.order():
        rounds.append(order)
        for name in order:
            plan.series[name].add(true[name] * (1 + noise * rng.random()))
    return rounds


def empty(*names: str) -> dict[str, Series]:
    return {name: Series() for name in names}


def test_contenders_get_fifteen_batches_and_losers_five() -> None:
    plan = Plan(1, early=False, series=empty("fast", "near", "slow"))
    rounds = play(plan, {"fast": 1.0, "near": 1.5, "slow": 9.0}, 0.05)
    assert {name: len(series) for name, series in plan.series.items()} == {"fast": 15, "near": 15, "slow": 5}
    assert sorted(rounds[0]) == ["fast", "near", "slow"]
    assert len({tuple(order) for order in rounds[:5]}) > 1, "the order is shuffled"


def test_the_baseline_is_never_a_loser() -> None:
    plan = Plan(1, early=False, series=empty("js", "fast"), baseline="js")
    play(plan, {"js": 30.0, "fast": 1.0})
    assert len(plan.series["js"]) == 15


def test_what_may_not_be_compiled_yet_is_timed_on() -> None:
    plan = Plan(1, early=False, series=empty("js", "fast", "interpreted", "long"), baseline="js")
    play(plan, {"js": 0.1, "fast": 0.04, "interpreted": 0.9, "long": 9.0})
    assert {name: len(series) for name, series in plan.series.items()} == {
        "js": 15,
        "fast": 15,
        "interpreted": 15,
        "long": 5,
    }


def test_measuring_stops_early_once_decided() -> None:
    plan = Plan(1, series=empty("fast", "near"))
    play(plan, {"fast": 1.0, "near": 1.5})
    assert len(plan.series["fast"]) == plan.min_rounds


def test_measuring_goes_on_while_two_are_close_and_noisy() -> None:
    plan = Plan(2, series=empty("a", "b"))
    play(plan, {"a": 1.0, "b": 1.02}, noise=0.5)
    assert len(plan.series["a"]) > plan.min_rounds


def test_the_same_seed_gives_the_same_rounds() -> None:
    names = ("a", "b", "c", "d")
    true = {name: 1.0 + i / 10 for i, name in enumerate(names)}
    assert play(Plan(9, series=empty(*names)), true) == play(Plan(9, series=empty(*names)), true)


def test_a_plan_without_candidates_ends() -> None:
    assert Plan(1).order() == []
