"""One poisoned place does not stop learning: it is held at the last good version, the rest is published.

The attacker's reports are spread evenly over all variants and have genuine noise, so nothing about them looks
forged; they contradict what the lab measured in that place.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports
from tests.poison import KERNEL, even, regret

from fleetune.model import Model
from fleetune_server.publish.library import PROMOTED, TRIALS, WITHDRAWN, Library, Rollout
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum
from fleetune_server.store.opening import open_store
from fleetune_server.training.aggregate import coarsen, merge
from fleetune_server.training.clips import Place
from fleetune_server.training.fit import Rows, fit
from fleetune_server.training.gate import HELD, GateVerdict, judge, to_hold
from fleetune_server.training.train import TrainRequest, TrainResult, train
from fleetune_server.training.trial import TrialRequest, judge_trial

STABLE = Model.from_bytes(first().model)
MEASURED, UNMEASURED = 0, 2  # environments of the fleet: one that the lab measured, one that it did not
HONEST = 10_000  # reports a round, in all places
ROUNDS = 3
FRAME = FLEET.frame
PLACES = len(FRAME.kernels) * len(FRAME.environments)


def place(environment: int) -> Place:
    return FRAME.kernels[KERNEL].signature, FRAME.environments[environment]


def trained(sums: list[CellSum], previous: Model, held: list[Place] | None = None) -> TrainResult:
    request = TrainRequest(
        MANIFEST.raw, LAB, sums, previous.to_bytes(), previous.version + 1, held=held or ()
    )
    return train(request)


def held(verdict: GateVerdict) -> set[Place]:
    return {one for check in verdict.checks if check.name == HELD for one in check.places}


def attacked(forged: int, environment: int) -> list[TrainResult]:
    """The trainings of some rounds in which an attacker adds so many reports; each must publish."""
    model, sums, results = STABLE, list[CellSum](), []
    for turn in range(ROUNDS):
        attack = even(model, forged, environment, 50 + turn)
        sums = merge([*sums, *reports(model, HONEST, 5 + turn), *attack])
        result = trained(sums, model)
        assert result.verdict.accepted, result.verdict.reasons
        model = Model.from_bytes(result.model)
        results.append(result)
    return results


def error(model: Model, environment: int) -> float:
    """Mean error of predictions in an environment, the attacked kernel left out."""
    rows = (FRAME.environment == environment) & (FRAME.kernel != KERNEL)
    return float(np.abs(model.predict_frame(FRAME).mean - FLEET.target)[rows].mean())


def test_learning_goes_on_everywhere_else_while_one_place_is_attacked() -> None:
    results = attacked(HONEST * 2 // 5, MEASURED)
    for result in results:
        assert held(result.verdict) == {place(MEASURED)}
        assert result.metadata["trainedOn"]["heldPlaces"] == 1
        assert any("reports not believed" in reason for reason in result.verdict.reasons)
        assert regret(Model.from_bytes(result.model), MEASURED) == 0
    last = Model.from_bytes(results[-1].model)
    assert error(last, UNMEASURED) < error(STABLE, UNMEASURED) / 2
    rows = np.flatnonzero((FRAME.kernel == KERNEL) & (FRAME.environment == MEASURED))
    moved = np.abs(last.predict_frame(FRAME).mean - STABLE.predict_frame(FRAME).mean)[rows]
    assert moved.max() < 0.1, "a held place stays where it was"


def test_a_place_is_believed_again_when_the_attack_is_over() -> None:
    model, sums = STABLE, list[CellSum]()
    for turn in range(20):
        attack = even(model, HONEST // 10, MEASURED, 50 + turn) if turn < ROUNDS else []
        sums = merge([*sums, *reports(model, HONEST, 5 + turn), *attack])
        result = trained(sums, model)
        assert result.verdict.accepted
        model = Model.from_bytes(result.model)
        if turn >= ROUNDS and not held(result.verdict):
            break
    assert not held(result.verdict)
    assert regret(model, MEASURED) == 0


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_minority_of_a_places_reports_costs_no_choice_more_than_5_percent(share: float) -> None:
    """Where the lab measured nothing, so that only honest reports defend the place."""
    forged = round(share * HONEST / PLACES)
    for result in attacked(forged, UNMEASURED):
        assert regret(Model.from_bytes(result.model), UNMEASURED) < 0.05


def test_a_model_that_is_wrong_everywhere_is_refused_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    rows = replace(LAB, target=LAB.target + rng.normal(0, 1.0, len(LAB)))
    wrong = fit(rows, seed=0, version=2, clip=0.35, init=STABLE)[0]
    verdict = judge(wrong, STABLE, reports(STABLE, 20_000, 5, heldout=1.0), LAB, MANIFEST)
    assert not verdict.accepted
    assert to_hold(verdict, PLACES) == set()


def test_held_out_reports_say_in_which_place_a_model_is_worse() -> None:
    wrong = (FRAME.kernel == KERNEL) & (FRAME.environment == UNMEASURED)
    rows = replace(FLEET, target=np.where(wrong, FLEET.target + 0.5, FLEET.target))
    better = replace(FLEET, variance=np.full(len(FLEET), 0.02**2))
    good = fit(Rows.join([LAB, better]), seed=0, version=2, clip=0.35, init=STABLE)[0]
    worse = fit(
        Rows.join([LAB, replace(rows, variance=better.variance)]), seed=0, version=3, clip=0.35, init=good
    )[0]
    verdict = judge(worse, good, reports(good, 40_000, 5, heldout=1.0), LAB, MANIFEST)
    (check,) = (check for check in verdict.checks if check.name == "heldout")
    assert not check.passed
    assert check.places == (place(UNMEASURED),)


async def test_what_a_trial_was_withdrawn_for_is_held_at_the_next_training(tmp_path: Path) -> None:
    wrong = (FRAME.kernel == KERNEL) & (FRAME.environment == UNMEASURED)
    known = np.full(len(FLEET), 0.02**2)
    rows = replace(FLEET, target=np.where(wrong, -FLEET.target, FLEET.target), variance=known)
    worse = fit(Rows.join([LAB, rows]), seed=0, version=2, clip=0.35, init=STABLE)[0]
    request = TrialRequest(MANIFEST.raw, STABLE.to_bytes(), worse.to_bytes(), reports(worse, 20_000, 3))
    verdict = judge_trial(request)
    blamed = {one for check in verdict.checks for one in check.places}
    assert blamed == {place(UNMEASURED)}

    entry = {
        "stable": 1,
        "share": 0.1,
        "began": 0,
        "reason": "",
        "checks": [asdict(c) for c in verdict.checks],
    }
    settings = replace(Settings.from_env({}), data=tmp_path)
    async with open_store(settings) as store:
        rollout = Rollout(settings, store, Library(1), lambda: 0)
        assert rollout.blamed == []
        await store.put(TRIALS, {"2": {**entry, "state": WITHDRAWN}})
        await rollout.load()
        assert set(rollout.blamed) == blamed
        await store.put(
            TRIALS, {"2": {**entry, "state": WITHDRAWN}, "4": {**entry, "checks": [], "state": PROMOTED}}
        )
        await rollout.load()
        assert rollout.blamed == [], "a later version did without: the place may be learned again"

    sums = reports(STABLE, HONEST, 5)
    assert held(trained(sums, STABLE, list(blamed)).verdict) == blamed
    kernel, environment = place(UNMEASURED)
    whole_engine = [(kernel, coarsen(environment))]
    result = trained(sums, STABLE, whole_engine)
    before, after = (model.predict_frame(FRAME).mean for model in (STABLE, Model.from_bytes(result.model)))
    assert np.abs(after - before)[wrong].max() < 0.1, (
        "small places are judged by their engine, and held by it"
    )
