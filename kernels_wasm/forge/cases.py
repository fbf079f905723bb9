"""Arguments for a function from its types and declared ranges, as NumPy arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from kernels_wasm.translate import ir
from kernels_wasm.translate.inputs import limits
from kernels_wasm.translate.language import ELEMENTS, rounded
from kernels_wasm.translate.source import Source

DTYPES = {
    "i8": np.int8, "u8": np.uint8, "i16": np.int16, "u16": np.uint16,
    "i32": np.int32, "u32": np.uint32, "f32": np.float32, "f64": np.float64,
}  # fmt: skip
EXTREME_FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    math.inf,
    -math.inf,
    math.nan,
    1e-45,
    -1e-45,
    1.1754944e-38,
    3.4028235e38,
)
ODDS = 8  # one extreme value in so many


def numbers(source: Source, size: int, pattern: str) -> dict[str, float]:
    """The numbers of a call of that size; a product of two or three is split evenly."""
    factors = source.size.split(" * ")
    found: dict[str, float] = {}
    left = size
    for at, factor in enumerate(factors):
        part = max(1, round(left ** (1 / (len(factors) - at)))) if size else 0
        found[factor] = part
        left = max(1, left // part) if part else 0
    return {**found, **source.values, **source.patterns.get(pattern, {})}


def arguments(source: Source, size: int, pattern: str, seed: int, *, extreme: bool = False) -> list[Any]:
    """One call's arguments: numbers, and NumPy arrays. With `extreme`, full of the values that break things, but
    none outside a declared range."""
    chance = np.random.default_rng([seed, size, extreme])
    known = numbers(source, size, pattern)
    for param in source.params:
        if not param.dir and param.name not in known:
            low, high = limits(source, param.name, param.type)
            value = low + (high - low) * chance.random()
            known[param.name] = round(value) if param.type in ir.INTEGERS else value
            if extreme and param.type in ir.FLOATS and param.name not in source.ranges:
                known[param.name] = float(chance.choice(EXTREME_FLOATS))
    made: list[Any] = []
    for param in source.params:
        if param.dir:
            made.append(
                _elements(source, param, source.length(param, known), pattern, chance, extreme=extreme)
            )
        elif param.type in ir.INTEGERS:
            made.append(int(known[param.name]))
        else:
            value = float(known[param.name])
            made.append(rounded(value) if param.type == "f32" else value)
    return made


def _elements(
    source: Source, param: ir.Param, count: int, pattern: str, chance: Any, *, extreme: bool
) -> Any:
    kind = np.dtype(DTYPES[param.element])
    low, high = limits(source, param.name, param.element)
    if param.dir in ("out", "scratch") or pattern == "zeros":
        return np.zeros(count, kind)
    whole = param.element in ELEMENTS
    drawn = 1 if pattern == "constant" else count
    with np.errstate(over="ignore"):
        made = (
            chance.integers(int(low), int(high), drawn, endpoint=True)
            if whole
            else low + (high - low) * chance.random(drawn)
        ).astype(kind)
        if extreme and (whole or param.name not in source.ranges):
            inside = [v for v in (0, 1, -1, low, high, (low + high) // 2) if low <= v <= high]
            values = np.array(inside if whole else EXTREME_FLOATS).astype(kind)
            made = np.where(chance.integers(0, ODDS, drawn) == 0, chance.choice(values, drawn), made)
    made = np.resize(made, count)
    return np.sort(made) if pattern == "sorted" else made
