"""Normal form of shifts, masks and extensions: fields of bits joined together (`concat`, lowest first)."""

from __future__ import annotations

from functools import reduce

from kernels_wasm.forge.proof.sums import Sums
from kernels_wasm.forge.proof.values import Term, Value, bounds, ones, signed


class Fields(Sums):
    """The rules of bits taken out of values, joined, extended and shifted by known distances."""

    def concat(self, pieces: tuple[tuple[Value, int], ...]) -> Value:
        """Pieces (value, width), lowest first."""
        flat: list[tuple[Value, int]] = []
        for piece, size in pieces:
            if not size:
                continue
            for part, width in (
                piece.args if type(piece) is Term and piece.op == "concat" else ((piece, size),)
            ):
                self._append(flat, part, width)
        if len(flat) == 1:
            return flat[0][0]
        width = sum(size for _, size in flat)
        if all(type(p) is int for p, _ in flat):
            raise AssertionError("constants join into one")
        conditions = {p.args[0] if type(p) is Term and p.op == "ite" else None for p, _ in flat}
        if len(conditions) == 1 and None not in conditions:
            yes = self.concat(tuple((p.args[1], s) for p, s in flat))
            return self.ite(conditions.pop(), yes, self.concat(tuple((p.args[2], s) for p, s in flat)), width)
        low = high = at = 0
        for piece, size in flat:
            small, large = bounds(piece)
            low, high, at = low | small << at, high | large << at, at + size
        return self.make("concat", width, *flat, low=low, high=high)

    def _append(self, flat: list[tuple[Value, int]], piece: Value, size: int) -> None:
        """Add a piece above the others, joined with the last one where the two are one field."""
        if flat:
            last, width = flat[-1]
            if type(last) is int and type(piece) is int:
                flat[-1] = (last | piece << width, width + size)
                return
            if type(last) is Term and type(piece) is Term:
                source, at = last.args if last.op == "extract" else (last, 0)
                if piece.op == "extract" and piece.args[0] is source and piece.args[1] == at + width:
                    flat[-1] = (self.extract(source, at, width + size), width + size)
                    return
        flat.append((piece, size))

    def extract(self, x: Value, at: int, size: int) -> Value:
        """`size` bits of x from bit `at` up."""
        if type(x) is int:
            return x >> at & ones(size)
        if not at and size == x.width:
            return x
        if x.high >> at == 0:
            return 0
        op = x.op
        if op == "extract":
            return self.extract(x.args[0], x.args[1] + at, size)
        if op == "concat":
            found, start = [], 0
            for piece, width in x.args:
                low, high = max(at, start), min(at + size, start + width)
                if low < high:
                    found.append((self.extract(piece, low - start, high - low), high - low))
                start += width
            return self.concat(tuple(found))
        if (
            op == "sum"
            and x.args[0] == ones(x.width)
            and x.args[1][0][1] == x.args[0]
            and len(x.args[1]) == 1
        ):
            return self.xor_(self.extract(x.args[1][0][0], at, size), ones(size), size)
        if op == "sum" and len(x.args[1]) == 1 and x.args[1][0][0].high == 1:
            ((term, factor),) = x.args[1]
            no, yes = (v >> at & ones(size) for v in (x.args[0], x.args[0] + factor & ones(x.width)))
            return self.ite(self.extract(term, 0, 1), yes, no, size)
        if op == "sum" and at and (upper := self._upper(x, at, size)) is not None:
            return upper
        if op == "sum" and at + size < x.width:
            width = at + size
            terms: dict[Term, int] = {}
            constant = x.args[0]
            for term, factor in x.args[1]:
                zeros = (factor & -factor).bit_length() - 1
                if zeros >= width:
                    continue
                part, more = self.linear_of(self.extract(term, 0, width), width)
                constant += part * factor
                for piece, count in more.items():
                    terms[piece] = terms.get(piece, 0) + count * factor
            x = self.linear(constant, terms, width)
            return self.extract(x, at, size) if at else x
        if op == "ite":
            c, yes, no = x.args
            return self.ite(c, self.extract(yes, at, size), self.extract(no, at, size), size)
        if op == "sext":
            inner = x.args[0]
            if at + size <= inner.width:
                return self.extract(inner, at, size)
            if at >= inner.width - 1:
                return self.sign_extend(self.extract(inner, inner.width - 1, 1), 1, size)
            if not at:
                return self.make("sext", size, inner)
        if op in ("and", "or", "xor"):
            parts = [self.extract(y, at, size) for y in x.args]
            return reduce(lambda a, b: getattr(self, op + "_")(a, b, size), parts)
        if op == "mul" and at + size < x.width and not at:
            a, b = (self.extract(y, 0, size) for y in x.args)
            return self.mul(a, b, size)
        if op == "select" and all(type(cell) is int for cell in x.args[1]):
            return self.select(x.args[0], tuple(cell >> at & ones(size) for cell in x.args[1]), size)
        high = x.high >> at
        return self.make("extract", size, x, at, high=high if high < ones(size) else -1)

    def _upper(self, x: Term, at: int, size: int) -> Value | None:
        """Bits `at` and up of a sum whose part below cannot carry into them."""
        high = x.args[0] & ones(at)
        for term, factor in x.args[1]:
            high += (factor & ones(at)) * term.high
        if high >> at:
            return None
        found: Value = self.linear(x.args[0] >> at, {}, size)
        for term, factor in x.args[1]:
            if factor >> at:
                part = self.extract(term, 0, size) if size < x.width else term
                found = self.combine(found, part, factor >> at, size)
        return found

    def extend(self, x: Value, width: int, to: int) -> Value:
        """Zero extension from `width` bits to `to`."""
        if type(x) is int or width == to:
            return x
        if x.op == "sum" and (constant := self._exact(x, False)) is not None:
            return self._widen(x, constant, to)
        return self.concat(((x, width), (0, to - width)))

    def sign_extend(self, x: Value, width: int, to: int) -> Value:
        if type(x) is int:
            return signed(x, width) & ones(to)
        if width == to:
            return x
        if x.high < 1 << (width - 1):
            return self.extend(x, width, to)
        if x.op == "sum" and (constant := self._exact(x, True)) is not None:
            return self._widen(x, constant, to)
        if x.op == "ite":
            c, yes, no = x.args
            return self.ite(c, self.sign_extend(yes, width, to), self.sign_extend(no, width, to), to)
        if x.op == "sext":
            return self.make("sext", to, x.args[0])
        top = 1 << (width - 1)
        if (
            x.op == "concat" and x.args[-1][1] == 1 and x.args[-1][0].op == "not"
        ):  # a sign bit that was flipped
            return self.sub(self.extend(self.xor_(x, top, width), width, to), top, to)
        return self.make("sext", to, x)

    def shift_left(self, x: Value, by: int, width: int) -> Value:
        if type(x) is int:
            return x << by & ones(width)
        if by and x.op == "sum":
            return self.combine(0, x, 1 << by, width)
        return self.concat(((0, by), (self.extract(x, 0, width - by), width - by)))

    def shift_right(self, x: Value, by: int, width: int, sign: bool) -> Value:
        if sign and bounds(x)[1] >> (width - 1):
            return self.sign_extend(self.extract(x, by, width - by), width - by, width)
        return self.extend(self.extract(x, by, width - by), width - by, width)

    def rotate(self, x: Value, by: int, width: int) -> Value:
        """Left, by a known number of bits."""
        return self.concat(
            ((self.extract(x, width - by, by), by), (self.extract(x, 0, width - by), width - by))
        )
