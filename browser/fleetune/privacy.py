"""The noise: a discrete piecewise mechanism with an exact claim, drawn with integers from secure randomness.

A residual in [-1, 1] picks a window of `window` consecutive symbols among `n`; with probability `p_in` the
answer is a uniform symbol of the window, otherwise a uniform one outside it. Every probability is a rational
number, so the largest ratio over inputs and symbols is a proof and not an estimate. After the piecewise
mechanism of Wang et al., "Collecting and Analyzing Multidimensional Data with Local Differential Privacy"
(ICDE 2019), on a finite alphabet; cf. the square wave of Li et al. (SIGMOD 2020).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Entropy = Callable[[int], bytes]

SYMBOLS = 64
WORD = 1 << 32  # denominator of p_in and of the position between two windows
MAX_EPSILON = 8.0
EPSILONS = (2.0, 1.0)  # what a user can choose: default, strict
DEFAULT_EPSILON, STRICT_EPSILON = EPSILONS
system_entropy: Entropy = secrets.token_bytes


class PrivacyError(ValueError):
    """A parameter or residual that no claim can be made about; the message names it."""


@dataclass(frozen=True)
class Mechanism:
    """The discrete piecewise mechanism on residuals in [-1, 1], epsilon-locally-differentially private.

    Build with `mechanism(epsilon)`, which chooses the window. `inside` is the numerator of `p_in` over 2^32.
    """

    epsilon: float
    window: int
    inside: int
    n: int = SYMBOLS

    @property
    def starts(self) -> int:
        """How many places the window can start at."""
        return self.n - self.window + 1

    @property
    def p_in(self) -> Fraction:
        """The probability of a symbol inside the window, exactly."""
        return Fraction(self.inside, WORD)

    @cached_property
    def exact_scale(self) -> Fraction:
        """Symbols per unit of residual: E[symbol] = (n - 1) / 2 + scale * residual, hence unbiased."""
        outside = self.n - self.window
        return (outside * self.p_in - (1 - self.p_in) * self.window) / 2

    @cached_property
    def scale(self) -> float:
        return float(self.exact_scale)

    @property
    def max_ratio(self) -> Fraction:
        """The largest probability ratio over all inputs and symbols, exactly; at most e^epsilon.

        Inputs between two starts mix their rows, so the extremes are those of the pure rows.
        """
        outside = self.n - self.window
        return Fraction(self.inside * outside, (WORD - self.inside) * self.window)

    def row(self, start: int) -> list[Fraction]:
        """The exact distribution over symbols of the window at `start`."""
        outside = (1 - self.p_in) / (self.n - self.window)
        inside = self.p_in / self.window
        return [inside if start <= k < start + self.window else outside for k in range(self.n)]

    def place(self, residual_unit: float) -> tuple[int, int]:
        """The window start below a residual and the 32-bit fraction of the way to the next one.

        This is the only floating-point step, deterministic and before any randomness; values beyond
        [-1, 1] are clipped, because only those are covered by the claim.
        """
        if not math.isfinite(residual_unit):
            raise PrivacyError(f"a residual must be finite, not {residual_unit}")
        fixed = round((min(max(residual_unit, -1.0), 1.0) + 1.0) * (WORD // 2))  # 0 … 2^32
        return divmod(fixed * (self.n - self.window), WORD)

    def symbol(self, start: int, inside: bool, pick: int) -> int:
        """The symbol number `pick` inside the window at `start`, or number `pick` outside it."""
        if inside:
            return start + pick
        return pick if pick < start else pick + self.window

    def draw(self, residual_unit: float, entropy: Entropy = system_entropy) -> int:
        """One symbol, 0 … n - 1, for a residual in [-1, 1]; raises PrivacyError if it is not finite.

        The draw is decided by integers alone: two 32-bit words and one byte by rejection sampling.
        """
        start, fraction = self.place(residual_unit)
        start += _word(entropy) < fraction
        inside = _word(entropy) < self.inside
        return self.symbol(start, inside, _below(self.window if inside else self.n - self.window, entropy))

    def decode(self, symbol: int) -> float:
        """The unbiased estimate of the residual from one symbol (beyond [-1, 1]; never clamp it)."""
        return (symbol - (self.n - 1) / 2) / self.scale

    def values(self) -> NDArray[np.float64]:
        """What each symbol decodes to: (n,), ascending and symmetric about 0."""
        return np.asarray((np.arange(self.n) - (self.n - 1) / 2) / self.scale, dtype=np.float64)

    @cached_property
    def _second_moments(self) -> NDArray[np.float64]:
        squares = [Fraction((2 * k - self.n + 1) ** 2, 4) for k in range(self.n)]
        unit = self.exact_scale**2
        return np.array(
            [
                float(sum((p * s for p, s in zip(self.row(start), squares, strict=True)), Fraction()) / unit)
                for start in range(self.starts)
            ]
        )

    def variance(self, residual_unit: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The variance of the decoded residual at residuals in [-1, 1], in units of the clip squared."""
        x = np.clip(np.asarray(residual_unit, dtype=np.float64), -1, 1)
        starts = np.linspace(-1, 1, self.starts)
        return np.asarray(np.interp(x, starts, self._second_moments) - x**2)


@lru_cache(maxsize=64)
def mechanism(epsilon: float) -> Mechanism:
    """The piecewise mechanism whose window has the least variance at residual 0, where most residuals are.

    Raises PrivacyError unless 0 < epsilon <= 8.
    """
    if not (isinstance(epsilon, (int, float)) and 0 < epsilon <= MAX_EPSILON):
        raise PrivacyError(f"epsilon must be above 0 and at most {MAX_EPSILON:g}, not {epsilon!r}")
    growth = exp_below(Fraction(epsilon))
    windows = []
    for window in range(1, SYMBOLS):
        # p_in / window : (1 - p_in) / (n - window) = e^epsilon, rounded down: the ratio never exceeds it.
        inside = math.floor(WORD * window * growth / (window * growth + SYMBOLS - window))
        windows.append(Mechanism(float(epsilon), window, inside))
    # Below the resolution of a 32-bit word a window may carry no signal at all.
    useful = [candidate for candidate in windows if candidate.exact_scale > 0]
    if not useful:
        raise PrivacyError(f"epsilon {epsilon!r} is too small to carry anything")
    return min(useful, key=_variance_at_zero)


def clip_residual(measured_log: float, base_log: float, clip: float) -> float:
    """The residual ln(measured) - base prediction, clipped to ±clip, in units of the clip: [-1, 1]."""
    if not (math.isfinite(measured_log) and math.isfinite(base_log)):
        raise PrivacyError("a measurement and its base prediction must be finite")
    if not (math.isfinite(clip) and clip > 0):
        raise PrivacyError(f"the clip must be positive, not {clip!r}")
    return min(max((measured_log - base_log) / clip, -1.0), 1.0)


def uniform_below(bound: int, entropy: Entropy = system_entropy) -> int:
    """A uniform integer in [0, bound) for bound <= 2^32, by rejection of 32-bit words."""
    if not 0 < bound <= WORD:
        raise ValueError(f"the bound must be in 1 … 2^32, not {bound}")
    limit = WORD - WORD % bound
    while True:
        word = _word(entropy)
        if word < limit:
            return word % bound


def _variance_at_zero(candidate: Mechanism) -> Fraction:
    row = candidate.row((candidate.n - candidate.window) // 2)
    moment = sum((p * (2 * k - candidate.n + 1) ** 2 for k, p in enumerate(row)), Fraction())
    return moment / (4 * candidate.exact_scale**2)


def exp_below(epsilon: Fraction) -> Fraction:
    """A rational number at most e^epsilon and within 2^-80 of it: a partial sum of its positive series."""
    total = term = Fraction(1)
    k = 0
    while k < epsilon or term > Fraction(1, 1 << 80):
        k += 1
        term = term * epsilon / k
        total += term
    return total


def _word(entropy: Entropy) -> int:
    return int.from_bytes(entropy(4), "big")


def _below(bound: int, entropy: Entropy) -> int:
    """A uniform integer below `bound` <= 256: bytes past the last whole multiple are thrown away."""
    limit = 256 - 256 % bound
    while True:
        byte = entropy(1)[0]
        if byte < limit:
            return byte % bound
