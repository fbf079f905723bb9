"""Training of a version: from the lab, then with reports; metadata that can be believed."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports

from fleetune.model import Model
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import merge
from fleetune_server.training.fit import Rows
from fleetune_server.training.rows import kept_out
from fleetune_server.training.sources import guessed_rows
from fleetune_server.training.train import TrainRequest, coverage, train


def test_the_first_version_comes_from_the_lab_and_says_so() -> None:
    result = first()
    model = Model.from_bytes(result.model)
    assert result.verdict.accepted
    assert (model.version, model.clip) == (1, 0.5)
    assert result.metadata["trainedOn"]["labRows"] == len(LAB)
    assert result.metadata["sampleCount"] == 0
    assert {"mae", "accuracy", "regret", "optimal", "percent_of_oracle"} <= result.metadata["metrics"].keys()
    assert set(result.metadata) >= {"trainedOn", "sampleCount", "trainingLoss", "architecture", "clip"}


def test_a_request_travels_to_another_process_and_gives_the_same_bytes() -> None:
    request = pickle.loads(pickle.dumps(TrainRequest(MANIFEST.raw, LAB, [], None, 1)))
    assert train(request).model == first().model


def test_reports_teach_an_engine_that_the_lab_never_saw() -> None:
    model, result = Model.from_bytes(first().model), first()
    sums: list[CellSum] = []
    new = FLEET.frame.environment == FLEET.frame.environments.index(
        next(e for e in FLEET.frame.environments if e.browser == "webkit")
    )
    before = np.abs(model.predict_frame(FLEET.frame)[0] - FLEET.target)
    for version in range(2, 6):
        sums = merge(sums + reports(model, 8000, version))
        result = train(TrainRequest(MANIFEST.raw, LAB, sums, model.to_bytes(), version, group=5))
        if result.verdict.accepted:
            model = Model.from_bytes(result.model)
    after = np.abs(model.predict_frame(FLEET.frame)[0] - FLEET.target)
    assert after[new].mean() < 0.5 * before[new].mean()
    assert after[~new].mean() < before[~new].mean() + 0.01
    told = result.metadata["metrics"]["reports"]
    assert told["maeLow"] <= told["mae"] <= told["maeHigh"]
    assert told["maeLow"] < after.mean() < told["maeHigh"] + 0.03


def test_reports_about_unknown_kernels_and_candidates_are_left_out() -> None:
    model = Model.from_bytes(first().model)
    sums = reports(model, 500, 0)
    strange = [replace(row, cell=replace(row.cell, signature="ff" * 16)) for row in sums[:200]]
    strange += [replace(row, cell=replace(row.cell, candidate="swar")) for row in sums[200:]]
    result = train(TrainRequest(MANIFEST.raw, LAB, strange, first().model, 2, group=1))
    assert result.metadata["trainedOn"]["cells"] == 0
    assert result.verdict.accepted


def test_one_lab_context_in_ten_is_held_out_whole_and_always_the_same() -> None:
    mask = kept_out(LAB.frame)
    assert 0.02 < mask.mean() < 0.25
    f = LAB.frame
    place = f.kernel * 10_000 + f.context * 100 + f.environment
    for context in np.unique(place):
        assert mask[place == context].all() or not mask[place == context].any()
    order = np.random.default_rng(0).permutation(len(LAB))
    np.testing.assert_array_equal(kept_out(LAB.frame.take(order)), mask[order])


def test_coverage_is_the_share_of_traffic_in_well_known_cells() -> None:
    model = Model.from_bytes(first().model)
    assert coverage([]) == 0
    few = coverage(reports(model, 300, 0, heldout=0.0))
    many = coverage(reports(model, 30_000, 0, heldout=0.0))
    assert few < 0.1 < 0.95 < many


def test_no_lab_and_no_reports_is_an_error_and_reports_alone_are_enough() -> None:
    model = Model.from_bytes(first().model)
    empty = LAB.take(np.zeros(len(LAB), dtype=bool))
    result = train(TrainRequest(MANIFEST.raw, empty, reports(model, 5000, 0), None, 1, group=1))
    assert result.verdict.accepted
    assert isinstance(empty, Rows)


def test_reports_may_contradict_what_was_only_guessed() -> None:
    """Without lab measurements the capability heuristic's guess is no truth that a better model is held to."""
    guess = guessed_rows(MANIFEST)
    request = TrainRequest(MANIFEST.raw, guess, [], None, 1, measured=False)
    model, told = Model.from_bytes(train(request).model), guess.frame
    told = replace(told, environments=[replace(e, browser="firefox", version=200) for e in told.environments])
    truth = replace(guess, frame=told, target=1.5 - guess.target)  # what was thought best is worst
    for version in range(2, 6):
        sums = reports(model, 8000, version, truth)
        request = replace(request, aggregates=sums, previous=model.to_bytes(), version=version, group=1)
        result = train(request)
        assert result.verdict.accepted, result.verdict.reasons
        model = Model.from_bytes(result.model)
    error = np.abs(model.predict_frame(told).mean - truth.target).mean()
    assert error < 0.5 * np.abs(guess.target - truth.target).mean()


def test_a_peculiar_lab_cell_is_not_blurred_when_other_environments_start_to_report() -> None:
    f = LAB.frame
    odd = (f.kernel == 1) & (f.context == f.context[f.kernel == 1][2])
    names = np.array(f.candidates)[f.candidate]
    lab = replace(LAB, target=LAB.target + np.where(odd & (names == "scalar"), 1.5, 0.0))
    start = train(TrainRequest(MANIFEST.raw, lab, [], None, 1))
    elsewhere = [replace(e, os="windows", cores="8-15") for e in FLEET.frame.environments]
    fleet = replace(FLEET, frame=replace(FLEET.frame, environments=elsewhere))
    sums = reports(Model.from_bytes(start.model), 1500, 3, fleet)
    result = train(TrainRequest(MANIFEST.raw, lab, sums, start.model, 2, group=1))
    assert result.verdict.accepted, result.verdict.reasons
    told = Model.from_bytes(result.model).predict_frame(lab.frame).mean
    assert np.abs(told - lab.target)[odd].mean() < 0.1


def test_patterns_that_nobody_reported_yet_do_not_break_the_first_model() -> None:
    model = Model.from_bytes(first().model)
    resident = np.array([not c.copied for c in FLEET.frame.contexts])[FLEET.frame.context]
    sums = reports(model, 2000, 4, FLEET.take(resident))
    empty = LAB.take(np.zeros(len(LAB), dtype=bool))
    assert train(TrainRequest(MANIFEST.raw, empty, sums, None, 1, group=1)).verdict.accepted
