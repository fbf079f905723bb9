"""Arguments for a function from its types and declared ranges, in Python and as a JavaScript `makeInput`."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from kernels_wasm.forge import ir
from kernels_wasm.forge.language import ELEMENTS, rounded
from kernels_wasm.forge.source import FLOAT_RANGE, Source
from kernels_wasm.forge.to_js import ARRAYS, name

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


def limits(source: Source, word: str, kind: str) -> tuple[float, float]:
    """Declared range of an array's elements or a number, both ends included; of floats the upper one is not."""
    if word in source.ranges:
        low, high = source.ranges[word]
        return low, high
    if kind in ELEMENTS:
        bits, signed = ELEMENTS[kind]
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return FLOAT_RANGE


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


def make_input(source: Source) -> str:
    """The text of `makeInput`. Its own names begin with $, as no name of Python does."""
    lines = [
        "/** One set of arguments; `$random` is a seeded () => [0, 1). Different calls give different data.",
        " * @param {number} $size @param {string} $pattern @param {() => number} $random */",
        "export function makeInput($size, $pattern, $random) {",
    ]
    factors = source.size.split(" * ")
    left = "$size"
    for at, factor in enumerate(factors):
        if at == len(factors) - 1:
            lines.append(f"  const {name(factor)} = Math.max(1, Math.floor({left}));")
        else:
            lines.append(
                f"  const {name(factor)} = Math.max(1, Math.round(({left}) ** (1 / {len(factors) - at})));"
            )
            left = f"{left} / {name(factor)}"
    lines += [
        f"  {line}"
        for p in source.params
        if not p.dir and p.name not in factors
        for line in _number(source, p)
    ]
    given = [f"${p.name}" if p.dir else name(p.name) for p in source.params]
    lines += [f"  {line}" for p in source.params if p.dir for line in _array(source, p)]
    return "\n".join([*lines, f"  return [{', '.join(given)}];", "}", ""])


def _drawn(source: Source, word: str, kind: str) -> str:
    """A random value of the declared range."""
    low, high = limits(source, word, kind)
    if kind in ELEMENTS:
        return f"Math.floor({int(low)} + {int(high - low) + 1} * $random())"
    return f"{low} + {high - low} * $random()"


def _number(source: Source, param: ir.Param) -> list[str]:
    word = name(param.name)
    table = {
        pattern: values[param.name] for pattern, values in source.patterns.items() if param.name in values
    }
    if table:
        known = ", ".join(f"{json.dumps(pattern)}: {value}" for pattern, value in table.items())
        default = source.values.get(param.name, next(iter(table.values())))
        return [f"const {word} = {{ {known} }}[$pattern] ?? {default};"]
    if param.name in source.values:
        return [f"const {word} = {source.values[param.name]};"]
    value = _drawn(source, param.name, param.type)
    return [f"const {word} = {f'Math.fround({value})' if param.type == 'f32' else value};"]


def _array(source: Source, param: ir.Param) -> list[str]:
    array = f"${param.name}"
    length = source.lengths.get(param.name, source.size).replace("//", "/")
    lines = [f"const {array} = new {ARRAYS[param.element]}({length});"]
    if param.dir in ("out", "scratch"):
        return lines
    value = _drawn(source, param.name, param.element)
    if set(source.patterns) & {"constant", "zeros"}:
        lines.append(f'const {array}Same = $pattern === "zeros" ? 0 : {value};')
        value = f'$pattern === "constant" || $pattern === "zeros" ? {array}Same : {value}'
    lines.append(f"for (let i = 0; i < {array}.length; i++) {array}[i] = {value};")
    if "sorted" in source.patterns:
        lines.append(f'if ($pattern === "sorted") {array}.sort();')
    return lines
