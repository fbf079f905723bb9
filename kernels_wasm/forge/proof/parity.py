"""Bits as exclusive or of input bits: decides checksums, whatever their length."""

from __future__ import annotations

from kernels_wasm.forge.proof.evaluate import children, ordered
from kernels_wasm.forge.proof.values import Term, Value, ones

Bits = list[int]  # per bit, a set of input bits; bit 0 of the set is the constant one


class Parity:
    """Terms as affine functions of their input bits; None for those that are not."""

    def __init__(self) -> None:
        self.found: dict[Term, Bits | None] = {}
        self.variables = 1

    def bits(self, x: Value, width: int) -> Bits | None:
        if type(x) is int:
            return [x >> k & 1 for k in range(width)]
        for term in ordered((x,), lambda t: t in self.found):
            if term not in self.found:
                self.found[term] = self._one(term)
        return self.found[x]

    def _fresh(self, width: int) -> Bits:
        first = self.variables
        self.variables += width
        return [1 << (first + k) for k in range(width)]

    def _one(self, term: Term) -> Bits | None:
        op, w = term.op, term.width
        if op == "symbol":
            return self._fresh(w)
        if any(self.found.get(c) is None for c in children(term)):
            return None

        def get(x: Value, width: int = w) -> Bits:
            if type(x) is int:
                return [x >> k & 1 for k in range(width)]
            known = self.found[x]
            assert known is not None
            return known

        if op == "concat":
            return [bit for piece, size in term.args for bit in get(piece, size)]
        if op == "extract":
            return get(term.args[0])[term.args[1] : term.args[1] + w]
        if op == "sext":
            inner = get(term.args[0])
            return inner + [inner[-1]] * (w - len(inner))
        if op == "xor":
            return [a ^ b for a, b in zip(get(term.args[0]), get(term.args[1]), strict=True)]
        if op == "not":
            return [get(term.args[0])[0] ^ 1]
        if op == "sum":
            return self._sum(term, get)
        if op == "select":
            return self._select(term, get)
        return None

    def _sum(self, term: Term, get) -> Bits | None:  # type: ignore[no-untyped-def]
        """A constant times one bit, plus a constant that it does not meet; or ~x."""
        if len(term.args[1]) != 1:
            return None
        ((part, factor),) = term.args[1]
        constant, w = term.args[0], term.width
        if factor == ones(w) and not constant & (constant + 1) and part.high <= constant:
            return [bit ^ (constant >> k & 1) for k, bit in enumerate(get(part))]
        bits = get(part)
        if any(bits[1:]):
            return None
        low, high = constant, constant + factor & ones(w)  # the value for bit 0 and for bit 1
        return [(low >> k & 1) ^ (bits[0] if (low ^ high) >> k & 1 else 0) for k in range(w)]

    def _select(self, term: Term, get) -> Bits | None:  # type: ignore[no-untyped-def]
        index, cells = term.args
        if index.low or any(type(c) is not int for c in cells) or len(cells) != 1 << index.width:
            return None
        base = cells[0]
        steps = [cells[1 << k] ^ base for k in range(index.width)]
        for place, cell in enumerate(cells):
            expected = base
            for k, step in enumerate(steps):
                if place >> k & 1:
                    expected ^= step
            if cell != expected:
                return None
        bits = get(index)
        found = []
        for k in range(term.width):
            bit = base >> k & 1
            for j, step in enumerate(steps):
                if step >> k & 1:
                    bit ^= bits[j]
            found.append(bit)
        return found
