"""The confirmation rule: it times what may pay, learns from what it timed, and stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetune.context import Context
from fleetune_research.confirmation import ALIKE, COMMON, MOST, NEAR, WIDE, Belief, correlation, expected_gain

CONTEXTS = [Context(size, "f32", pattern) for pattern in ("random", "random+copied") for size in (4, 8, 12)]
IDEAS: list[tuple[str, ...]] = [("js",), (), ("inlining",), ("inlining", "vectorization")]


def cells() -> tuple[list[Context], list[tuple[str, ...]], list[list[int]]]:
    contexts = [context for context in CONTEXTS for _ in IDEAS]
    ideas = [idea for _ in CONTEXTS for idea in IDEAS]
    here = [list(range(i * len(IDEAS), (i + 1) * len(IDEAS))) for i in range(len(CONTEXTS))]
    return contexts, ideas, here


def belief(mean: list[float], sd: float) -> tuple[Belief, list[list[int]]]:
    contexts, ideas, here = cells()
    deviations = [0.0 if idea == ("js",) else sd for idea in ideas]
    made = Belief(np.array(mean * len(CONTEXTS)), np.array(deviations), correlation(contexts, ideas))
    for group in here:
        made.observe(group[0], 0.0)
    return made, here


def test_correlations_are_a_covariance_and_fall_with_distance() -> None:
    contexts, ideas, _ = cells()
    matrix = correlation(contexts, ideas)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    np.testing.assert_array_equal(np.diag(matrix), 1.0)
    assert matrix[1, 2] == pytest.approx(COMMON + (1 - COMMON) * ALIKE)
    assert matrix[1, 5] < 1  # the same candidate at another size
    assert matrix[1, 13] < matrix[1, 1]  # and copied


def test_conditioning_agrees_with_the_textbook_s_block_formula() -> None:
    rng = np.random.default_rng(0)
    contexts, ideas, _ = cells()
    sd, mean = rng.uniform(0.1, 0.6, len(ideas)), rng.normal(0, 1, len(ideas))
    matrix = correlation(contexts, ideas)
    made = Belief(mean, sd, matrix)
    at, values = [1, 6, 15], [0.4, -0.2, 0.9]
    for cell, value in zip(at, values, strict=True):
        made.observe(cell, value, 0.05)
    prior = matrix * np.outer(sd, sd) * WIDE**2
    gain = prior[:, at] @ np.linalg.inv(prior[np.ix_(at, at)] + 0.05**2 * np.eye(3))
    np.testing.assert_allclose(made.mean, mean + gain @ (np.array(values) - mean[at]), atol=1e-9)
    np.testing.assert_allclose(made.covariance, prior - gain @ prior[at], atol=1e-9)


def test_a_sure_prediction_costs_one_timing_beside_the_reference() -> None:
    made, here = belief([0.0, 0.2, 0.3, 0.9], sd=0.02)
    first = made.next_timing(here[0])
    assert first == here[0][3]
    made.observe(first, 0.9)
    assert made.next_timing(here[0]) is None
    assert made.choice(here[0]) == first


def test_without_a_prediction_that_may_beat_it_the_reference_is_enough() -> None:
    made, here = belief([0.0, -0.8, -0.9, -1.0], sd=0.05)
    assert made.next_timing(here[0]) is None


def test_what_is_seen_in_one_context_saves_timings_in_the_next() -> None:
    """All modules are much slower than expected, as if JavaScript were vectorised."""
    pooled, here = belief([0.0, 0.3, 0.4, 0.5], sd=0.5)
    contexts, ideas, _ = cells()
    apart = np.array([[one == other for other in contexts] for one in contexts])
    alone = Belief(
        pooled.mean, np.sqrt(np.diag(pooled.covariance)) / WIDE, correlation(contexts, ideas) * apart
    )

    def timings(made: Belief) -> int:
        count = 0
        for group in here:
            made.observe(group[0], 0.0)
            while (cell := made.next_timing(group)) is not None:
                made.observe(cell, -1.0)
                count += 1
        return count

    assert timings(pooled) < 0.75 * timings(alone)


@given(st.lists(st.floats(-2, 3), min_size=4, max_size=4), st.floats(0.01, 2.0), st.integers(0, 2**31))
def test_it_always_ends_and_never_takes_a_slower_one_than_it_timed(
    mean: list[float], sd: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    made, here = belief([0.0, *mean[1:]], sd)
    for group in here:
        truth = dict(zip(group, [0.0, *rng.normal(mean[1:], sd)], strict=True))
        timings = 1
        while (cell := made.next_timing(group)) is not None:
            assert cell not in made.timed
            made.observe(cell, truth[cell], 1e-6)
            timings += 1
        assert timings <= min(MOST, len(group))
        seen = [cell for cell in group if cell in made.timed]
        if len(seen) > 1:
            assert truth[made.choice(group)] == pytest.approx(max(truth[cell] for cell in seen), abs=1e-3)


@given(st.floats(-3, 3), st.floats(0.01, 2.0))
def test_the_expected_gain_agrees_with_integration(difference: float, sd: float) -> None:
    x = np.linspace(difference - 8 * sd, difference + 8 * sd, 20_001)
    density = np.exp(-(((x - difference) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))
    wanted = np.trapezoid(np.maximum(x, 0) * density, x)
    assert expected_gain(difference, sd) == pytest.approx(wanted, abs=1e-4)
    assert expected_gain(difference, sd) >= max(0.0, difference) - 1e-12
    assert NEAR > 0


def test_expected_gain_is_that_of_a_normal_distribution() -> None:
    draws = np.random.default_rng(0).normal(0.1, 0.3, 400_000)
    assert expected_gain(0.1, 0.3) == pytest.approx(np.maximum(draws, 0).mean(), abs=2e-3)
    assert expected_gain(-0.2, 0.0) == 0
