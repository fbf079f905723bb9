"""The table of learners: all play on the same unseen kernels, weigh kernels alike, and are judged by other repeats."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.test_evaluate import FORGED, LAB, MANIFEST

from fleetune.features import Floats
from fleetune_research.commands.learners import table
from fleetune_research.confirmation import Repeat
from fleetune_research.learners import (
    HEURISTIC,
    LEARNERS,
    SHIPPED,
    WITH_FORGED,
    Played,
    Task,
    compare,
    nearest,
    ridge,
)
from fleetune_server.training.sources import lab_rows

ROWS = lab_rows(LAB, MANIFEST, repeats=frozenset((0,)))
MORE = lab_rows(FORGED.lab, FORGED.manifest)


@cache
def result() -> dict[str, Any]:
    few = {name: LEARNERS[name] for name in ("ridge", SHIPPED)}
    return compare(ROWS, Repeat.of(LAB, 1), forged=MORE, seeds=(0,), learners=few, curve=(1,), draws=40)


def test_every_learner_has_its_figures_with_intervals() -> None:
    json.dumps(result(), allow_nan=False)
    assert result()["learners"].keys() == {"ridge", SHIPPED, "variant_mean", HEURISTIC, WITH_FORGED}
    for name, entry in result()["learners"].items():
        low, high = entry["interval"]["percent_of_oracle"]
        assert 0 < low <= entry["percent_of_oracle"] <= high <= 1, name
        assert ("mae" in entry) == (name != HEURISTIC)
    assert result()["learning_curve"].keys() == {1, 4}
    assert any(SHIPPED in line for line in table(result()))


def test_a_learner_is_asked_only_about_kernels_that_it_has_not_seen() -> None:
    tasks: list[Task] = []

    def constant(task: Task) -> Floats:
        tasks.append(task)
        return np.zeros(len(task.asked))

    told = compare(ROWS, Repeat.of(LAB, 1), seeds=(0,), learners={"constant": constant}, curve=(), draws=4)
    assert told["learners"]["constant"]["percent_of_oracle"] < 1
    for task in tasks:
        seen = {tuple(row) for row in task.x.tolist()}
        assert not seen & {tuple(row) for row in task.asked.tolist()}
        assert len(np.unique(task.weight)) <= len(MANIFEST.kernels)


def test_every_kernel_weighs_the_same_however_many_contexts_it_has() -> None:
    played = Played([np.array([-1.0, -1.0, -1.0, 0.0])])
    np.testing.assert_allclose(played.by_kernel(np.array([0, 0, 0, 1]))["loss"], [-1.0, 0.0])


@pytest.mark.parametrize("learner", [ridge, nearest])
def test_simple_learners_find_a_line(learner: Any) -> None:
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(2000, 2)), np.ones((2000, 1))])  # a feature that tells nothing
    task = Task(x, x[:, 0] - 2 * x[:, 1], np.ones(2000), x[:50] + 0.01, 0)
    np.testing.assert_allclose(learner(task), (x[:50, 0] - 2 * x[:50, 1]), atol=0.5)
