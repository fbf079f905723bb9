"""Exact binomial confidence bounds (Clopper & Pearson, Biometrika 1934) without SciPy."""

from __future__ import annotations

import math

TINY = 1e-300


def lower(hits: int, trials: int, alpha: float) -> float:
    """The one-sided lower bound of the probability at confidence 1 - alpha: the beta quantile at alpha."""
    return 0.0 if hits == 0 else _quantile(alpha, hits, trials - hits + 1)


def upper(hits: int, trials: int, alpha: float) -> float:
    """The one-sided upper bound of the probability at confidence 1 - alpha."""
    return 1.0 if hits == trials else _quantile(1 - alpha, hits + 1, trials - hits)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 100_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + step * d)
            c = _nonzero(1 + step / c)
            fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            return front * fraction / a
    raise ArithmeticError(f"the continued fraction did not converge at {x}, {a}, {b}")


def _nonzero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _quantile(probability: float, a: float, b: float) -> float:
    """The beta quantile, by bisection."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
