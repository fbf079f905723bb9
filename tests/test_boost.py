"""Symmetric trees: as good as a library's on what they can express, the same bytes for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.artefact import ModelError, pack, unpack
from fleetune.features import Features
from fleetune.model import Model
from fleetune.trees import TreePart, design
from fleetune_server.training.boost import boost
from fleetune_server.training.fit import fit
from fleetune_server.training.prior import answer

ROWS = measured(catalogue(6), ENGINES[:2])
MODEL, _ = fit(ROWS, seed=0, version=1)


def friedman(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Friedman's first test function (Multivariate Adaptive Regression Splines, 1991), with unused
    features."""
    x = rng.random((count, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, y


def test_they_come_close_to_a_library_s_trees_on_a_known_function() -> None:
    rng = np.random.default_rng(0)
    x, y = friedman(1500, rng)
    test, truth = friedman(1500, rng)
    ours = answer(boost(x, y + rng.normal(0, 1, len(y)), np.ones(len(y)), seed=0), test)
    theirs = HistGradientBoostingRegressor(random_state=0).fit(x, y).predict(test)
    error, library = (float(np.mean((told - truth) ** 2)) for told in (ours, theirs))
    assert error < 0.2 * np.var(truth)
    assert error < library + 3.0


def test_weights_count_like_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    x = rng.random((400, 3))
    y = np.where(rng.random(400) < 0.5, 1.0, -1.0)
    heavy = answer(boost(x, y, np.where(y > 0, 9.0, 1.0), seed=0, trees=20), x)
    assert heavy.mean() == pytest.approx(0.8, abs=0.1)


def test_the_artefact_answers_as_the_training_did() -> None:
    features = Features.of(ROWS.frame)
    f = ROWS.frame
    x = design(features, f, f.kernel, f.context, f.environment, f.candidate)
    part = TreePart(MODEL.artefact)
    np.testing.assert_allclose(part.rows(f), part.answer(x), atol=1e-12)
    kernel, context = f.kernels[0], f.contexts[0]
    names = kernel.candidates(ENGINES[0].features)[1:]
    alone = part.context(kernel, context, ENGINES[0], names)
    rows = [
        i
        for name in names
        for i in np.flatnonzero((f.kernel == 0) & (f.context == 0) & (f.environment == 0))
        if f.candidates[f.candidate[i]] == name
    ]
    np.testing.assert_allclose(alone, part.rows(f)[rows], atol=1e-12)


def test_every_engine_of_a_measured_family_is_told_what_its_lab_machine_showed() -> None:
    """The prior's own differences between engines must not come on top of what was measured."""
    for seed in range(3):
        model, _ = fit(ROWS, seed=seed, version=1)
        elsewhere = [replace(environment, os="windows") for environment in ROWS.frame.environments]
        told = model.predict_frame(replace(ROWS.frame, environments=elsewhere)).mean
        for number in range(len(elsewhere)):
            here = ROWS.frame.environment == number
            assert np.abs(told - ROWS.target)[here].mean() < 0.08


@pytest.mark.parametrize(
    "change",
    [
        {"trees.feature": np.full((200, 5), 60_000, dtype="<u2")},
        {"trees.feature": np.zeros((200, 5), dtype="<i2")},
        {"trees.leaf": np.zeros((200, 31), dtype="<f2")},
        {"trees.threshold": np.zeros((199, 5), dtype="<f4")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_trees_that_cannot_be_asked_are_refused(change: dict[str, np.ndarray]) -> None:
    stored = {**MODEL.artefact.stored, **change}
    with pytest.raises(ModelError):
        unpack(pack(replace(MODEL.artefact, stored=stored)))
    assert Model.from_bytes(MODEL.to_bytes()).version == 1
