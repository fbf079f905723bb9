"""Timing statistics: what a series says, and when measuring ends."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetune.app.workloads import shuffler
from fleetune.rounds import Rounds
from fleetune.stats import Plan, Series, Timed, contenders, leader, noisy

times = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=30)


@given(times)
def test_the_estimate_lies_between_the_least_and_the_median(values: list[float]) -> None:
    series = Series(values)
    assert min(values) * (1 - 1e-9) <= series.fast <= max(values) * (1 + 1e-9)
    assert series.error >= 0
    assert series.spread >= 0


@pytest.mark.parametrize("count", [2, 3, 8, 15, 30])
def test_the_estimate_is_the_mean_of_the_faster_half(count: int) -> None:
    values = [1 + 0.001 * k for k in range(count)]
    random.Random(count).shuffle(values)
    faster = sorted(values)[: (count + 1) // 2]
    assert Series(values).fast == pytest.approx(sum(faster) / len(faster))


def test_a_disturbed_batch_moves_the_estimate_little_and_a_lucky_one_no_more() -> None:
    quiet = [1.0 + k / 1000 for k in range(14)]
    for odd in (100.0, 0.5):
        assert abs(Series([*quiet, odd]).fast / Series(quiet).fast - 1) < 0.07


def test_the_estimate_of_more_batches_is_closer_to_the_truth_than_the_median() -> None:
    rng = random.Random(3)

    def noise() -> float:
        return 1 + abs(rng.gauss(0, 0.02)) + (rng.random() < 0.3) * rng.random()

    errors, median_errors = [], []
    for _ in range(200):
        series = Series([noise() for _ in range(15)])
        errors.append(series.fast - 1)
        median_errors.append(min(series.times) * (1 + series.spread) - 1)
    assert sum(errors) < 0.5 * sum(median_errors)


def test_what_became_slower_for_good_is_as_slow_as_it_is_now() -> None:
    assert Series([1.0] * 5 + [3.0] * 5).fast == 3.0
    assert Series([3.0] * 5 + [1.0] * 5).fast == 1.0


def test_what_is_timed_again_forgets_what_came_before_once_there_is_something_new() -> None:
    series = Series([5.0, 5.0])
    assert series.fast == 5.0
    series.begin_again()
    assert (len(series), series.fast) == (0, 5.0)
    series.add(1.0)
    series.add(1.0)
    assert series.fast == 1.0


def test_a_coarse_clock_is_doubt() -> None:
    fine, coarse = Series([1.0] * 4), Series([1.0] * 4, quantum=0.1)
    assert fine.error == 0
    assert 0.02 < coarse.error < 0.04


def test_a_time_below_the_clock_can_still_be_divided_by() -> None:
    nothing = Timed.of(Series([0.0, 0.0], quantum=0.01), Series([1.0, 1.0]))
    assert (nothing.ms, nothing.speedup) == (0.01, 100.0)
    assert Timed.of(Series([0.0, 0.0]), Series([1.0, 1.0])).ms > 0


def test_the_leader_and_its_contenders() -> None:
    series = {"a": Series([2.0, 2.1]), "b": Series([1.0, 1.1]), "c": Series([2.01, 2.2])}
    assert leader(series) == "b"
    assert contenders(series) == ["a", "b"]


def test_a_series_is_noisy_if_its_median_is_far_from_its_minimum() -> None:
    assert noisy([Series([1.0, 1.3, 1.4])])
    assert not noisy([Series([1.0, 1.1, 1.1])])


@given(times, times)
def test_a_speedup_lies_in_its_interval(a: list[float], b: list[float]) -> None:
    timed = Timed.of(Series(a), Series(b))
    assert timed.low <= timed.speedup <= timed.high
    assert timed.batches == len(a)


def play(plan: Plan | Rounds, true: dict[str, float], noise: float = 0.0) -> list[list[str]]:
    rng = random.Random(1)
    rounds = []
    while order := plan.order():
        rounds.append(order)
        for name in order:
            plan.series[name].add(true[name] * (1 + noise * rng.random()))
    return rounds


def lab(*names: str, seed: int = 1) -> Plan:
    return Plan({name: Series() for name in names}, shuffler(seed), names[0])


def page(*names: str, seed: int = 1) -> Rounds:
    return Rounds({name: Series() for name in names}, shuffler(seed), names[0], names[0], first=5)


def test_in_the_lab_contenders_get_fifteen_batches_and_losers_five() -> None:
    plan = lab("fast", "near", "slow")
    rounds = play(plan, {"fast": 1.0, "near": 1.5, "slow": 9.0}, 0.05)
    assert {name: len(series) for name, series in plan.series.items()} == {"fast": 15, "near": 15, "slow": 5}
    assert sorted(rounds[0]) == ["fast", "near", "slow"]
    assert len({tuple(order) for order in rounds[:5]}) > 1, "the order is shuffled"


def test_the_baseline_is_never_a_loser() -> None:
    for plan in (lab("js", "fast"), page("js", "fast")):
        play(plan, {"js": 30.0, "fast": 1.0})
        assert len(plan.series["js"]) == len(plan.series["fast"])


def test_in_the_lab_what_may_not_be_compiled_yet_is_timed_on() -> None:
    plan = lab("js", "fast", "interpreted", "long")
    play(plan, {"js": 0.1, "fast": 0.04, "interpreted": 0.9, "long": 9.0})
    assert {name: len(series) for name, series in plan.series.items()} == {
        "js": 15,
        "fast": 15,
        "interpreted": 15,
        "long": 5,
    }


def test_measuring_stops_early_once_decided_and_everybody_has_what_a_report_needs() -> None:
    plan = page("near", "fast", "far")
    play(plan, {"fast": 1.0, "near": 1.5, "far": 20.0})
    assert {len(series) for series in plan.series.values()} == {5}
    assert plan.usable
    assert plan.answer().choice == "fast"


def test_measuring_goes_on_while_two_are_close_and_noisy() -> None:
    plan = page("a", "b")
    play(plan, {"a": 1.0, "b": 1.02}, noise=0.5)
    assert len(plan.series["a"]) > 7
    assert plan.answer().choice == "a", "3 % faster, or nothing changes"


def test_the_same_seed_gives_the_same_rounds() -> None:
    names = ("a", "b", "c", "d")
    true = {name: 1.0 + i / 10 for i, name in enumerate(names)}
    for plan in (lab, page):
        assert play(plan(*names, seed=9), true) == play(plan(*names, seed=9), true)


def test_a_plan_without_candidates_ends() -> None:
    assert Plan({}, shuffler(1), "js").order() == []
