"""Floats as uninterpreted terms over their bits; only known values are computed, and only exact laws are used.

Laws (NaN payloads aside, which WebAssembly leaves open): a + b = b + a, a * b = b * a, a - b = a + (-b),
(-a) * b = -(a * b), a + a = 2 * a, a * 1 = a, a * -1 = -a, -(-a) = a. Not used: association, a + 0 = a.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import numpy as np
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Value, ones

FORMATS = {32: ("<f", "<I"), 64: ("<d", "<Q")}
NAN = {32: 0x7FC00000, 64: 0x7FF8000000000000}
ONE = {32: 0x3F800000, 64: 0x3FF0000000000000}
TWO = {32: 0x40000000, 64: 0x4000000000000000}
KINDS = {32: np.float32, 64: np.float64}


def to_float(bits: int, width: int) -> float:
    real, whole = FORMATS[width]
    return float(struct.unpack(real, struct.pack(whole, bits))[0])


def to_bits(value: float, width: int) -> int:
    if math.isnan(value):
        return NAN[width]
    with np.errstate(over="ignore"):
        return int(np.array(value, KINDS[width]).view(np.uint32 if width == 32 else np.uint64))


ARITHMETIC: dict[str, Callable[..., float]] = {
    "fadd": np.add,
    "fmul": np.multiply,
    "fdiv": np.divide,
    "fsqrt": np.sqrt,
    "fceil": np.ceil,
    "ffloor": np.floor,
    "ftrunc": np.trunc,
    "fnearest": np.rint,
}


def compute(name: str, bits: tuple[int, ...], width: int) -> int:
    """One IEEE operation on known bits."""
    kind = KINDS[width]
    with np.errstate(all="ignore"):
        return to_bits(float(ARITHMETIC[name](*(kind(to_float(b, width)) for b in bits))), width)


def is_nan(bits: int, width: int) -> bool:
    return math.isnan(to_float(bits, width))


class Floats:
    def __init__(self, terms: Terms) -> None:
        self.t = terms

    def neg(self, x: Value, w: int) -> Value:
        if type(x) is int:
            return x ^ 1 << (w - 1)
        return x.args[0] if x.op == "fneg" else self.t.make("fneg", w, x)

    def abs(self, x: Value, w: int) -> Value:
        if type(x) is int:
            return x & ones(w - 1)
        return self.t.make("fabs", w, x.args[0] if x.op in ("fneg", "fabs") else x)

    def unary(self, name: str, x: Value, w: int) -> Value:
        return compute(name, (x,), w) if type(x) is int else self.t.make(name, w, x)

    def add(self, x: Value, y: Value, w: int) -> Value:
        if type(x) is int and type(y) is int:
            return compute("fadd", (x, y), w)
        if x is y:
            return self.mul(x, TWO[w], w)
        return self._commutative("fadd", x, y, w)

    def sub(self, x: Value, y: Value, w: int) -> Value:
        return self.add(x, self.neg(y, w), w)

    def mul(self, x: Value, y: Value, w: int) -> Value:
        if type(x) is int and type(y) is int:
            return compute("fmul", (x, y), w)
        for one, other in ((x, y), (y, x)):
            if type(one) is int:
                if one == ONE[w]:
                    return other
                if one >> (w - 1) and not is_nan(one, w):
                    return self.neg(self.mul(one ^ 1 << (w - 1), other, w), w)
            elif one.op == "fneg":
                return self.neg(self.mul(one.args[0], other, w), w)
        return self._commutative("fmul", x, y, w)

    def div(self, x: Value, y: Value, w: int) -> Value:
        if type(x) is int and type(y) is int:
            return compute("fdiv", (x, y), w)
        if type(x) is Term and x.op == "fneg":
            return self.neg(self.div(x.args[0], y, w), w)
        if type(y) is Term and y.op == "fneg":
            return self.neg(self.div(x, y.args[0], w), w)
        return self.t.make("fdiv", w, x, y)

    def _commutative(self, name: str, x: Value, y: Value, w: int) -> Value:
        if type(x) is int or (type(y) is Term and y.index < x.index):
            x, y = y, x
        return self.t.make(name, w, x, y)

    def madd(self, a: Value, b: Value, c: Value, w: int) -> Value:
        """Fused or not: the engine decides, so it is an operation of its own."""
        product = self.mul(a, b, w)
        if type(product) is int:
            return self.add(product, c, w)
        return self.t.make("fmadd", w, product, c)

    def binary(self, name: str, x: Value, y: Value, w: int) -> Value:
        """fmin, fmax, fcopysign: kept apart."""
        if name != "fcopysign" and (type(x) is int or (type(y) is Term and y.index < x.index)):
            x, y = y, x
        if type(x) is int and type(y) is int:
            return minmax(name, x, y, w)
        return self.t.make(name, w, x, y)

    # Comparisons: a total order but for NaN

    def eq(self, x: Value, y: Value, w: int) -> Value:
        if type(x) is int and type(y) is int:
            return int(to_float(x, w) == to_float(y, w))
        if any(type(v) is int and is_nan(v, w) for v in (x, y)):
            return 0
        if type(x) is int or (type(y) is Term and y.index < x.index):
            x, y = y, x
        return self.t.make("feq", 1, x, y, w)

    def lt(self, x: Value, y: Value, w: int) -> Value:
        return self._order("flt", x, y, w)

    def le(self, x: Value, y: Value, w: int) -> Value:
        return self._order("fle", x, y, w)

    def _order(self, name: str, x: Value, y: Value, w: int) -> Value:
        if type(x) is int and type(y) is int:
            a, b = to_float(x, w), to_float(y, w)
            return int(a < b if name == "flt" else a <= b)
        if any(type(v) is int and is_nan(v, w) for v in (x, y)):
            return 0
        if name == "flt" and x is y:
            return 0
        return self.t.make(name, 1, x, y, w)

    # Conversions

    def to_int(self, x: Value, w: int, sign: bool, to: int) -> Value:
        """Saturating truncation."""
        if type(x) is int:
            value = to_float(x, w)
            low, high = (-(1 << (to - 1)), (1 << (to - 1)) - 1) if sign else (0, ones(to))
            if math.isnan(value):
                return 0
            return int(max(low, min(high, value if math.isinf(value) else int(value)))) & ones(to)
        return self.t.make(f"trunc_{'s' if sign else 'u'}{w}", to, x)

    def from_int(self, x: Value, sign: bool, source: int, w: int) -> Value:
        if type(x) is int:
            value = np.int64(x - (1 << source)) if sign and x >> (source - 1) else np.uint64(x)
            return to_bits(float(value.astype(KINDS[w])), w)
        return self.t.make(f"convert_{'s' if sign else 'u'}{source}", w, x)

    def resize(self, x: Value, w: int, to: int) -> Value:
        if type(x) is int:
            return to_bits(to_float(x, w), to)
        return self.t.make("promote" if to > w else "demote", to, x)


def minmax(name: str, x: int, y: int, w: int) -> int:
    """WebAssembly's min, max and copysign of known bits: NaN wins, -0 is below +0."""
    if name == "fcopysign":
        return x & ones(w - 1) | y & 1 << (w - 1)
    a, b = to_float(x, w), to_float(y, w)
    if math.isnan(a) or math.isnan(b):
        return NAN[w]
    if a == b:
        return x | y if name == "fmin" else x & y
    return x if (a < b) == (name == "fmin") else y
