"""Normal form of sums and products: a multiset of terms with coefficients modulo 2^width, and a constant."""

from __future__ import annotations

import itertools
from functools import reduce

from kernels_wasm.forge.proof.values import Table, Term, Value, bounds, ones, signed

Linear = tuple[int, dict[Term, int]]  # constant, coefficients


class Sums(Table):
    """The rules of sums and products."""

    def linear_of(self, x: Value, width: int) -> Linear:
        if type(x) is int:
            return x & ones(width), {}
        if x.op == "sum":
            return x.args[0], dict(x.args[1])
        if x.op == "concat":
            found: dict[Term, int] = {}
            constant = at = 0
            for piece, size in x.args:
                if type(piece) is int:
                    constant += piece << at
                else:
                    if piece.op == "sum" and at and at + size == width:  # what wraps is shifted out
                        self._distribute(piece, at, width, found)
                        constant += piece.args[0] << at
                        at += size
                        continue
                    term = self.extend(piece, size, width)
                    found[term] = found.get(term, 0) + (1 << at)
                at += size
            return constant, found
        if x.op == "sext" and x.args[0].width == 1:
            return 0, {self.extend(x.args[0], 1, width): ones(width)}
        return 0, {x: 1}

    def _distribute(self, piece: Term, at: int, width: int, found: dict[Term, int]) -> None:
        for part, factor in piece.args[1]:
            term = self.extend(part, piece.width, width)
            found[term] = found.get(term, 0) + (factor << at)

    def _rejoin(self, kept: dict[Term, int], width: int) -> dict[Term, int]:
        """Two neighbouring fields of one value with matching coefficients are one field."""
        fields = {
            (t.args[0][0], t.args[0][1]): t
            for t in kept
            if t.op == "concat" and len(t.args) == 2 and t.args[1][0] == 0 and type(t.args[0][0]) is Term
        }
        for (upper, size), term in list(fields.items()):
            if upper.op != "extract" or not upper.args[1]:
                continue
            source, at = upper.args
            for (lower, below), other in list(fields.items()):
                start = at - below
                if start < 0 or other not in kept or term not in kept or lower is upper:
                    continue
                if (
                    kept[other] << below & ones(width) == kept[term]
                    and self.extract(source, start, below) is lower
                ):
                    factor = kept[other]
                    kept = {t: f for t, f in kept.items() if t is not term and t is not other}
                    joined = self.extend(self.extract(source, start, below + size), below + size, width)
                    kept[joined] = kept.get(joined, 0) + factor & ones(width)
                    return self._rejoin(kept, width)
        return kept

    def linear(self, constant: int, terms: dict[Term, int], width: int) -> Value:
        mask = ones(width)
        kept = {t: c & mask for t, c in terms.items() if c & mask}
        constant &= mask
        if not kept:
            return constant
        if len(kept) > 1 and any(
            t.op == "concat" and t.args[0][0].__class__ is Term and t.args[0][0].op == "extract" for t in kept
        ):
            kept = {t: f for t, f in self._rejoin(kept, width).items() if f}
        if width == 1:
            return reduce(lambda x, y: self.xor_(x, y, 1), kept, constant)
        if len(kept) == 1:
            ((term, factor),) = kept.items()
            if factor == 1 and not constant:
                return term
            if not constant and term.op == "concat" and type(term.args[-1][0]) is int:
                (piece, size), (_, above) = term.args[0], term.args[-1]
                if len(term.args) == 2 and term.args[1][0] == 0:
                    if size == 1 and factor == mask:
                        return self.make("sext", width, piece)
                    copies = [shift for shift in range(factor.bit_length()) if factor >> shift & 1]
                    if copies[-1] <= above and all(b - a >= size for a, b in itertools.pairwise(copies)):
                        return self._copies(piece, size, copies, width)
        low = high = signed(constant, width)
        for term, factor in kept.items():
            factor = signed(factor, width)
            small, large = (term.low, term.high) if factor > 0 else (term.high, term.low)
            low, high = low + factor * small, high + factor * large
        if low >> width == high >> width:  # no wrap, or all wrap alike
            low, high = low & mask, high & mask
        else:
            low, high = 0, mask
        items = tuple(sorted(kept.items(), key=lambda item: item[0].index))
        return self.make("sum", width, constant, items, low=low, high=high)

    def _copies(self, piece: Term, size: int, places: list[int], width: int) -> Value:
        pieces: list[tuple[Value, int]] = []
        at = 0
        for place in places:
            pieces += [(0, place - at), (piece, size)]
            at = place + size
        return self.concat((*pieces, (0, width - at)))

    def combine(self, x: Value, y: Value, factor: int, width: int) -> Value:
        """x + factor · y."""
        constant, terms = self.linear_of(x, width)
        other, more = self.linear_of(y, width)
        for term, count in more.items():
            terms[term] = terms.get(term, 0) + factor * count
        return self.linear(constant + factor * other, terms, width)

    def add(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int and type(y) is int:
            return (x + y) & ones(width)
        return self.combine(x, y, 1, width)

    def sub(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int and type(y) is int:
            return (x - y) & ones(width)
        return self.combine(x, y, -1, width)

    def mul(self, x: Value, y: Value, width: int) -> Value:
        if type(x) is int:
            x, y = y, x
        if type(x) is int:
            return x * y & ones(width)
        if type(y) is int:
            return self.combine(0, x, y, width)
        if x.op == "concat" and x.args[0][1] == 1 and bounds(x)[1] == 1:
            return self.ite(x.args[0][0], y, 0, width)
        if y.index < x.index:
            x, y = y, x
        high = x.high * y.high
        return self.make("mul", width, x, y, high=high if high <= ones(width) else -1)

    def _exact(self, x: Term, sign: bool) -> int | None:
        """The constant with which the sum, coefficients signed, never leaves the range of its width."""
        low = high = 0
        for term, factor in x.args[1]:
            factor = signed(factor, x.width)
            small, large = (term.low, term.high) if factor > 0 else (term.high, term.low)
            low, high = low + factor * small, high + factor * large
        bottom, top = (-(1 << (x.width - 1)), 1 << (x.width - 1)) if sign else (0, 1 << x.width)
        for constant in (signed(x.args[0], x.width), x.args[0]):
            if bottom <= low + constant and high + constant < top:
                return int(constant)
        return None

    def _widen(self, x: Term, constant: int, to: int) -> Value:
        terms: dict[Term, int] = {}
        for term, factor in x.args[1]:
            part, more = self.linear_of(self.extend(term, x.width, to), to)
            constant += part * signed(factor, x.width)
            for piece, count in more.items():
                terms[piece] = terms.get(piece, 0) + count * signed(factor, x.width)
        return self.linear(constant, terms, to)
