"""The mechanism, by exact rational arithmetic: the claim, unbiasedness, and that draws follow the matrix."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetune.privacy import (
    MAX_EPSILON,
    WORD,
    Mechanism,
    PrivacyError,
    clip_residual,
    mechanism,
    uniform_below,
)

EPSILONS = st.floats(0.1, MAX_EPSILON)


class Stream:
    """Reproducible entropy for tests: SHA-256 in counter mode."""

    def __init__(self, seed: str) -> None:
        self.seed, self.counter, self.left = seed, 0, b""

    def __call__(self, n: int) -> bytes:
        while len(self.left) < n:
            self.left += hashlib.sha256(f"{self.seed}/{self.counter}".encode()).digest()
            self.counter += 1
        taken, self.left = self.left[:n], self.left[n:]
        return taken


def distribution(noise: Mechanism, residual: float) -> list[Fraction]:
    """The exact distribution of the symbol for one residual: a mixture of two rows."""
    start, fraction = noise.place(residual)
    weight = Fraction(fraction, WORD)
    upper = noise.row(min(start + 1, noise.starts - 1))
    return [(1 - weight) * p + weight * q for p, q in zip(noise.row(start), upper, strict=True)]


def exp_above(x: Fraction) -> Fraction:
    """A rational above e^x: once terms at least halve, the rest is at most the last term."""
    total = term = Fraction(1)
    k = 0
    while k < 2 * x or term > Fraction(1, 1 << 100):
        k += 1
        term = term * x / k
        total += term
    return total + 2 * term


@pytest.mark.parametrize(
    ("epsilon", "window", "p_in", "scale"), [(2, 20, 0.77057, 14.6583), (1, 25, 0.63537, 7.8318)]
)
def test_the_published_parameters(epsilon: float, window: int, p_in: float, scale: float) -> None:
    noise = mechanism(epsilon)
    assert (noise.n, noise.window, noise.starts) == (64, window, 65 - window)
    assert float(noise.p_in) == pytest.approx(p_in, abs=1e-5)
    assert noise.scale == pytest.approx(scale, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(EPSILONS)
def test_no_ratio_of_the_whole_matrix_exceeds_the_claim(epsilon: float) -> None:
    noise = mechanism(epsilon)
    rows = [noise.row(start) for start in range(noise.starts)]
    assert all(sum(row) == 1 for row in rows)
    ratio = max(max(column) / min(column) for column in zip(*rows, strict=True))
    assert ratio == noise.max_ratio
    assert math.log(ratio) <= epsilon
    # ratio <= e^epsilon exactly: a partial sum of the series that is above the ratio proves it.
    partial = term = Fraction(1)
    for k in range(1, 200):
        term = term * Fraction(epsilon) / k
        partial += term
        if partial >= ratio:
            break
    assert partial >= ratio
    assert ratio > exp_above(Fraction(epsilon)) * (1 - Fraction(1, 10**6)), "the budget is used, not wasted"


@settings(max_examples=100, deadline=None)
@given(EPSILONS, st.floats(-1, 1), st.floats(-1, 1))
def test_any_two_residuals_are_indistinguishable_beyond_the_claim(
    epsilon: float, one: float, two: float
) -> None:
    noise = mechanism(epsilon)
    pairs = zip(distribution(noise, one), distribution(noise, two), strict=True)
    assert max(p / q for p, q in pairs) <= noise.max_ratio


@settings(max_examples=100, deadline=None)
@given(EPSILONS, st.floats(-1, 1))
def test_decoding_is_unbiased(epsilon: float, residual: float) -> None:
    noise = mechanism(epsilon)
    start, fraction = noise.place(residual)
    fixed = Fraction(start * WORD + fraction, (noise.starts - 1) * WORD) * 2 - 1  # the residual as quantised
    assert abs(fixed - Fraction(residual)) <= Fraction(1, WORD)
    mean = sum((p * Fraction(2 * k - 63, 2) for k, p in enumerate(distribution(noise, residual))), Fraction())
    assert mean / noise.exact_scale == fixed


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([1.0, 2.0]), st.floats(-1, 1))
def test_variance_is_that_of_the_matrix(epsilon: float, residual: float) -> None:
    noise = mechanism(epsilon)
    law = np.array([float(p) for p in distribution(noise, residual)])
    decoded = noise.values()
    mean = law @ decoded
    assert float(noise.variance(residual)) == pytest.approx(law @ decoded**2 - mean**2, abs=1e-6)
    assert noise.variance(np.array([residual, 0.0])).shape == (2,)


def test_the_deviation_is_far_below_laplace() -> None:  # √8 / 2 = 1.41 at this sensitivity
    assert math.sqrt(float(mechanism(2).variance(0.0))) == pytest.approx(0.796, abs=0.001)


@pytest.mark.parametrize("residual", [-1.0, -0.31, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("epsilon", [1.0, 2.0])
def test_draws_follow_the_matrix(epsilon: float, residual: float) -> None:
    noise, entropy, draws = mechanism(epsilon), Stream(f"{epsilon}/{residual}"), 15_000
    counts = np.bincount([noise.draw(residual, entropy) for _ in range(draws)], minlength=64)
    expected = np.array([float(p) for p in distribution(noise, residual)]) * draws
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 63 + 5 * math.sqrt(2 * 63), "chi-squared with 63 degrees of freedom, five deviations"


def test_the_operating_system_is_the_default_source() -> None:
    noise = mechanism(2)
    assert len({noise.draw(0.3) for _ in range(300)}) > 20


def test_the_same_bytes_give_the_same_symbol_and_leave_the_same_bytes() -> None:
    one, two = Stream("same"), Stream("same")
    assert [mechanism(2).draw(0.2, one) for _ in range(50)] == [
        mechanism(2).draw(0.2, two) for _ in range(50)
    ]
    assert one(8) == two(8)


def test_extreme_bytes_stay_in_the_alphabet() -> None:
    """Rejected bytes are thrown away, never folded back: 255 is past the last multiple of 20."""
    accepted = iter([b"\x00" * 4, b"\x00" * 4, b"\xff", b"\xff", b"\x13"])
    assert mechanism(2).draw(-1.0, lambda n: next(accepted)) == 19
    assert not list(accepted)


@pytest.mark.parametrize("residual", [math.nan, math.inf, -math.inf])
def test_a_residual_must_be_finite(residual: float) -> None:
    with pytest.raises(PrivacyError):
        mechanism(2).draw(residual)


@pytest.mark.parametrize("residual", [-1e9, -1.0000001, 1.0000001, 1e300])
def test_residuals_beyond_the_range_are_clipped(residual: float) -> None:
    assert mechanism(2).place(residual) == mechanism(2).place(math.copysign(1.0, residual))


@pytest.mark.parametrize("epsilon", [0, -1, math.nan, math.inf, 8.1, 1e-12])
def test_an_epsilon_without_a_claim_is_refused(epsilon: float) -> None:
    with pytest.raises(PrivacyError):
        mechanism(epsilon)


def test_clipping_is_symmetric_and_needs_numbers() -> None:
    assert clip_residual(1.7, 1.6, 0.2) == pytest.approx(0.5)
    assert clip_residual(9, 0, 0.2) == 1
    assert clip_residual(-9, 0, 0.2) == -1
    for bad in [(math.nan, 0, 1), (0, math.inf, 1), (0, 0, 0), (0, 0, math.nan)]:
        with pytest.raises(PrivacyError):
            clip_residual(*bad)


@given(st.integers(1, WORD))
def test_uniform_integers_stay_below_their_bound(bound: int) -> None:
    assert 0 <= uniform_below(bound) < bound
