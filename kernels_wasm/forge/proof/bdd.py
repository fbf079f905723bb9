"""Bits as binary decision diagrams (Bryant 1986): one function, one node, so equality is a comparison."""

from __future__ import annotations

import time
from collections.abc import Callable

from kernels_wasm.forge.proof.evaluate import opaque, ordered
from kernels_wasm.forge.proof.values import Term, Value, ones

Bits = list[int]
NODES = 400_000


class TooLarge(Exception):  # noqa: N818 - an outcome, not a fault
    """The diagram outgrew its limit or its time."""


class Diagrams:
    """Nodes are numbers: 0 and 1 are constants, others index `nodes` (variable, low, high)."""

    def __init__(self, deadline: float, limit: int = NODES) -> None:
        self.nodes: list[tuple[int, int, int]] = [(1 << 30, 0, 0), (1 << 30, 1, 1)]
        self.unique: dict[tuple[int, int, int], int] = {}
        self.known: dict[tuple[int, int, int], int] = {}
        self.deadline, self.limit = deadline, limit

    def node(self, variable: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (variable, low, high)
        found = self.unique.get(key)
        if found is None:
            if len(self.nodes) >= self.limit or (
                not len(self.nodes) & 1023 and time.process_time() > self.deadline
            ):
                raise TooLarge
            found = self.unique[key] = len(self.nodes)
            self.nodes.append(key)
        return found

    def ite(self, f: int, g: int, h: int) -> int:
        if f < 2:
            return g if f else h
        if g == h:
            return g
        if g == 1 and h == 0:
            return f
        if f == g:
            g = 1
        elif f == h:
            h = 0
        key = (f, g, h)
        found = self.known.get(key)
        if found is None:
            nodes = self.nodes
            (a, f0, f1), (b, g0, g1), (c, h0, h1) = nodes[f], nodes[g], nodes[h]
            top = min(a, b, c)
            low = self.ite(f0 if a == top else f, g0 if b == top else g, h0 if c == top else h)
            high = self.ite(f1 if a == top else f, g1 if b == top else g, h1 if c == top else h)
            found = self.known[key] = self.node(top, low, high)
        return found

    def and_(self, a: int, b: int) -> int:
        return self.ite(a, b, 0) if a < b else self.ite(b, a, 0)

    def or_(self, a: int, b: int) -> int:
        return self.ite(a, 1, b) if a < b else self.ite(b, 1, a)

    def not_(self, a: int) -> int:
        return self.ite(a, 0, 1)

    def xor(self, a: int, b: int) -> int:
        if b < a:
            a, b = b, a
        return self.ite(a, self.not_(b), b)


class Blaster:
    """Terms as one diagram a bit, lowest first; opaque terms are free variables."""

    def __init__(self, deadline: float) -> None:
        self.d = Diagrams(deadline)
        self.found: dict[Term, Bits] = {}
        self.variables = 0

    def bits(self, x: Value, width: int) -> Bits:
        if type(x) is int:
            return [x >> k & 1 for k in range(width)]
        for term in ordered((x,), lambda t: opaque(t) or t in self.found):
            if term not in self.found:
                self.found[term] = self._fresh(term) if opaque(term) else RULES[term.op](self, term)
        return self.found[x]

    def _fresh(self, term: Term) -> Bits:
        """New variables, only for bits that can be one."""
        used = term.high.bit_length()
        first = self.variables
        self.variables += used
        return [self.d.node(first + k, 0, 1) for k in range(used)] + [0] * (term.width - used)

    def get(self, x: Value, width: int) -> Bits:
        return [x >> k & 1 for k in range(width)] if type(x) is int else self.found[x]

    def add(self, a: Bits, b: Bits, carry: int = 0) -> Bits:
        d, total = self.d, []
        for x, y in zip(a, b, strict=True):
            half = d.xor(x, y)
            total.append(d.xor(half, carry))
            carry = d.or_(d.and_(x, y), d.and_(half, carry))
        return total

    def times(self, a: Bits, factor: int) -> Bits:
        """By a constant; few additions for factors such as -1 and 2^k - 1."""
        w = len(a)
        if factor > 1 << (w - 1) and (ones(w) + 1 - factor).bit_count() < factor.bit_count():
            return self.negative(self.times(a, ones(w) + 1 - factor))
        total: Bits = [0] * w
        for k in range(w):
            if factor >> k & 1:
                total = self.add(total, [0] * k + a[: w - k])
        return total

    def negative(self, a: Bits) -> Bits:
        return self.add([self.d.not_(x) for x in a], [0] * len(a), 1)

    def choose(self, c: int, a: Bits, b: Bits) -> Bits:
        return [self.d.ite(c, x, y) for x, y in zip(a, b, strict=True)]

    def equal(self, a: Bits, b: Bits) -> int:
        all_equal = 1
        for x, y in zip(reversed(a), reversed(b), strict=True):
            all_equal = self.d.and_(all_equal, self.d.not_(self.d.xor(x, y)))
        return all_equal

    def below(self, a: Bits, b: Bits) -> int:
        d, less = self.d, 0
        for x, y in zip(a, b, strict=True):
            less = d.ite(d.xor(x, y), y, less)
        return less


def _sum(z: Blaster, t: Term) -> Bits:
    total = z.get(t.args[0], t.width)
    for term, factor in t.args[1]:
        total = z.add(total, z.times(z.found[term], factor))
    return total


def _mul(z: Blaster, t: Term) -> Bits:
    a, b = z.found[t.args[0]], z.found[t.args[1]]
    total: Bits = [0] * t.width
    for k, bit in enumerate(b):
        if bit:
            shifted = [0] * k + a[: t.width - k]
            total = z.add(total, [z.d.and_(bit, x) for x in shifted])
    return total


def _compare(z: Blaster, t: Term) -> Bits:
    w = max(a.width for a in t.args if type(a) is Term)
    a, b = (z.get(x, w) for x in t.args)
    if t.op == "eq":
        return [z.equal(a, b)]
    if t.op == "slt":  # the sign bit counts the other way round
        a, b = [*a[:-1], b[-1]], [*b[:-1], a[-1]]
    return [z.below(a, b)]


def _select(z: Blaster, t: Term) -> Bits:
    index, cells = t.args
    bits = z.found[index]
    rows = [z.get(cells[min(max(k - index.low, 0), len(cells) - 1)], t.width) for k in range(1 << len(bits))]
    for bit in bits:
        rows = [z.choose(bit, rows[k + 1], rows[k]) for k in range(0, len(rows), 2)]
    return rows[0]


def _count(z: Blaster, t: Term) -> Bits:
    x, w = z.found[t.args[0]], t.width
    total: Bits = [0] * w
    if t.op == "popcnt":
        for bit in x:
            total = z.add(total, [bit] + [0] * (w - 1))
        return total
    total = [len(x) >> k & 1 for k in range(w)]
    order = range(len(x)) if t.op == "clz" else reversed(range(len(x)))
    for place in order:
        value = len(x) - 1 - place if t.op == "clz" else place
        total = z.choose(x[place], [value >> k & 1 for k in range(w)], total)
    return total


def _shift(z: Blaster, t: Term) -> Bits:
    x, by = z.found[t.args[0]] if type(t.args[0]) is Term else z.get(t.args[0], t.width), z.found[t.args[1]]
    w = t.width
    for k, bit in enumerate(by[: w.bit_length() - 1]):
        n = 1 << k
        moved = {
            "shl": [0] * n + x[: w - n],
            "shr_u": x[n:] + [0] * n,
            "shr_s": x[n:] + [x[-1]] * n,
            "rotl": x[w - n :] + x[: w - n],
            "rotr": x[n:] + x[:n],
        }[t.op]
        x = z.choose(bit, moved, x)
    return x


def _fields(z: Blaster, t: Term) -> Bits:
    return [bit for piece, size in t.args for bit in z.get(piece, size)]


def _extract(z: Blaster, t: Term) -> Bits:
    return z.found[t.args[0]][t.args[1] : t.args[1] + t.width]


def _sext(z: Blaster, t: Term) -> Bits:
    x = z.found[t.args[0]]
    return x + [x[-1]] * (t.width - len(x))


def _division(z: Blaster, t: Term) -> Bits:
    raise TooLarge


def _logic(operation: Callable[[Diagrams, int, int], int]) -> Callable[[Blaster, Term], Bits]:
    def apply(z: Blaster, t: Term) -> Bits:
        a, b = (z.get(x, t.width) for x in t.args)
        return [operation(z.d, x, y) for x, y in zip(a, b, strict=True)]

    return apply


RULES: dict[str, Callable[[Blaster, Term], Bits]] = {
    "sum": _sum,
    "mul": _mul,
    "concat": _fields,
    "extract": _extract,
    "sext": _sext,
    "and": _logic(Diagrams.and_),
    "or": _logic(Diagrams.or_),
    "xor": _logic(Diagrams.xor),
    "not": lambda z, t: [z.d.not_(z.found[t.args[0]][0])],
    "ite": lambda z, t: z.choose(z.found[t.args[0]][0], *(z.get(x, t.width) for x in t.args[1:])),
    **dict.fromkeys(("eq", "ult", "slt"), _compare),
    "select": _select,
    **dict.fromkeys(("popcnt", "clz", "ctz"), _count),
    **dict.fromkeys(("shl", "shr_s", "shr_u", "rotl", "rotr"), _shift),
    **dict.fromkeys(("div_u", "rem_u", "div_s", "rem_s"), _division),
}
