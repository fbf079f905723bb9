"""Sums and products as multisets: what is equal up to the order of roundings, and up to fused multiply-add.

Nothing cancels: x - x stays, for infinity and NaN. Only a zero that is added and a one that multiplies vanish.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from kernels_wasm.forge.proof.evaluate import ordered
from kernels_wasm.forge.proof.floats import ONE
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Value

ZEROS = {0, 1 << 31, 1 << 63}


class Algebra:
    """Rewrites terms so that reordered sums and products become the same term."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.loosened: dict[Term, Value] = {}
        self.fused: set[Term] = set()  # loosened terms that hold a multiply-add

    def loosen(self, root: Value) -> Value:
        if type(root) is int:
            return root
        for term in ordered((root,), lambda t: t in self.loosened):
            if term not in self.loosened:
                self.loosened[term] = self._one(term)
        return self.loosened[root]

    def _get(self, x: Value) -> Value:
        if type(x) is int:
            return x
        if x not in self.loosened:
            self.loosened[x] = self._one(x)
        return self.loosened[x]

    def _one(self, term: Term) -> Value:
        op = term.op
        if op in ("fadd", "fmadd", "fneg"):
            return self._sum(term)
        if op == "fmul":
            return self._product(term)
        return self._rebuild(term)

    def _sum(self, root: Term) -> Value:
        w = root.width
        items: Counter[tuple[Value, int]] = Counter()
        todo: list[tuple[Value, int]] = [(root, 1)]
        while todo:
            x, sign = todo.pop()
            if (type(x) is Term and x.op == "fadd") or (type(x) is Term and x.op == "fmadd"):
                todo += [(part, sign) for part in x.args]
            elif type(x) is Term and x.op == "fneg":
                todo.append((x.args[0], -sign))
            elif type(x) is int:
                if x not in ZEROS:
                    bits = x if sign > 0 else x ^ 1 << (w - 1)
                    items[bits, 1] += 1
            else:
                inner = self._get(x)
                if type(inner) is Term and inner.op == "lsum":
                    for value, side, count in inner.args:
                        items[value, side * sign] += count
                elif type(inner) is Term:
                    items[inner, sign] += 1
                elif inner not in ZEROS:
                    items[inner if sign > 0 else inner ^ 1 << (w - 1), 1] += 1
        return self._sum_of(items, w)

    def _sum_of(self, items: Counter[tuple[Value, int]], w: int) -> Value:
        if not items:
            return 0
        if len(items) == 1:
            (((value, side), count),) = items.items()
            if count == 1 and side == 1:
                return value
        args = sorted(((value, side, count) for (value, side), count in items.items()), key=_place)
        return self.terms.make("lsum", w, *args)

    def _product(self, root: Term) -> Value:
        w, sign = root.width, 1
        factors: list[Value] = []
        todo: list[Value] = [root]
        while todo:
            x = todo.pop()
            if type(x) is Term and x.op == "fmul":
                todo += x.args
                continue
            if type(x) is Term and x.op == "fneg":
                sign, x = -sign, x.args[0]
                todo.append(x)
                continue
            inner = self._get(x)
            if type(inner) is Term and inner.op == "lproduct":
                factors += inner.args
            elif type(inner) is Term and inner.op == "lsum":
                flipped, positive = self._positive(inner)
                sign *= flipped
                factors += (
                    positive.args if type(positive) is Term and positive.op == "lproduct" else [positive]
                )
            elif type(inner) is int and inner >> (w - 1):
                sign, inner = -sign, inner ^ 1 << (w - 1)
                factors.append(inner)
            else:
                factors.append(inner)
        factors = sorted((f for f in factors if type(f) is Term or f != ONE[w]), key=_factor)
        product = (
            self.terms.make("lproduct", w, *factors)
            if len(factors) > 1
            else factors[0]
            if factors
            else ONE[w]
        )
        if sign > 0:
            return product
        return self._sum_of(Counter({(product, -1): 1}), w)

    def _positive(self, total: Term) -> tuple[int, Value]:
        """The sum with the sign of its first item made positive: a - b and b - a share a factor."""
        if total.args[0][1] > 0 or any(type(value) is int for value, _, _ in total.args):
            return 1, total
        items = Counter({(value, -side): count for value, side, count in total.args})
        return -1, self._sum_of(items, total.width)

    def _rebuild(self, term: Term) -> Value:
        t, get = self.terms, self._get
        if term.op == "symbol":
            return term
        if all(get(a) is a for a in _inner(term)):
            return term
        if term.op == "sum":
            total: Value = term.args[0]
            for part, factor in term.args[1]:
                total = t.combine(total, get(part), factor, term.width)
            return total
        if term.op == "concat":
            return t.concat(tuple((get(p), size) for p, size in term.args))
        if term.op == "extract":
            return t.extract(get(term.args[0]), term.args[1], term.width)
        if term.op == "ite":
            c, yes, no = map(get, term.args)
            return t.ite(c, yes, no, term.width)
        if term.op == "not":
            return t.not_(get(term.args[0]))
        if term.op in ("and", "or", "xor"):
            a, b = map(get, term.args)
            operation: Callable[..., Value] = getattr(t, term.op + "_")
            return operation(a, b, term.width)
        if term.op == "select":
            return term
        return t.make(term.op, term.width, *(get(a) if type(a) is Term else a for a in term.args))


def _inner(term: Term) -> list[Term]:
    from kernels_wasm.forge.proof.evaluate import children

    return list(children(term))


def _factor(value: Value) -> tuple[int, int]:
    return (0, value) if type(value) is int else (1, value.index)


def _place(item: tuple[Any, int, int]) -> tuple[int, int, int]:
    return (*_factor(item[0]), item[1])


def holds_fused(roots: tuple[Value, ...]) -> bool:
    """Whether a relaxed multiply-add is anywhere below."""
    return any(term.op == "fmadd" for term in ordered(roots, lambda _: False))
