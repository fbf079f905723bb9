"""Training: exact posteriors, recovery of known effects, growth, calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.artefact import COLUMNS, SD_BASE, SMOOTH, VALUE_STEP
from fleetune.context import Environment
from fleetune.delta import MAX_SIZE
from fleetune.features import safe_default
from fleetune.model import CROSSES, Model, codes_of
from fleetune_server.training.fit import MAX_ROWS, Rows, fit
from fleetune_server.training.rows import vocabulary_of
from fleetune_server.training.wide import Table, backfit, tables_of

MANIFEST = catalogue()
ROWS = measured(MANIFEST)


def test_one_table_is_the_exact_posterior_mean() -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 5, 60)
    variance = rng.uniform(0.01, 0.1, 60)
    target = rng.normal(0, 1, 60)
    table = Table(np.arange(5), group, tau2=0.3, learns=False)
    backfit([table], target, variance, sweeps=1)
    z = np.eye(5)[group]
    precision = z.T @ np.diag(1 / variance) @ z + np.eye(5) / 0.3
    expected = np.linalg.solve(precision, z.T @ (target / variance))
    np.testing.assert_allclose(table.effect, expected, atol=1e-12)
    np.testing.assert_allclose(table.variance, np.diag(np.linalg.inv(precision)), atol=1e-12)


def test_backfitting_converges_to_the_joint_ridge_solution() -> None:
    rng = np.random.default_rng(2)
    left, right = rng.integers(0, 4, 200), rng.integers(0, 6, 200)
    target = rng.normal(0, 1, 4)[left] + rng.normal(0, 1, 6)[right] + rng.normal(0, 0.1, 200)
    tables = [Table(np.arange(4), left, 0.5, False), Table(np.arange(6), right, 0.5, False)]
    backfit(tables, target, np.full(200, 0.01), sweeps=200)
    z = np.hstack([np.eye(4)[left], np.eye(6)[right]])
    joint = np.linalg.solve(z.T @ z / 0.01 + np.eye(10) / 0.5, z.T @ target / 0.01)
    fitted = sum(table.effect[table.group] for table in tables)
    np.testing.assert_allclose(fitted, z @ joint, atol=2e-3)


def test_known_cells_are_predicted_to_within_their_noise() -> None:
    model, report = fit(ROWS, seed=0, version=1, clip=0.5)
    fresh_measurement = measured(MANIFEST, seed=9)
    error = model.predict_frame(ROWS.frame)[0] - fresh_measurement.target
    assert np.abs(error).mean() < 0.03
    assert report.prior == "trained"
    assert report.wide_losses[-1] < 0.02**2


def test_held_out_cells_are_predicted_better_than_by_the_variant_mean_and_with_honest_uncertainty() -> None:
    out = np.random.default_rng(3).random(len(ROWS)) < 0.2
    model, _ = fit(ROWS.take(~out), seed=0, version=1, clip=0.5)
    test = ROWS.take(out)
    mean, sd, _ = model.predict_frame(test.frame)
    error = mean - test.target
    simple = np.array(
        [ROWS.target[~out][ROWS.frame.candidate[~out] == c].mean() for c in test.frame.candidate]
    )
    assert np.abs(error).mean() < 0.5 * np.abs(simple - test.target).mean()
    covered = np.mean(np.abs(error) < 1.645 * np.hypot(sd, 0.02))
    assert 0.8 < covered < 0.98  # nominal 0.9


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (fit(ROWS, seed=5, version=1, clip=0.5)[0].to_bytes() for _ in range(2))
    assert first == second


def test_heavier_rows_pull_harder() -> None:
    twice = Rows.join([ROWS, Rows(ROWS.frame, ROWS.target + 1.0, np.full(len(ROWS), 1.0))])
    model, _ = fit(twice, seed=0, version=1, clip=0.5)
    assert np.abs(model.predict_frame(ROWS.frame)[0] - ROWS.target).mean() < 0.08


def test_a_new_environment_and_a_new_kernel_enter_without_moving_the_old() -> None:
    small = catalogue(6)
    before, _ = fit(measured(small, ENGINES[:2]), seed=0, version=1, clip=0.5)
    after, report = fit(ROWS, seed=0, version=2, clip=0.35, init=before)
    assert report.prior == "kept"
    old, new = before.artefact, after.artefact
    for name, words in old.vocabulary.items():
        assert new.vocabulary[name][: len(words)] == words
    for name in ("trees.feature", "trees.threshold", "trees.leaf"):
        np.testing.assert_array_equal(old.stored[name], new.stored[name])
    kept = np.isin(old.keys, new.keys)
    assert kept.all()
    np.testing.assert_array_equal(old.keys, new.keys[: len(old.keys)])
    newcomer = MANIFEST.kernels["kernel7"]
    rows = ROWS.take(np.array([ROWS.frame.kernels[k] is newcomer for k in ROWS.frame.kernel]))
    assert np.abs(after.predict_frame(rows.frame)[0] - rows.target).mean() < 0.03


def test_training_on_the_same_rows_again_changes_few_bytes() -> None:
    first, _ = fit(ROWS, seed=0, version=1, clip=0.5)
    second, _ = fit(ROWS, seed=0, version=2, clip=0.5, init=first)
    values = (m.artefact.stored["row.value"] for m in (first, second))
    changed = np.mean(np.not_equal(*values))
    assert changed < 0.1


def test_what_one_lab_machine_taught_about_an_engine_carries_over_to_another_machine() -> None:
    model, _ = fit(ROWS, seed=0, version=1, clip=0.5)
    other = Environment("firefox", 153, "windows", True, True, False, "8-15")
    frame = measured(MANIFEST, [ENGINES[1]]).frame
    there = type(frame)(
        frame.kernels, frame.contexts, [other], frame.candidates,
        frame.kernel, frame.context, frame.environment, frame.candidate,
    )  # fmt: skip
    moved = np.abs(model.predict_frame(there)[0] - model.predict_frame(frame)[0])
    assert moved.mean() < 0.05


def test_a_kernel_left_out_is_told_apart_from_a_known_one_by_its_uncertainty() -> None:
    known = np.array([k.name != "kernel2" for k in ROWS.frame.kernels])[ROWS.frame.kernel]
    model, _ = fit(ROWS.take(known), seed=0, version=1, clip=0.5)
    sd = model.predict_frame(ROWS.frame)[1]
    assert np.median(sd[~known]) > 3 * np.median(sd[known])


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        fit(ROWS.take(np.zeros(len(ROWS), dtype=bool)), seed=0, version=1, clip=0.5)


def test_every_row_belongs_to_one_group_of_every_cross() -> None:
    vocabulary = vocabulary_of(ROWS.frame, {})
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}
    codes = codes_of(ROWS.frame, index)
    tables = tables_of(codes, CROSSES)
    assert [len(table.group) for table in tables] == [len(ROWS)] * len(CROSSES)
    assert len(tables[-1].keys) == len(ROWS)


def test_the_safe_default_never_needs_what_the_browser_lacks() -> None:
    kernel = MANIFEST.kernels["kernel0"]
    assert safe_default(kernel, frozenset({"simd", "relaxedSimd"})) == "inlining+loopUnrolling+vectorization"
    assert safe_default(kernel, frozenset()) == "inlining+loopUnrolling"


def test_predictions_of_an_old_model_still_serve_an_old_client() -> None:
    small = catalogue(6)
    old, _ = fit(measured(small), seed=0, version=1, clip=0.5)
    new, _ = fit(ROWS, seed=0, version=2, clip=0.5, init=old)
    read = Model.from_bytes(new.to_bytes())
    kernel = small.kernels["kernel1"]
    context = next(iter(kernel.contexts()))[3]
    assert np.isfinite(read.predict(kernel, context, ENGINES[0], kernel.candidates(frozenset())).mean).all()


def test_what_was_measured_again_changes_its_own_rows_not_those_that_it_shares() -> None:
    first, _ = fit(ROWS, seed=0, version=1, clip=0.5)
    noise = np.random.default_rng(1).normal(0, 0.02, len(ROWS))
    again = replace(ROWS, target=ROWS.target + noise)
    second, _ = fit(again, seed=0, version=2, clip=0.5, init=first)
    anew, _ = fit(again, seed=0, version=2, clip=0.5, init=None)
    old, new = first.artefact.stored, second.artefact.stored
    changed = (old["row.value"] != new["row.value"][: len(old["row.value"])]).astype(float)
    cells = old["row.table"] == len(CROSSES) - 1
    assert changed[~cells].mean() < 0.15
    assert changed[cells].mean() > 0.3
    for name in ("row.sd", "row.contrast", "trees.leaf"):
        assert (old[name] == new[name][: len(old[name])]).mean() > 0.99, name
    answers = [model.predict_frame(ROWS.frame).mean for model in (second, anew, first)]
    errors = [float(np.abs(answer - again.target).mean()) for answer in answers]
    assert errors[0] < errors[1] + 0.004, "keeping codes must not cost accuracy"
    assert errors[0] < errors[2] - 0.003, "and what was measured counts"


def test_where_rows_are_too_many_smooth_ones_and_what_is_sure_stay() -> None:
    """A smooth row that is left out would give its place to a coarser one, which says something else."""
    whole = fit(ROWS, seed=1, version=1)[0]
    tables, value = whole.artefact.stored["row.table"], whole.artefact.stored["row.value"].astype(float)
    smooth = tables < len(SMOOTH)
    assert smooth.any()
    assert np.abs(value[smooth]).min() < np.abs(value[~smooth]).max(), "some would go by size"
    part = fit(ROWS, seed=1, version=1, max_rows=int(smooth.sum()) + 20)[0]
    left_out = ~np.isin(whole.artefact.keys, part.artefact.keys)
    assert left_out.sum() == len(value) - smooth.sum() - 20
    assert not left_out[smooth].any()
    sure = np.abs(value) / SD_BASE ** whole.artefact.stored["row.sd"].astype(float)
    assert sure[left_out].max() < 1.1 * sure[~left_out & ~smooth].min(), "an sd is told to 4 %"
    moved = np.abs(part.predict_frame(ROWS.frame).mean - whole.predict_frame(ROWS.frame).mean)
    tables_of_one = len(CROSSES) - len(SMOOTH)
    assert moved.max() <= tables_of_one * VALUE_STEP * np.abs(value[left_out]).max() + 1e-6


def test_the_largest_model_can_be_published() -> None:
    row = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
    first = Model.from_bytes((Path(__file__).parents[1] / "server" / "dist" / "first.bin").read_bytes())
    rest = len(first.to_bytes()) - row * len(first.artefact.keys)
    assert row * MAX_ROWS + 2 * rest < MAX_SIZE, "with twice as many trees, names and clips as the first has"
