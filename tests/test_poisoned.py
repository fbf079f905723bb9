"""A poisoned retrain: what stops it, barrier by barrier. 1, 5 and 10 % of the reports are forged, all of them
about one variant of one kernel in an environment that the lab did not measure."""

from __future__ import annotations

import numpy as np
import pytest
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports
from tests.poison import attacked, forged, regret, target, unguarded

from fleetune.features import environment_key
from fleetune.model import Model
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import merge
from fleetune_server.training.doubts import over_reported
from fleetune_server.training.gate import GateVerdict, judge
from fleetune_server.training.train import TrainRequest, TrainResult, train
from fleetune_server.training.trial import TrialRequest, judge_trial

STABLE = Model.from_bytes(first().model)
VARIANT = "inlining+loopUnrolling"  # neither the best there nor the worst
HARM = 0.03  # mean loss of speed in the attacked place that counts as harm


def trained(sums: list[CellSum], previous: Model) -> TrainResult:
    return train(TrainRequest(MANIFEST.raw, LAB, sums, previous.to_bytes(), previous.version + 1))


def failed(verdict: GateVerdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize(
    ("share", "whole", "shaped"),
    [
        (0.01, True, False),
        (0.01, False, True),
        (0.05, False, False),
        (0.05, True, True),
        (0.10, False, False),
        (0.10, True, True),
    ],
    ids=lambda value: f"{value:.0%}" if isinstance(value, float) else None,
)
def test_a_poisoned_retrain_is_stopped_and_this_is_by_what(share: float, whole: bool, shaped: bool) -> None:
    assert regret(STABLE) == 0
    sums = attacked(STABLE, share, target(VARIANT, whole), 5, shaped, count=40_000)

    # First barrier: training does not believe reports that crowd on one variant, however they are shaped.
    flags = over_reported(sums)
    suspected = {
        (row.cell.signature, environment_key(row.cell.environment), row.cell.candidate)
        for row, flag in zip(sums, flags, strict=True)
        if flag
    }
    cell = forged(STABLE, 1, target(VARIANT, whole), 0, shaped)[0].cell
    assert suspected == {(cell.signature, environment_key(cell.environment), VARIANT)}
    guarded = trained(sums, STABLE)
    assert guarded.verdict.accepted, "the attacker cannot stop learning either"
    (told,) = (place for place in guarded.suspicions if "crowd" in place.why)
    assert (told.signature, told.environment, told.candidate) in suspected, "an operator hears of it"
    doubted = sum(row.count for row, flag in zip(sums, flags, strict=True) if flag)
    assert told.reports == doubted
    assert regret(Model.from_bytes(guarded.model)) < HARM / 3

    # Second barrier: a retrain that did believe them is stopped by the gate, by the movement of the cells.
    believing = unguarded(sums, STABLE)
    verdict = judge(believing, STABLE, [row for row in sums if row.heldout], LAB, MANIFEST)
    if shaped:  # what passes for honest noise moves too little in one version to be stopped, or to harm
        assert verdict.accepted
        assert regret(believing) < HARM
    else:
        assert failed(verdict) == {"movement"}


def test_a_retrain_that_got_past_the_gate_is_withdrawn_by_the_canary() -> None:
    believing = unguarded(attacked(STABLE, 0.1, target(VARIANT, True), 5, False, 40_000), STABLE)
    assert regret(believing) > 0.3
    for seed in range(9, 13):
        honest = reports(believing, 8000, seed)
        verdict = judge_trial(TrialRequest(MANIFEST.raw, STABLE.to_bytes(), believing.to_bytes(), honest))
        assert "reported-regret" in failed(verdict)


def test_where_forged_reports_are_the_majority_a_canary_alone_would_be_deceived() -> None:
    """The limit that the README states, and why the first barrier is needed."""
    believing = unguarded(attacked(STABLE, 0.1, target(VARIANT, True), 5, False, 40_000), STABLE)
    mixed = merge(
        [*reports(believing, 900, 9), *forged(believing, 100, target(VARIANT, True), 10, shaped=False)]
    )
    verdict = judge_trial(TrialRequest(MANIFEST.raw, STABLE.to_bytes(), believing.to_bytes(), mixed))
    assert verdict.accepted
    assert over_reported(mixed).any()


def test_a_patient_attacker_gains_nothing_over_many_versions() -> None:
    cells = target(VARIANT, True)
    guarded = believing = STABLE
    kept: list[CellSum] = []
    believed: list[CellSum] = []
    for number in range(4):
        kept = merge([*kept, *attacked(guarded, 0.1, cells, 5 + number, shaped=True)])
        result = trained(kept, guarded)
        guarded = Model.from_bytes(result.model) if result.verdict.accepted else guarded
        believed = merge([*believed, *attacked(believing, 0.1, cells, 5 + number, shaped=True)])
        believing = unguarded(believed, believing)
    assert guarded.version == 5, "learning goes on"
    assert regret(guarded) < HARM / 3
    assert regret(believing) > 2 * HARM, "the attack works against a training that believes everything"


def test_honest_reports_are_spread_evenly_and_none_is_suspected() -> None:
    for seed in range(5):
        assert not over_reported(reports(STABLE, 20_000, seed)).any()
    assert not over_reported([]).size
    f = FLEET.frame
    few = FLEET.take((f.kernel == 0) & (f.environment == 0))
    assert not over_reported(reports(STABLE, 5000, 7, few)).any(), "what people run may be one kernel"
    single = few.take(np.flatnonzero(few.frame.candidate == few.frame.candidate[0]))
    assert not over_reported(reports(STABLE, 500, 8, single)).any(), (
        "where nobody else reports, nothing is known"
    )
