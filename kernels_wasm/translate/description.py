"""What `@kernel(…)` says of a function: plain values of the right kind, since programs are written of them."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from kernels_wasm.translate.expressions import SourceError

KEYS = ("sizes", "size", "lengths", "ranges", "values", "patterns", "family", "tolerance")


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def _pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_number, value))


def _table(value: Any, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and of(v) for k, v in value.items())


def _words(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(one, str) for one in value)


# By argument: whether a value is one, and what it should be.
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "sizes": (
        lambda v: isinstance(v, tuple | list) and all(type(s) is int for s in v),
        "a list of numbers, such as [16, 256]",
    ),
    "size": (lambda v: isinstance(v, str), 'text, such as "n" or "width * height"'),
    "lengths": (
        lambda v: _table(v, lambda one: isinstance(one, str | int)),
        'a formula by array, such as {"pixels": "4 * n"}',
    ),
    "ranges": (lambda v: _table(v, lambda r: _pair(r) and r[0] <= r[1]), 'such as {"weights": (0, 1)}'),
    "values": (lambda v: _table(v, _number), 'a number by parameter, such as {"step": 200}'),
    "patterns": (
        lambda v: bool(v) and (_words(v) or _table(v, lambda one: _table(one, _number))),
        'names, such as ["random"], or {"stride3": {"stride": 3}}',
    ),
    "family": (lambda v: isinstance(v, str), 'text, such as "image"'),
    "tolerance": (_pair, "(relative, absolute), such as (1e-6, 1e-6)"),
}


def read(node: ast.FunctionDef) -> dict[str, Any]:
    """The arguments of a function's `@kernel`; SourceError names each that is wrong."""
    given: dict[str, Any] = {}
    problems = []
    for decorator in node.decorator_list:
        where = f"line {decorator.lineno}, column {decorator.col_offset + 1}"
        if not (isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "kernel"):
            raise SourceError([f"{where}: only @kernel(…) may stand before a function; delete the other"])
        if decorator.args:
            problems.append(f"{where}: kernel takes arguments by name; write sizes=[16, 256]")
        for keyword in decorator.keywords:
            where = f"line {keyword.value.lineno}, column {keyword.value.col_offset + 1}"
            name = keyword.arg or "**"
            if name not in KEYS:
                problems.append(f"{where}: kernel has no argument {name}; {', '.join(KEYS)}")
                continue
            try:
                value = ast.literal_eval(keyword.value)
            except (ValueError, TypeError):
                problems.append(f"{where}: {name} is computed; write its values out")
                continue
            fits, kind = KINDS[name]
            if fits(value):
                given[name] = value
            else:
                problems.append(f"{where}: {name} is not what it should be; {kind}")
    if problems:
        raise SourceError(problems)
    return given
