"""The contexts that a result is made of: the same in every run, measured first, completely and exactly."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest
from tests.benching import MANIFEST, a_session, call
from tests.fake_platform import FakePlatform

from fleetune.app.benchmark import PATIENCE
from fleetune.app.control import Control, TimeBudget
from fleetune.app.workloads import HEADLINE, Workload, every_workload, headline, shuffler
from fleetune.manifest import Manifest
from fleetune.rounds import Rounds
from fleetune.stats import Series

BUILT = Path(__file__).resolve().parents[1] / "kernels_wasm" / "dist" / "manifest.json"
CATALOGUE = Manifest.load(BUILT.read_bytes())


def test_it_is_a_middle_size_of_a_dozen_functions_and_an_own_function_displaces_at_most_one() -> None:
    chosen = headline(CATALOGUE)
    assert len({one.kernel for one in chosen}) == HEADLINE == len(chosen)
    assert set(chosen) <= set(every_workload(CATALOGUE))
    for one in chosen:
        sizes = sorted(CATALOGUE.kernels[one.kernel].sizes)
        assert sizes[0] < one.size < sizes[-1]
    for name in CATALOGUE.kernels:
        fewer = Manifest({key: one for key, one in CATALOGUE.kernels.items() if key != name}, {})
        assert len(set(chosen) - set(headline(fewer))) <= 1


async def test_a_run_that_is_slow_measures_it_all_and_nothing_else() -> None:
    fixed = headline(MANIFEST)
    whole = await call(await a_session(FakePlatform()), "benchmark", headline=True)
    assert len(whole["results"]) == len(every_workload(MANIFEST))
    seconds = sum(one["seconds"] for one in whole["results"][: len(fixed)])

    platform = FakePlatform()
    outcome = await call(await a_session(platform), "benchmark", headline=True, budgetMs=600 * seconds)
    measured = [
        Workload(one["kernel"], one["size"], one["pattern"], one["copied"]) for one in outcome["results"]
    ]
    assert measured == fixed
    assert all(one["headline"] for one in outcome["results"])
    assert outcome["seconds"] > 0.6 * seconds
    left = [event["secondsLeft"] for event in platform.emitted("progress")]
    assert min(left) > 0, "what is left is more than the budget"

    plain = await call(await a_session(FakePlatform()), "benchmark", budgetMs=600 * seconds)
    assert plain["seconds"] < 0.7 * seconds, "pages that embed us get the budget that they ask for"
    assert not any(one["headline"] for one in plain["results"])


def test_patience_ends_within_the_minute_that_the_page_names() -> None:
    platform = FakePlatform()
    budget = TimeBudget(Control(platform.clock), 20_000)
    budget.stretch = PATIENCE
    platform.time.ms += 54_000
    assert not budget.spent
    assert budget.usual_left_ms == -34_000
    platform.time.ms += 6_000
    assert budget.spent
    assert budget.overrun, "nothing is begun after a minute, not even a batch"


@pytest.mark.parametrize(("exact", "rounds"), [((), 5), (("js", "js-tuned"), 18)])
def test_it_is_timed_until_javascript_and_the_fastest_are_precise(
    exact: tuple[str, ...], rounds: int
) -> None:
    """A leader that is decided early has a figure that the next run would not repeat."""
    series = {name: Series() for name in ("js", "js-tuned", "simd")}
    plan = Rounds(series, shuffler(1), "js", "js", 5, 30, exact.__contains__, exact)
    true = {"js": 10.0, "js-tuned": 8.0, "simd": 1.0}
    done = 0
    while order := plan.order():
        done += 1
        for name in order:  # quiet from the tenth round on
            plan.series[name].add(true[name] * (1.0 if done > 10 else 1.3 - 0.02 * done))
    assert done == rounds
    error = mean(plan.series[name].fast / true[name] - 1 for name in ("js", "simd"))
    assert (error < 0.02) == bool(exact), "3 % is precise"
