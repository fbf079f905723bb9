"""`makeInput` in JavaScript: arguments for a function from its types and declared ranges."""

from __future__ import annotations

import json
import re

from kernels_wasm.translate import ir
from kernels_wasm.translate.language import ELEMENTS
from kernels_wasm.translate.source import FLOAT_RANGE, Source
from kernels_wasm.translate.to_js import ARRAYS, name


def limits(source: Source, word: str, kind: str) -> tuple[float, float]:
    """Declared range of an array's elements or a number, both ends included; of floats the upper one is not."""
    if word in source.ranges:
        low, high = source.ranges[word]
        return low, high
    if kind in ELEMENTS:
        bits, signed = ELEMENTS[kind]
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return FLOAT_RANGE


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
    formula = source.lengths.get(param.name, source.size).replace("//", "/")
    length = re.sub(r"[^\W\d]\w*", lambda word: name(word[0]), formula)
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
