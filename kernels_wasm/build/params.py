"""A kernel's parameters and what a call must keep to: element types, lengths, ranges.

`"a: in f32[n]"`, `"out: out u8[4 * ceil(n / 3)]"`, `"n: i32"`, `"wanted: i32 0..255"`, `"left: f64 finite"`.
A length is a formula of the number parameters with `+ - * /`, `max`, `min`, `ceil` and `pow2` (the largest power of
two that is not above; 0 for 0). `f32[]` says nothing: such an array's length is never checked.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

ARRAYS = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "f32": 4, "f64": 8}  # bytes an element
NUMBERS = frozenset({"i32", "u32", "f32", "f64"})
DIRECTIONS = frozenset({"in", "out", "inout", "scratch"})
FUNCTIONS = {"max": "Math.max", "min": "Math.min", "ceil": "Math.ceil", "pow2": "$power"}
RANGES = {"i32": (-(2.0**31), 2.0**31 - 1), "u32": (0.0, 2.0**32 - 1)}
FINITE = 1.7976931348623157e308
_TOKEN = re.compile(r"\s*([A-Za-z]\w*|\d+|[-+*/(),])")


class ParamError(ValueError):
    """A parameter that cannot be read; the message quotes it."""


@dataclass(frozen=True)
class Param:
    """One argument. `dir` is empty for numbers; `length` is empty where nothing is known of an array's."""

    name: str
    type: str  # "f32[]" for arrays
    dir: str = ""
    length: str = ""
    low: float | None = None  # the range of a number; None: any
    high: float | None = None

    @property
    def is_array(self) -> bool:
        return bool(self.dir)

    @property
    def element(self) -> str:
        return self.type.removesuffix("[]")

    @property
    def written(self) -> bool:
        return self.dir in ("out", "inout", "scratch")

    @property
    def js(self) -> str:
        """Its name in generated code, where it can be no word of JavaScript's and none of the code's own."""
        return f"p_{self.name}"

    def as_dict(self) -> dict[str, str]:
        head = {"name": self.name, "type": self.type}
        return head | {"dir": self.dir} if self.is_array else head


def read_param(text: str) -> Param:
    """One parameter by itself; ParamError if it is neither form."""
    match = re.fullmatch(r"([a-zA-Z]\w*): (?:(\w+) )?(\w+)\[([^\]]*)\]", text)
    if match and match[2] in DIRECTIONS and match[3] in ARRAYS:
        return Param(match[1], f"{match[3]}[]", match[2], match[4].strip())
    match = re.fullmatch(r"([a-zA-Z]\w*): (\w+)(?: (.+))?", text)
    if match and match[2] in NUMBERS:
        low, high = _range(text, match[2], match[3])
        return Param(match[1], match[2], low=low, high=high)
    raise ParamError(f"parameter {text!r} is neither 'name: dir type[length]' nor 'name: type low..high'")


def _range(text: str, kind: str, given: str | None) -> tuple[float | None, float | None]:
    least, most = RANGES.get(kind, (-FINITE, FINITE))
    if given is None:
        return RANGES.get(kind, (None, None))
    if given == "finite" and kind not in RANGES:
        return least, most
    bounds = re.fullmatch(r"(-?[\d.]*\d)?\.\.(-?[\d.]*\d)?", given)
    if not bounds:
        raise ParamError(f"parameter {text!r}: a range is written low..high, or finite")
    low, high = (float(bound) if bound else rest for bound, rest in ((bounds[1], least), (bounds[2], most)))
    if not least <= low <= high <= most:
        raise ParamError(f"parameter {text!r}: {given} is no range of {kind}")
    return low, high


def complete(params: Sequence[Param], size: str) -> tuple[Param, ...]:
    """With what follows from all of them: what counts elements is 0 or more. ParamError for a wrong formula."""
    numbers = {p.name for p in params if not p.is_array}
    counts = set(re.findall(r"[A-Za-z]\w*", size))
    for param in params:
        if param.length:
            counts |= _names(param, numbers)
    return tuple(
        replace(p, low=max(p.low or 0, 0)) if p.name in counts and not p.is_array else p for p in params
    )


def _names(param: Param, numbers: set[str]) -> set[str]:
    """The numbers that a length is made of."""
    tokens = _tokens(param.length)
    names = {token for token in tokens or () if token[0].isalpha() and token not in FUNCTIONS}
    if tokens is None or not names <= numbers:
        raise ParamError(
            f"parameter {param.name}: its length {param.length!r} must be made of {', '.join(sorted(numbers))}, "
            f"whole numbers, + - * / and {', '.join(FUNCTIONS)}"
        )
    try:
        # A name may be a word of Python's.
        ast.parse(re.sub(r"[A-Za-z]\w*", r"p_\g<0>", param.length), mode="eval")
    except SyntaxError:
        raise ParamError(f"parameter {param.name}: its length {param.length!r} is no formula") from None
    return names


def _tokens(formula: str) -> list[str] | None:
    tokens, at = [], 0
    while at < len(formula):
        match = _TOKEN.match(formula, at)
        if match is None:
            return None
        tokens.append(match[1])
        at = match.end()
    return tokens


def js_length(param: Param) -> str:
    """The formula as JavaScript over the parameters' names there; the array's own length if nothing is said."""
    if not param.length:
        return f"{param.js}.length"
    words = [FUNCTIONS.get(t, f"p_{t}") if t[0].isalpha() else t for t in _tokens(param.length) or ()]
    return (
        re.sub(r"(\w) \(", r"\1(", " ".join(words)).replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    )


def js_number(value: float) -> str:
    """A bound in JavaScript."""
    return (
        str(int(value))
        if math.isfinite(value) and value == int(value) and abs(value) < 2**53
        else repr(value)
    )
