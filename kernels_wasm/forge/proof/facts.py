"""What is known on the current path: conditions that were decided, and ranges that follow from them."""

from __future__ import annotations

import math
from typing import Any

from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Value, signed

Key = tuple[tuple[int, int], ...]  # a sum without its constant and scale: indices of terms, coefficients
Undo = list[tuple[dict[Any, Any], Any, Any]]


class Facts:
    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.conditions: dict[Term, int] = {}
        self.ranges: dict[Key, tuple[int, int]] = {}

    def decide(self, condition: Value) -> Value:
        """1 or 0 where the path decides the condition, else the condition."""
        if type(condition) is int:
            return int(condition != 0)
        if condition.op == "not":
            inner = self.decide(condition.args[0])
            return inner ^ 1 if type(inner) is int else condition
        found = self.conditions.get(condition)
        if found is not None:
            return found
        if condition.op in ("ult", "eq") and type(condition.args[1]) is int:
            low, high = self.range(condition.args[0])
            limit = condition.args[1]
            if condition.op == "ult":
                return 1 if high < limit else 0 if low >= limit else condition
            if limit < low or limit > high:
                return 0
            if low == high == limit:
                return 1
        return condition

    def assume(self, condition: Term, value: int) -> Undo:
        """Note a condition and what follows from it at once; returns what `forget` takes back."""
        undo: Undo = []
        todo = [(condition, value)]
        while todo:
            fact, truth = todo.pop()
            if fact.op == "not":
                todo.append((fact.args[0], truth ^ 1))
            elif fact not in self.conditions:
                self._note(self.conditions, fact, truth, undo)
                if fact.op == "and" and truth:
                    todo += [(part, 1) for part in fact.args]
                if fact.op in ("ult", "eq") and type(fact.args[1]) is int:
                    self._narrow(fact, truth, undo)
        return undo

    @staticmethod
    def forget(undo: Undo) -> None:
        for table, key, before in reversed(undo):
            if before is None:
                del table[key]
            else:
                table[key] = before

    @staticmethod
    def _note(table: dict[Any, Any], key: Any, value: Any, undo: Undo) -> None:
        undo.append((table, key, table.get(key)))
        table[key] = value

    def _narrow(self, fact: Term, truth: int, undo: Undo) -> None:
        x, limit = fact.args
        low, high = self.range(x)
        if fact.op == "ult":
            low, high = (low, min(high, limit - 1)) if truth else (max(low, limit), high)
        elif truth:
            low = high = limit
        else:
            low, high = low + (low == limit), high - (high == limit)
        form = self._form(x)
        if form is not None and low <= high:
            key, scale, base, least = form
            first, last = sorted(((low - base) * scale, (high - base) * scale))
            first, last = -(-first // scale**2), last // scale**2  # rounded inwards
            self._note(self.ranges, key, (first + least, last + least), undo)

    def range(self, x: Term) -> tuple[int, int]:
        """Bounds of x on this path."""
        if not self.ranges or (form := self._form(x)) is None:
            return x.low, x.high
        key, scale, base, least = form
        known = self.ranges.get(key)
        if known is None:
            return x.low, x.high
        ends = sorted(base + scale * (v - least) for v in known)
        return max(x.low, ends[0]), min(x.high, ends[1])

    @staticmethod
    def _stripped(t: Term) -> Value:
        """Without leading zeros, so that a sum is the same in every width."""
        return t.args[0][0] if t.op == "concat" and len(t.args) == 2 and t.args[1][0] == 0 else t

    def _form(self, x: Term) -> tuple[Key, int, int, int] | None:
        """x = base + scale · (P - least), where P is the keyed sum and `least` its smallest value; None if it wraps."""
        _, terms = self.terms.linear_of(x, x.width)
        factors = {t: signed(f, x.width) for t, f in terms.items()}
        scale = math.gcd(*factors.values())
        pieces = {self._stripped(t): f for t, f in factors.items()}
        if any(type(p) is int for p in pieces) or len(pieces) != len(factors):
            return None
        items = sorted(((p.index, f // scale) for p, f in pieces.items()), key=lambda item: item[0])
        if items[0][1] < 0:
            scale, items = -scale, [(i, -f) for i, f in items]
        bounds = {p.index: (p.low, p.high) for p in pieces}
        least = sum(min(f * b for b in bounds[i]) for i, f in items)
        most = sum(max(f * b for b in bounds[i]) for i, f in items)
        if x.high - x.low != abs(scale) * (most - least):
            return None
        return tuple(items), scale, x.low if scale > 0 else x.high, least
