"""Floats that are only compared and chosen between: for these the solver needs their order, not their 32 bits.

Every order of m symbols among c constants is one of small numbers with room for m between any two constants.
"""

from __future__ import annotations

from typing import Any

from kernels_wasm.forge.proof.evaluate import children
from kernels_wasm.forge.proof.floats import is_nan, to_float
from kernels_wasm.forge.proof.values import Term, Value

COMPARISONS = ("feq", "flt", "fle")
Key = tuple[Any, Any]  # z3: a small number, whether it is NaN


class Orders:
    """Keys of the float symbols of `order` (all terms of a question) that occur in comparisons and choices only."""

    def __init__(self, z: Any, context: Any, order: list[Term]) -> None:
        self.z, self.context = z, context
        self.found: dict[Term, Key] = {}
        compared = [t for t in order if t.op in COMPARISONS]
        self.symbols = self._only_compared(order)
        mixed = self.symbols
        while mixed:  # a comparison is replaced as a whole or not at all
            mixed = {
                leaf
                for t in compared
                if not all(self.knows(x) for x in t.args[:2])
                for leaf in _leaves(t)
                if leaf in self.symbols
            }
            self.symbols -= mixed
        numbers = sorted(
            {
                to_float(a, t.args[2])
                for t in compared
                for a in _leaves(t)
                if type(a) is int and not is_nan(a, t.args[2])
            }
        )
        room = len(self.symbols) + 1
        lowest = numbers[0] if numbers else 0.0
        first = 0 if lowest == float("-inf") else room  # nothing lies below minus infinity
        self.ranks = {number: first + room * k for k, number in enumerate(numbers)}
        self.bits = max(1, (first + room * (len(numbers) + 1)).bit_length())

    def _only_compared(self, order: list[Term]) -> set[Term]:
        """Symbols whose every use leads through choices into comparisons."""
        parents: dict[Term, list[Term]] = {}
        for term in order:
            for child in children(term):
                parents.setdefault(child, []).append(term)
        good: dict[Term, bool] = {}
        for term in reversed(order):  # parents first
            uses = parents.get(term, [])
            good[term] = bool(uses) and all(
                use.op in COMPARISONS or (use.op == "ite" and use.args[0] is not term and good[use])
                for use in uses
            )
        return {t for t in order if t.op == "symbol" and t.width in (32, 64) and good[t]}

    def knows(self, x: Value) -> bool:
        return all(type(leaf) is int or leaf in self.symbols for leaf in leaves_of(x))

    def key(self, x: Value, width: int, condition: Any) -> Key:
        """`condition` gives the z3 Boolean of a one-bit term."""
        z = self.z
        if type(x) is int:
            nan = is_nan(x, width)
            rank = 0 if nan else self.ranks[to_float(x, width)]
            return z.BitVecVal(rank, self.bits, self.context), z.BoolVal(nan, self.context)
        found = self.found.get(x)
        if found is None:
            if x.op == "symbol":
                found = (
                    z.BitVec(f"rank {x.args[0]}", self.bits, self.context),
                    z.Bool(f"nan {x.args[0]}", self.context),
                )
            else:
                c = condition(x.args[0])
                (a, p), (b, q) = (self.key(y, width, condition) for y in x.args[1:])
                found = z.If(c, a, b), z.If(c, p, q)
            self.found[x] = found
        return found

    def compare(self, t: Term, condition: Any) -> Any:
        """The z3 Boolean of a comparison."""
        z = self.z
        (a, p), (b, q) = (self.key(x, t.args[2], condition) for x in t.args[:2])
        holds = a == b if t.op == "feq" else z.ULT(a, b) if t.op == "flt" else z.ULE(a, b)
        return z.And(z.Not(p), z.Not(q), holds)


def leaves_of(x: Value) -> list[Value]:
    found, todo, seen = [], [x], set()
    while todo:
        value = todo.pop()
        if type(value) is Term and value.op == "ite":
            if value not in seen:
                seen.add(value)
                todo += value.args[1:]
        else:
            found.append(value)
    return found


def _leaves(comparison: Term) -> list[Value]:
    return [leaf for side in comparison.args[:2] for leaf in leaves_of(side)]
