"""Trials of new versions: who is in, what is judged, and what becomes of the version."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports
from tests.test_pipeline import ENOUGH, send, settings, until

from fleetune.model import Model
from fleetune_server import cli
from fleetune_server.http.decisions import of_engine
from fleetune_server.publish.distribute import DRAWS
from fleetune_server.publish.library import Trial, outcomes
from fleetune_server.runtime import KEY, running
from fleetune_server.settings import Settings
from fleetune_server.training.fit import Rows, fit
from fleetune_server.training.gate import Check, GateVerdict
from fleetune_server.training.trial import TrialRequest, judge_trial

__all__ = ["settings"]
STABLE = Model.from_bytes(first().model)


def trained(rows: Rows) -> Model:
    return fit(rows, seed=0, version=2, clip=0.35, init=STABLE)[0]


def judged(candidate: Model, count: int, seed: int = 3, fleet: Rows = FLEET) -> GateVerdict:
    rows = reports(candidate, count, seed, fleet)
    return judge_trial(TrialRequest(MANIFEST.raw, STABLE.to_bytes(), candidate.to_bytes(), rows))


def failed(verdict: GateVerdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_the_share_is_exact_and_other_sessions_try_the_next_version() -> None:
    tried = [{draw for draw in range(DRAWS) if Trial(n, n - 1, 0.1).includes(draw)} for n in range(2, 12)]
    assert {len(draws) for draws in tried} == {100}
    assert tried[0].isdisjoint(tried[1])
    assert len(set.union(*tried)) > 600, "nobody tries all of them"
    assert not Trial(2, 1, 0.5).includes(None)


def test_a_better_candidate_and_the_same_model_again_are_promoted() -> None:
    better = trained(Rows.join([LAB, replace(FLEET, variance=np.full(len(FLEET), 0.02**2))]))
    assert judged(better, 2000).accepted
    same = Model(replace(STABLE.artefact, version=2))
    for seed in range(20):
        assert judged(same, 200, seed).accepted
    assert judged(same, 0).accepted, "no report is no evidence"


def test_a_candidate_that_chooses_worse_everywhere_is_withdrawn_by_its_regret() -> None:
    rng = np.random.default_rng(0)
    worse = trained(replace(LAB, target=LAB.target + rng.normal(0, 0.6, len(LAB))))
    verdict = judged(worse, 1000)
    assert {"reported-regret", "reported-error"} <= failed(verdict)
    assert any("regret against the stable version" in reason for reason in verdict.reasons)


def test_a_candidate_that_is_worse_in_one_place_is_withdrawn_although_the_average_hides_it() -> None:
    f = LAB.frame
    names = np.array(f.candidates)[f.candidate]
    best = "vectorization" if "vectorization" in names else names[0]
    place = (f.kernel == 2) & (f.environment == 0)
    moved = np.where(names == "scalar", 0.8, np.where(names == best, -0.8, -0.3))
    spoilt = trained(replace(LAB, target=LAB.target + np.where(place, moved, 0.0)))
    here = (FLEET.frame.kernel == 2) & (FLEET.frame.environment == 0)
    crowd = FLEET.take(np.concatenate([np.flatnonzero(here)] * 8 + [np.arange(len(FLEET))]))
    assert "reported-regret-place" in failed(judged(spoilt, 6000, fleet=crowd))


def test_the_estimate_of_regret_agrees_with_the_truth() -> None:
    """Against a brute-force sum over the true values of every context, within its own interval."""
    from fleetune.choose import choose

    rng = np.random.default_rng(4)
    other = trained(replace(LAB, target=LAB.target + rng.normal(0, 0.25, len(LAB))))
    f = FLEET.frame
    truth = {
        (f.kernel[i], f.context[i], f.environment[i], f.candidates[f.candidate[i]]): FLEET.target[i]
        for i in range(len(FLEET))
    }
    losses = []
    for k, c, e in {key[:3] for key in truth}:
        kernel, context, environment = f.kernels[k], f.contexts[c], f.environments[e]
        names = kernel.candidates(environment.features)
        old, new = (
            choose(kernel, context, environment, m.predict(kernel, context, environment, names), {}, ())
            for m in (STABLE, other)
        )
        value = {n: truth.get((k, c, e, n), 0.0) for n in names}
        cells = sum((k, c, e, n) in truth for n in names)  # reports are drawn per cell
        losses += [value[old.candidate] - value[new.candidate]] * cells
    wide = Model(replace(other.artefact, clip=3.0))  # without a clip's bias
    rows = reports(wide, 400_000, 8)
    check = judge_trial(TrialRequest(MANIFEST.raw, STABLE.to_bytes(), wide.to_bytes(), rows)).checks[0]
    assert check.name == "reported-regret"
    assert abs(check.figure - np.mean(losses)) < 0.02
    assert abs(np.mean(losses)) > 0.02, "the test must be able to fail"


def test_harmless_candidates_are_rarely_withdrawn() -> None:
    """Small moves of every value, as a retrain makes them: at most one in thirty trials may err."""
    rng = np.random.default_rng(1)
    near = trained(replace(LAB, target=LAB.target + rng.normal(0, 0.01, len(LAB))))
    assert sum(not judged(near, 200, seed).accepted for seed in range(30)) <= 1


WIDE: dict[str, Any] = {
    "rollout_share": 0.5,
    "rollout_clients": 0,
    "rollout_reports": 20,
    "rollout_seconds": 3600,
}


async def test_a_candidate_goes_to_a_share_and_is_promoted_when_enough_was_reported(
    settings: Settings,
) -> None:
    async with running(replace(settings, **WIDE)) as state:
        await send(state, ENOUGH)
        await until(state, 2)
        targets = [state.library.target(draw) for draw in range(DRAWS)]
        assert (targets.count(1), targets.count(2)) == (500, 500)
        inside, outside = targets.index(2), targets.index(1)
        answer = state.distributor.answer
        assert answer(1, inside)["version"] == 2
        assert answer(1, outside) == {"upToDate": True, "version": 1}
        assert answer(2, outside) == {"upToDate": True, "version": 2}, "who has it keeps it"
        assert answer(0)["version"] == state.library.stable == 1
        assert state.rollout.trials[2]["state"] == "trying"
        await send(state, 20)
        await reached(lambda: state.library.stable == 2)
        assert state.rollout.trials[2]["state"] == "promoted"
        assert answer(1, outside)["version"] == 2


def test_a_bad_candidate_is_withdrawn_and_the_commands_say_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(withdrawn(settings, monkeypatch))
    for name in [name for name in os.environ if name.startswith("FLEETUNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLEETUNE_DATA", str(settings.data))
    assert cli.main(["gate", "explain", "2"]) == 0
    explained = capsys.readouterr().out
    assert "trial: withdrawn, against version 1" in explained
    assert "FAILED  reported-regret: regret: +20 %" in explained
    assert cli.main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["trial: withdrawn" in line for line in lines] == [False, True, False]


async def withdrawn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 fails its trial: everyone goes on to version 3, which has the content of version 1."""
    heard: list[int] = []
    async with running(replace(settings, **WIDE)) as state:
        bad = GateVerdict((Check("reported-regret", False, 0.2, 0.0, "regret: +20 %"),))

        async def run(work: object, request: object) -> object:
            return bad if work is judge_trial else await original(work, request)  # type: ignore[arg-type]

        original = state.pipeline.trainer.run
        monkeypatch.setattr(state.pipeline.trainer, "run", run)

        async def told(version: int) -> None:
            heard.append(version)

        state.pipeline.announce = told
        await send(state, ENOUGH)
        await until(state, 2)
        await send(state, 20)
        await until(state, 3)
        await reached(lambda: not state.rollout.trial and len(heard) == 2)
        assert heard == [2, 3]
        assert {state.library.target(draw) for draw in (None, *range(DRAWS))} == {3}
        first_, third = (state.library.models[n].artefact for n in (1, 3))
        assert third.stored.keys() == first_.stored.keys()
        assert all((third.stored[name] == array).all() for name, array in first_.stored.items())
        updates = state.library.records[3].document["incremental"]
        assert updates.keys() == {"1", "2"}
        assert updates["1"]["size"] < 600, "from the stable version only the number changes"


async def test_pages_that_try_a_candidate_are_given_its_decisions(settings: Settings) -> None:
    """The decisions of an announced version can be asked for by number; nobody else gets a candidate's."""
    async with running(replace(settings, **WIDE)) as state:
        await send(state, ENOUGH)
        await until(state, 2)
        url = "/api/decisions/firefox-simd"
        for query, version in (("", 1), ("?model=2", 2), ("?model=1", 1), ("?model=9", 1), ("?model=x", 1)):
            query_string = query.removeprefix("?").encode()
            scope = {
                "type": "http", "method": "GET", "path": url, "query_string": query_string, "headers": [],
                "path_params": {"engine": "firefox-simd"}, "state": {KEY: state},
            }  # fmt: skip
            answer = await of_engine(Request(scope))
            assert json.loads(bytes(answer.body))["version"] == version, query


async def test_a_small_fleet_does_not_wait_for_a_trial(settings: Settings) -> None:
    async with running(settings) as state:
        await send(state, ENOUGH)
        await until(state, 2)
        assert state.library.target(None) == 2
        trial = state.rollout.trials[2]
        assert trial["state"] == "promoted"
        assert "small fleet" in trial["reason"]


async def test_a_trial_without_reports_ends_in_promotion_when_its_time_is_up(settings: Settings) -> None:
    async with running(replace(settings, **WIDE | {"rollout_seconds": 0.0})) as state:
        await send(state, ENOUGH)
        await until(state, 2)
        await reached(lambda: state.library.stable == 2)
        assert "0 reports" in state.rollout.trials[2]["reason"]


async def test_a_trial_survives_a_restart_and_ends_when_an_operator_publishes(settings: Settings) -> None:
    async with running(replace(settings, **WIDE)) as state:
        await send(state, ENOUGH)
        await until(state, 2)
    async with running(replace(settings, **WIDE)) as state:
        assert (state.library.version, state.library.stable) == (2, 1)
        record, files, artefact = state.pipeline.publisher.again(
            3, state.library.records[1], "an operator", state.pipeline._history()
        )
        await state.store.save_version(record, files, 8)
        await state.pipeline.refresh()
        assert state.library.models[3].to_bytes() == artefact
        assert state.library.stable == 3
        assert state.rollout.trials[2]["state"] == "superseded"


def test_a_store_without_trials_has_none() -> None:
    assert outcomes(None, 3) == {}


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the product has no event for this
            await asyncio.sleep(0.02)
