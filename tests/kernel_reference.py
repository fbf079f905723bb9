"""What a kernel reference is: an independent statement of the result, and inputs worth trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 255, 1000)
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40], np.float32)

Array = np.ndarray[Any, Any]
Rng = np.random.Generator
Outcome = tuple[float | int | None, dict[str, Array]]  # result (None for void), out and inout arrays by name


@dataclass(frozen=True)
class Reference:
    """The two halves of a test: inputs and what should come of them.

    `make(size, rng, special)` gives the arguments in the manifest's order, `out` and `scratch` arrays too;
    `special` asks for NaN, infinities and the like where the kernel defines them. `compute(*arguments)`
    gives the Outcome from numpy or plain Python, written without looking at the C source.
    """

    make: Callable[[int, Rng, bool], list[Any]]
    compute: Callable[..., Outcome]
    sizes: tuple[int, ...] = SIZES
    large: int = 20_011


def floats(size: int, rng: Rng, special: bool, dtype: Any = np.float32) -> Array:
    """Values in [-1, 1); with `special`, about one in ten is NaN, ±infinity, −0 or subnormal."""
    values = rng.uniform(-1, 1, size).astype(dtype)
    if special and size:
        places = rng.random(size) < 0.1
        values[places] = rng.choice(SPECIAL, int(places.sum()))
    return values


def data_bytes(size: int, rng: Rng) -> Array:
    return rng.integers(0, 256, size, np.uint8)
