"""A v128 as a tuple of equal lanes, lowest first, and the tables of the opcodes that work on lanes."""

from __future__ import annotations

from collections.abc import Callable

from kernels_wasm.forge.proof.floats import Floats
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Value

Vector = tuple[Value, ...]
Lanewise = Callable[[Value, Value, int], Value]


class Lanes:
    """Tables from opcode to function: `binary` takes two vectors, `general` the whole stack and the immediate."""

    def __init__(self, terms: Terms, floats: Floats) -> None:
        self.terms, self.floats = terms, floats
        self.binary: dict[int, Callable[[Vector, Vector], Vector]] = {}
        self.general: dict[int, Callable[[list[Value], int], None]] = {}

    def lanes(self, v: Vector, count: int) -> Vector:
        """The same 128 bits as `count` lanes."""
        have = len(v)
        if have == count:
            return v
        t = self.terms
        if have < count:
            parts, size = count // have, 128 // count
            return tuple(t.extract(lane, size * k, size) for lane in v for k in range(parts))
        parts, size = have // count, 128 // have
        joined = []
        for first in range(0, have, parts):
            group = v[first : first + parts]
            if all(type(lane) is int for lane in group):
                joined.append(sum(lane << size * k for k, lane in enumerate(group)))
            else:
                joined.append(t.concat(tuple((lane, size) for lane in group)))
        return tuple(joined)

    def unary(self, code: int, f: Callable[[Vector], Value]) -> None:
        def apply(stack: list[Value], _: int) -> None:
            stack[-1] = f(stack[-1])

        self.general[code] = apply

    def each(self, code: int, count: int, f: Callable[[Value, int], Value]) -> None:
        width = 128 // count
        self.unary(code, lambda v: tuple(f(x, width) for x in self.lanes(v, count)))

    def pairs(self, code: int, count: int, f: Lanewise) -> None:
        width = 128 // count
        self.binary[code] = lambda a, b: tuple(
            f(x, y, width) for x, y in zip(self.lanes(a, count), self.lanes(b, count), strict=True)
        )

    def mask(self, bit: Value, width: int) -> Value:
        return self.terms.sign_extend(bit, 1, width)

    def flag(self, bit: Value) -> Value:
        return bit if type(bit) is int else self.terms.extend(bit, 1, 32)
