"""Normal form of bitwise logic and of choices: by field where one side has fields, a choice where one is a mask.

A mask of all bits or none is the sign extension of one bit.
"""

from __future__ import annotations

import itertools

from kernels_wasm.forge.proof.fields import Fields
from kernels_wasm.forge.proof.values import Term, Value, bounds, ones


class Logic(Fields):
    """The rules of bitwise operations and of choices between values."""

    def and_(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int:
            x, y = y, x
        if type(x) is int:
            return x & y
        if x is y or y == ones(width):
            return x
        if type(y) is int:
            return self._mask(x, y, width) if width > 1 else 0
        if width == 1:
            if self.not_(x) is y:
                return 0
        else:
            for mask, other in ((x, y), (y, x)):
                if mask.op == "sext" and mask.args[0].width == 1:
                    return self.ite(mask.args[0], other, 0, width)
            if split := self._by_field(x, y, width, "and_"):
                return self.concat(split)
        if y.index < x.index:
            x, y = y, x
        return self.make("and", width, x, y, high=min(x.high, y.high))

    def _mask(self, x: Term, mask: int, width: int) -> Value:
        pieces, at = [], 0
        while at < width:
            bit = mask >> at & 1
            run = mask >> at ^ (-1 if bit else 0)
            size = min((run & -run).bit_length() - 1, width - at) if run else width - at
            pieces.append((self.extract(x, at, size) if bit else 0, size))
            at += size
        return self.concat(tuple(pieces))

    def _by_field(self, x: Value, y: Value, width: int, name: str) -> tuple[tuple[Value, int], ...] | None:
        """Piecewise, where one side is made of fields."""
        cuts = {0, width}
        for value in (x, y):
            if type(value) is Term and value.op == "concat":
                at = 0
                for _, size in value.args:
                    at += size
                    cuts.add(at)
        if len(cuts) == 2:
            return None
        edges = sorted(cuts)
        operation = getattr(self, name)
        return tuple(
            (operation(self.extract(x, a, b - a), self.extract(y, a, b - a), b - a), b - a)
            for a, b in itertools.pairwise(edges)
        )

    def or_(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int:
            x, y = y, x
        if type(x) is int:
            return x | y
        if x is y or (type(y) is int and y == 0):
            return x
        if type(y) is int and y == ones(width):
            return y
        if width == 1:
            return self.not_(self.and_(self.not_(x), self.not_(y), 1))
        for mask, other in ((x, y), (y, x)):
            if type(mask) is Term and mask.op == "sext" and mask.args[0].width == 1:
                return self.ite(mask.args[0], ones(width), other, width)
        if type(y) is int:
            pieces = self._mask(x, ones(width) ^ y, width)
            return y if type(pieces) is int else self._overlay(pieces, y)
        if split := self._by_field(x, y, width, "or_"):
            return self.concat(split)
        if y.index < x.index:
            x, y = y, x
        return self.make("or", width, x, y, low=max(x.low, y.low))

    def _overlay(self, x: Term, constant: int) -> Value:
        """Constant bits where x, made of fields, is zero."""
        pieces, at = [], 0
        for piece, size in x.args:
            known = constant >> at & ones(size)
            pieces.append((piece | known if type(piece) is int else piece, size))
            at += size
        return self.concat(tuple(pieces))

    def xor_(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int:
            x, y = y, x
        if type(x) is int:
            return x ^ y
        if x is y:
            return 0
        if type(y) is int:
            if y == 0:
                return x
            if y == ones(width):
                if width == 1:
                    return self.not_(x)
                if x.op != "concat":
                    return self.sub(y, x, width)
                return self.concat(tuple((self.xor_(p, ones(s), s), s) for p, s in x.args))
            return self.concat(tuple(self._flip(x, y, width)))
        if width > 1:
            for mask, other in ((x, y), (y, x)):
                if mask.op == "sext" and mask.args[0].width == 1:
                    return self.ite(mask.args[0], self.xor_(other, ones(width), width), other, width)
            if split := self._by_field(x, y, width, "xor_"):
                return self.concat(split)
        elif self.not_(x) is y:
            return 1
            if x.op == "not":
                return self.not_(self.xor_(x.args[0], y, 1))
            if y.op == "not":
                return self.not_(self.xor_(x, y.args[0], 1))
        if y.index < x.index:
            x, y = y, x
        if x.op == "xor" and y in x.args:
            return x.args[0] if x.args[1] is y else x.args[1]
        if y.op == "xor" and x in y.args:
            return y.args[0] if y.args[1] is x else y.args[1]
        return self.make("xor", width, x, y)

    def _flip(self, x: Term, mask: int, width: int) -> list[tuple[Value, int]]:
        pieces, at = [], 0
        while at < width:
            bit = mask >> at & 1
            run = mask >> at ^ (-1 if bit else 0)
            size = min((run & -run).bit_length() - 1, width - at) if run else width - at
            part = self.extract(x, at, size)
            pieces.append((self.xor_(part, ones(size), size) if bit else part, size))
            at += size
        return pieces

    def not_(self, x: Value) -> Value:
        """Of one bit."""
        if type(x) is int:
            return x ^ 1
        return x.args[0] if x.op == "not" else self.make("not", 1, x)

    def ite(self, c: Value, yes: Value, no: Value, width: int) -> Value:
        if type(c) is int:
            return yes if c else no
        if yes is no or (type(yes) is int and type(no) is int and yes == no):
            return yes
        if c.op == "not":
            c, yes, no = c.args[0], no, yes
        if type(yes) is Term and yes.op == "ite" and yes.args[0] is c:
            yes = yes.args[1]
        if type(no) is Term and no.op == "ite" and no.args[0] is c:
            no = no.args[2]
        if yes is no:
            return yes
        if width == 1:
            if yes is self.not_(no):
                return self.xor_(c, no, 1)
            return self.or_(self.and_(c, yes, 1), self.and_(self.not_(c), no, 1), 1)
        masks = [self._mask_bit(v, width) for v in (yes, no)]
        if masks[0] is not None and masks[1] is not None and not type(yes) is type(no) is int:
            return self.sign_extend(self.ite(c, masks[0], masks[1], 1), 1, width)
        if type(yes) is int and type(no) is int:
            bit = self.extend(c, 1, width)
            return self.linear(no, {bit: yes - no}, width)
        if (type(yes) is Term and yes.op == "sum") or (type(no) is Term and no.op == "sum"):
            a, left = self.linear_of(yes, width)
            b, right = self.linear_of(no, width)
            common = {t: f for t, f in left.items() if right.get(t) == f}
            if common:
                rest = self.ite(
                    c,
                    self.linear(a, {t: f for t, f in left.items() if t not in common}, width),
                    self.linear(b, {t: f for t, f in right.items() if t not in common}, width),
                    width,
                )
                return self.add(self.linear(0, common, width), rest, width)
        low, high = min(bounds(yes)[0], bounds(no)[0]), max(bounds(yes)[1], bounds(no)[1])
        return self.make("ite", width, c, yes, no, low=low, high=high)

    @staticmethod
    def _mask_bit(x: Value, width: int) -> Value | None:
        """The bit that fills the whole of a mask."""
        if type(x) is int:
            return 0 if x == 0 else 1 if x == ones(width) else None
        return x.args[0] if x.op == "sext" and x.args[0].width == 1 else None

    def select(self, index: Term, cells: tuple[Value, ...], width: int) -> Value:
        """cells[index - index.low]."""
        if all(cell is cells[0] or (type(cell) is int and cell == cells[0]) for cell in cells):
            return cells[0]
        low = min(bounds(cell)[0] for cell in cells)
        high = max(bounds(cell)[1] for cell in cells)
        return self.make("select", width, index, cells, low=low, high=high)
