"""The on-device layer: shrinkage toward the model, transfer to related cells, nothing lost or invented."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.context import Environment
from fleetune.model import Model
from fleetune.personal import MAX_OBSERVATIONS, PersonalError, PersonalLayer, prior_variances
from fleetune_server.training.fit import fit

MANIFEST = catalogue()
KERNEL = MANIFEST.kernels["kernel1"]
CONTEXTS = [context for _, _, _, context in KERNEL.contexts()]
NAMES = KERNEL.candidates(ENGINES[0].features)
NEW = Environment("other", 1, "other", True, True, False, "4-7")


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(measured(MANIFEST), seed=0, version=1, clip=0.5)[0]


def layer_for(model: Model, environment: Environment = ENGINES[0]) -> PersonalLayer:
    layer = PersonalLayer()
    layer.bind(model, MANIFEST.by_signature, environment)
    return layer


def test_without_measurements_nothing_changes(model: Model) -> None:
    predictions = model.predict(KERNEL, CONTEXTS[0], ENGINES[0], NAMES)
    assert layer_for(model).adjust(KERNEL.signature, CONTEXTS[0], NAMES, predictions) is predictions


@given(surprise=st.floats(-1, 1), spread=st.floats(0, 0.2))
def test_a_measurement_pulls_its_cell_between_prediction_and_itself(
    model: Model, surprise: float, spread: float
) -> None:
    layer = layer_for(model)
    before = model.predict(KERNEL, CONTEXTS[0], ENGINES[0], NAMES)
    layer.observe(KERNEL, CONTEXTS[0], NAMES[2], float(before.mean[2]) + surprise, spread)
    after = layer.adjust(KERNEL.signature, CONTEXTS[0], NAMES, before)
    shift = after.mean[2] - before.mean[2]
    assert min(0, surprise) - 1e-9 <= shift <= max(0, surprise) + 1e-9
    assert after.mean[0] == 0
    assert (after.sd <= before.sd + 1e-12).all()


def test_more_noise_means_less_trust(model: Model) -> None:
    shifts = []
    for spread in (0.01, 0.05, 0.2):
        layer = layer_for(model)
        before = model.predict(KERNEL, CONTEXTS[0], ENGINES[0], NAMES)
        layer.observe(KERNEL, CONTEXTS[0], NAMES[1], float(before.mean[1]) + 0.5, spread)
        after = layer.adjust(KERNEL.signature, CONTEXTS[0], NAMES, before)
        shifts.append(float(after.mean[1] - before.mean[1]))
    assert shifts[0] > shifts[1] > shifts[2] > 0


def test_on_an_unknown_engine_few_measurements_teach_about_cells_never_measured(model: Model) -> None:
    truth = measured(MANIFEST, [NEW], noise=0.0)
    layer = layer_for(model, NEW)
    f = truth.frame
    rng = np.random.default_rng(0)
    seen = rng.permutation(len(truth))[:60]
    for i in seen:
        place = f.kernels[f.kernel[i]], f.contexts[f.context[i]], f.candidates[f.candidate[i]]
        layer.observe(*place, float(truth.target[i]), 0.01)
    rest = np.setdiff1d(np.arange(len(truth)), seen)[::7]
    errors = []
    for i in rest:
        kernel, context, name = (
            f.kernels[f.kernel[i]],
            f.contexts[f.context[i]],
            (f.candidates[f.candidate[i]],),
        )
        before = model.predict(kernel, context, NEW, name)
        after = layer.adjust(kernel.signature, context, name, before)
        errors.append((before.mean[0] - truth.target[i], after.mean[0] - truth.target[i]))
    before_mae, after_mae = np.abs(np.array(errors)).mean(axis=0)
    assert after_mae < 0.8 * before_mae


def test_a_known_environment_leaves_less_to_learn_than_an_unknown_one(model: Model) -> None:
    known, unknown = prior_variances(model, ENGINES[0]), prior_variances(model, NEW)
    assert sum(unknown.values()) > 2 * sum(known.values())


def test_observations_survive_json_and_bind_to_the_next_model(model: Model) -> None:
    layer = layer_for(model)
    layer.observe(KERNEL, CONTEXTS[0], NAMES[1], 0.7, 0.02)
    layer.observe(KERNEL, CONTEXTS[1], NAMES[2], 0.2, 0.02)
    again = PersonalLayer.from_json(json.loads(json.dumps(layer.to_json())))
    before = model.predict(KERNEL, CONTEXTS[0], ENGINES[0], NAMES)
    with pytest.raises(PersonalError, match="bind"):
        again.adjust(KERNEL.signature, CONTEXTS[0], NAMES, before)
    again.bind(model, MANIFEST.by_signature, ENGINES[0])
    ours, theirs = (x.adjust(KERNEL.signature, CONTEXTS[0], NAMES, before) for x in (layer, again))
    np.testing.assert_array_equal(ours.mean, theirs.mean)


@pytest.mark.parametrize("stored", [3, [[1, 2]], [["a", {}, "b", 1, 1]], [["a", None, "b", "x", 1]]])
def test_unreadable_observations_are_refused(stored: object) -> None:
    with pytest.raises(PersonalError):
        PersonalLayer.from_json(stored)


def test_only_the_newest_cells_are_kept_and_js_never(model: Model) -> None:
    layer = layer_for(model)
    layer.observe(KERNEL, CONTEXTS[0], "js", 0.0, 0.01)
    assert len(layer) == 0
    for kernel in MANIFEST.kernels.values():
        for _, _, _, context in kernel.contexts():
            for name in kernel.variants:
                layer.observe(kernel, context, name, 0.1, 0.01)
    assert len(layer) == MAX_OBSERVATIONS
    layer.forget()
    assert len(layer) == 0
