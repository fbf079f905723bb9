"""Intervals of calls that nobody measured: calibrated on calls left out, told by the rows, and nothing else changes."""

from __future__ import annotations

import numpy as np
from tests.test_evaluate import LAB, MANIFEST

from fleetune.choose import INTERVAL
from fleetune.context import Context
from fleetune.covariance import Points
from fleetune.features import Ints
from fleetune_research.splits import strict_context
from fleetune_server.training.fit import fit
from fleetune_server.training.smooth import COVERED, COVERED_DEVIATIONS, Posterior, unseen_scale
from fleetune_server.training.sources import lab_rows

CONTEXTS = [Context(size, "f32", pattern) for size in (4, 8, 12) for pattern in ("random", "random+copied")]
CANDIDATES = ("scalar", "vectorization")


def points() -> Points:
    context, candidate, engine = (
        column.reshape(-1) for column in np.meshgrid(range(len(CONTEXTS)), range(2), range(2), indexing="ij")
    )
    return Points(CONTEXTS, CANDIDATES, context, candidate, engine, engine)


def part(all_points: Points, rows: Ints) -> Points:
    columns = (all_points.context, all_points.candidate, all_points.engine, all_points.family)
    return Points(CONTEXTS, CANDIDATES, *(column[rows] for column in columns))


def test_errors_of_calls_left_out_are_those_of_fitting_the_rest() -> None:
    everything = points()
    rng = np.random.default_rng(0)
    residual, noise = rng.normal(size=len(everything)), rng.uniform(0.001, 0.1, len(everything))
    error, deviation = Posterior.of(everything, residual, noise).calls_left_out()
    for size in (4, 8, 12):
        out = np.array([CONTEXTS[c].log2_size == size for c in everything.context])
        asked, rest = part(everything, np.flatnonzero(out)), part(everything, np.flatnonzero(~out))
        mean, variance, _ = Posterior.of(rest, residual[~out], noise[~out]).at(asked)
        np.testing.assert_allclose(error[out], residual[out] - mean, rtol=1e-6)
        np.testing.assert_allclose(deviation[out], np.sqrt(variance + noise[out]), rtol=1e-6)


def test_the_scale_makes_ninety_per_cent_intervals_cover_ninety_per_cent() -> None:
    for spread in (0.4, 1.0, 1.5):  # within the bounds of the scale
        errors = np.abs(np.random.default_rng(1).standard_t(4, 20_000)) * spread
        wide = COVERED_DEVIATIONS * np.sqrt(unseen_scale(errors))
        assert abs(np.mean(errors < wide) - COVERED) < 0.01


def test_intervals_of_calls_that_nobody_measured_cover_most_of_them() -> None:
    fold = next(iter(strict_context(lab_rows(LAB, MANIFEST), 0)))
    answer = fit(fold.train, seed=0, version=1, prior="none")[0].predict_frame(fold.test.frame)
    covered = np.mean(np.abs(answer.mean - fold.test.target) < INTERVAL * answer.sd)
    assert 0.8 < covered < 0.99
