"""What each scalar opcode computes; vector opcodes are in vectors.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kernels_wasm.forge.proof.floats import Floats
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Undecided, Value, ones, signed
from kernels_wasm.forge.proof.vectors import Vectors

Binary = Callable[[Value, Value], Value]
General = Callable[[list[Value], int], None]


class Operations:
    """Tables from opcode to function: `binary` takes two operands, `general` the whole stack and the immediate."""

    def __init__(self, terms: Terms) -> None:
        self.terms, self.floats = terms, Floats(terms)
        self.vectors = Vectors(terms, self.floats)
        self.binary: dict[int, Binary] = {}
        self.general: dict[int, General] = {}
        for width, eqz, arithmetic in ((32, 0x45, 0x67), (64, 0x50, 0x79)):
            self._integers(width, eqz, arithmetic)
        for width, compare, arithmetic in ((32, 0x5B, 0x8B), (64, 0x61, 0x99)):
            self._floats(width, compare, arithmetic)
        self._conversions()
        self.binary |= {0xFD << 16 | code: f for code, f in self.vectors.binary.items()}
        self.general |= {0xFD << 16 | code: f for code, f in self.vectors.general.items()}

    def unary(self, code: int, f: Callable[[Value], Value]) -> None:
        def apply(stack: list[Value], _: int) -> None:
            stack[-1] = f(stack[-1])

        self.general[code] = apply

    def flag(self, bit: Value) -> Value:
        """A comparison's result as an i32."""
        return bit if type(bit) is int else self.terms.extend(bit, 1, 32)

    def _integers(self, w: int, eqz: int, arithmetic: int) -> None:
        t, flag, mask, top = self.terms, self.flag, ones(w), 1 << (w - 1)
        self.unary(eqz, lambda x: flag(t.eq(x, 0, w)))

        def fast(known: Binary, symbolic: Binary) -> Binary:
            return lambda x, y: known(x, y) if type(x) is int and type(y) is int else symbolic(x, y)

        def less(x: Value, y: Value) -> Value:
            return t.slt(x, y, w)

        def below(x: Value, y: Value) -> Value:
            return t.ult(x, y, w)

        # Adding the sign bit turns signed order into unsigned order.
        compares: list[tuple[Binary, Binary]] = [
            (lambda x, y: int(x == y), lambda x, y: flag(t.eq(x, y, w))),
            (lambda x, y: int(x != y), lambda x, y: flag(t.not_(t.eq(x, y, w)))),
            (lambda x, y: int(x ^ top < y ^ top), lambda x, y: flag(less(x, y))),
            (lambda x, y: int(x < y), lambda x, y: flag(below(x, y))),
            (lambda x, y: int(x ^ top > y ^ top), lambda x, y: flag(less(y, x))),
            (lambda x, y: int(x > y), lambda x, y: flag(below(y, x))),
            (lambda x, y: int(x ^ top <= y ^ top), lambda x, y: flag(t.not_(less(y, x)))),
            (lambda x, y: int(x <= y), lambda x, y: flag(t.not_(below(y, x)))),
            (lambda x, y: int(x ^ top >= y ^ top), lambda x, y: flag(t.not_(less(x, y)))),
            (lambda x, y: int(x >= y), lambda x, y: flag(t.not_(below(x, y)))),
        ]
        for code, (known, symbolic) in enumerate(compares, eqz + 1):
            self.binary[code] = fast(known, symbolic)
        for code, name in enumerate(("clz", "ctz", "popcnt"), arithmetic):
            self.unary(code, partial(self.count, name, w=w))
        binary: list[Binary] = [
            fast(lambda x, y: x + y & mask, lambda x, y: t.combine(x, y, 1, w)),
            fast(lambda x, y: x - y & mask, lambda x, y: t.combine(x, y, -1, w)),
            lambda x, y: t.mul(x, y, w),
            lambda x, y: self.divide("div_s", x, y, w),
            lambda x, y: self.divide("div_u", x, y, w),
            lambda x, y: self.divide("rem_s", x, y, w),
            lambda x, y: self.divide("rem_u", x, y, w),
            fast(lambda x, y: x & y, lambda x, y: t.and_(x, y, w)),
            fast(lambda x, y: x | y, lambda x, y: t.or_(x, y, w)),
            fast(lambda x, y: x ^ y, lambda x, y: t.xor_(x, y, w)),
            fast(lambda x, y: x << y % w & mask, lambda x, y: self.shift("shl", x, y, w)),
            lambda x, y: self.shift("shr_s", x, y, w),
            fast(lambda x, y: x >> y % w, lambda x, y: self.shift("shr_u", x, y, w)),
            lambda x, y: self.shift("rotl", x, y, w),
            lambda x, y: self.shift("rotr", x, y, w),
        ]
        for code, f in enumerate(binary, arithmetic + 3):
            self.binary[code] = f

    def count(self, name: str, x: Value, w: int) -> Value:
        if w == 1 and name == "popcnt":
            return x
        if type(x) is int:
            if name == "popcnt":
                return x.bit_count()
            return w - x.bit_length() if name == "clz" else (x & -x).bit_length() - 1 if x else w
        if name == "popcnt" and x.op == "concat":
            total: Value = 0
            for piece, size in x.args:
                count = self.count(name, piece, size)
                total = self.terms.add(total, self.terms.extend(count, size, w), w)
            return total
        return self.terms.make(name, w, x, high=w)

    def shift(self, name: str, x: Value, y: Value, w: int) -> Value:
        t = self.terms
        if type(y) is int:
            y %= w
            if not y:
                return x
            if name == "shl":
                return t.shift_left(x, y, w)
            if name in ("rotl", "rotr"):
                return t.rotate(x, y if name == "rotl" else w - y, w)
            return t.shift_right(x, y, w, name == "shr_s")
        y = t.extract(y, 0, w.bit_length() - 1)
        return t.make(name, w, x, t.extend(y, w.bit_length() - 1, w))

    def low_signed(self, width: int, to: int, x: Value) -> Value:
        """The low bits, sign-extended."""
        return self.terms.sign_extend(self.terms.extract(x, 0, width), width, to)

    def divide(self, name: str, x: Value, y: Value, w: int) -> Value:
        if type(y) is not int or y == 0 or (y == ones(w) and name == "div_s"):
            raise Undecided("a division by a symbolic value or zero")
        if type(x) is int:
            return divide(name, x, y, w)
        if y == 1:
            return x if name.startswith("div") else 0
        high = {"div_u": x.high // y, "rem_u": min(x.high, y - 1)}.get(name, -1)
        return self.terms.make(name, w, x, y, high=high)

    def _floats(self, w: int, compare: int, arithmetic: int) -> None:
        f, flag, t = self.floats, self.flag, self.terms
        compares: tuple[Binary, ...] = (
            lambda x, y: f.eq(x, y, w),
            lambda x, y: t.not_(f.eq(x, y, w)),
            lambda x, y: f.lt(x, y, w),
            lambda x, y: f.lt(y, x, w),
            lambda x, y: f.le(x, y, w),
            lambda x, y: f.le(y, x, w),
        )
        for code, test in enumerate(compares, compare):
            self.binary[code] = lambda x, y, test=test: flag(test(x, y))  # type: ignore[misc]
        self.unary(arithmetic, lambda x: f.abs(x, w))
        self.unary(arithmetic + 1, lambda x: f.neg(x, w))
        for code, name in enumerate(("fceil", "ffloor", "ftrunc", "fnearest", "fsqrt"), arithmetic + 2):
            self.unary(code, partial(f.unary, name, w=w))
        binary: tuple[Binary, ...] = (
            lambda x, y: f.add(x, y, w),
            lambda x, y: f.sub(x, y, w),
            lambda x, y: f.mul(x, y, w),
            lambda x, y: f.div(x, y, w),
            lambda x, y: f.binary("fmin", x, y, w),
            lambda x, y: f.binary("fmax", x, y, w),
            lambda x, y: f.binary("fcopysign", x, y, w),
        )
        for code, function in enumerate(binary, arithmetic + 7):
            self.binary[code] = function

    def _conversions(self) -> None:
        t, f = self.terms, self.floats
        self.unary(0xA7, lambda x: t.extract(x, 0, 32))
        self.unary(0xAC, lambda x: t.sign_extend(x, 32, 64))
        self.unary(0xAD, lambda x: t.extend(x, 32, 64))
        for first, to in ((0xB2, 32), (0xB7, 64)):
            for k, (sign, source) in enumerate(((True, 32), (False, 32), (True, 64), (False, 64))):
                self.unary(first + k, partial(f.from_int, sign=sign, source=source, w=to))
        self.unary(0xB6, lambda x: f.resize(x, 64, 32))
        self.unary(0xBB, lambda x: f.resize(x, 32, 64))
        for code in (0xBC, 0xBD, 0xBE, 0xBF):
            self.unary(code, lambda x: x)
        for code, small, w in ((0xC0, 8, 32), (0xC1, 16, 32), (0xC2, 8, 64), (0xC3, 16, 64), (0xC4, 32, 64)):
            self.unary(code, partial(self.low_signed, small, w))
        for k in range(8):
            sign, source, to = k % 2 == 0, 64 if k & 2 else 32, 64 if k & 4 else 32
            self.unary(0xFC << 16 | k, partial(f.to_int, w=source, sign=sign, to=to))


def divide(name: str, x: int, y: int, w: int) -> int:
    """Integer division of known values, rounding towards zero."""
    if name.endswith("_u"):
        return x // y if name == "div_u" else x % y
    a, b = signed(x, w), signed(y, w)
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return (quotient if name == "div_s" else a - quotient * b) & ones(w)
