"""The factory of a proof's terms, with the rules of comparisons.

Constructors put a value into a normal form, so that equal values become one term: see sums.py, fields.py, logic.py.
"""

from __future__ import annotations

from functools import reduce

from kernels_wasm.forge.proof.logic import Logic
from kernels_wasm.forge.proof.values import Term, Value, bounds, ones, signed


class Terms(Logic):
    """The factory of one proof's terms: the rules of sums, fields and logic, and of comparisons."""

    def eq(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int:
            x, y = y, x
        if x is y or (type(x) is int and x == y):
            return 1
        if type(x) is int or x.low > bounds(y)[1] or x.high < bounds(y)[0]:
            return 0
        if width == 1:
            return self.not_(self.xor_(x, y, 1))
        if type(y) is int:
            if x.op == "ite" and (type(x.args[1]) is int or type(x.args[2]) is int):
                c, yes, no = x.args
                return self.ite(c, self.eq(yes, y, width), self.eq(no, y, width), 1)
            if x.op == "concat":
                at, all_equal = 0, 1
                for piece, size in x.args:
                    all_equal = self.and_(all_equal, self.eq(piece, y >> at & ones(size), size), 1)
                    at += size
                return all_equal
            if x.op == "sext" and x.args[0].width == 1:
                bit = x.args[0]
                return self.not_(bit) if y == 0 else bit if y == ones(width) else 0
            if x.op == "xor" and y == 0:
                return self.make("eq", 1, *x.args)
        elif x.op == "concat" and y.op == "concat" and (split := self._by_field(x, y, width, "eq_field")):
            return reduce(lambda a, b: self.and_(a, b, 1), (bit for bit, _ in split))
        if x.op == "sum" or (type(y) is Term and y.op == "sum"):
            constant, terms = self.linear_of(self.sub(x, y, width), width)
            if not terms:
                return int(constant == 0)
            items = sorted(terms.items(), key=lambda item: item[0].index)
            if items[0][1] >> (width - 1):
                constant, terms = -constant, {t: -f for t, f in terms.items()}
            whole = self.linear(0, terms, width)
            constant = -constant & ones(width)
            if type(whole) is Term and whole.op == "concat":
                return self.eq(whole, constant, width)
            if not whole.low <= constant <= whole.high:
                return 0
            if len(terms) == 1 and type(whole) is Term and whole.op == "sum":
                ((term, factor),) = whole.args[1]
                if term.high * factor <= ones(width):
                    return 0 if constant % factor else self.eq(term, constant // factor, width)
            return self.make("eq", 1, whole, constant)
        if type(y) is Term and y.index < x.index:
            x, y = y, x
        return self.make("eq", 1, x, y)

    def eq_field(self, x: Value, y: Value, width: int) -> Value:
        return self.eq(x, y, width)

    def ult(self, x: Value, y: Value, width: int) -> Value:
        (low, high), (small, large) = bounds(x), bounds(y)
        if high < small:
            return 1
        if low >= large:
            return 0
        if type(x) is int:
            return self.not_(self.ult(y, x + 1, width))
        if x.op == "concat" and x.args[-1][0] == 0:  # drop leading zeros
            bits = max(high, large).bit_length()
            return (
                self.ult(self.extract(x, 0, bits), self.extract(y, 0, bits), bits)
                if bits < width
                else (self.make("ult", 1, x, y))
            )
        if type(y) is int and x.op == "ite" and (type(x.args[1]) is int or type(x.args[2]) is int):
            c, yes, no = x.args
            return self.ite(c, self.ult(yes, y, width), self.ult(no, y, width), 1)
        if width == 1:
            return self.and_(self.not_(x), y, 1)
        return self.make("ult", 1, x, y)

    def slt(self, x: Value, y: Value, width: int) -> Value:
        top = 1 << (width - 1)
        if bounds(x)[1] < top and bounds(y)[1] < top:
            return self.ult(x, y, width)
        if bounds(x)[0] >= top and bounds(y)[0] >= top:
            return self.ult(x, y, width)
        if bounds(x)[1] < top <= bounds(y)[0]:
            return 0
        if bounds(y)[1] < top <= bounds(x)[0]:
            return 1
        if type(y) is int and y == 0:
            return self.extract(x, width - 1, 1)
        if type(x) is int:
            return 0 if x == top - 1 else self.not_(self.slt(y, x + 1 & ones(width), width))
        if x.op == "sum" and type(y) is int and (offset := self._exact(x, True)) is not None:
            low = sum(min(signed(f, width) * t.low, signed(f, width) * t.high) for t, f in x.args[1])
            high = sum(max(signed(f, width) * t.low, signed(f, width) * t.high) for t, f in x.args[1])
            if high + offset < signed(y, width):
                return 1
            if low + offset >= signed(y, width):
                return 0
        return self.make("slt", 1, x, y)
