"""Compute terms for many assignments at once (numpy), and decide equality of small ones by trying everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from kernels_wasm.forge.proof.values import Term, Value, ones

Words = np.ndarray[Any, np.dtype[np.uint64]]
ENUMERABLE = 16  # bits
OPAQUE = ("f", "trunc_", "convert_", "promote", "demote", "symbol", "lsum", "lproduct")


def opaque(term: Term) -> bool:
    """Whether a term is a leaf for the engines that reason about bits: inputs, and everything about floats."""
    return term.op.startswith(OPAQUE)


def children(term: Term) -> Iterable[Term]:
    """Terms that a term is made of."""
    if term.op == "sum":
        yield from (t for t, _ in term.args[1])
    elif term.op == "concat":
        yield from (p for p, _ in term.args if type(p) is Term)
    elif term.op == "lsum":
        yield from (v for v, _, _ in term.args if type(v) is Term)
    elif term.op == "select":
        yield term.args[0]
        yield from (c for c in term.args[1] if type(c) is Term)
    else:
        yield from (a for a in term.args if type(a) is Term)


def ordered(roots: Iterable[Value], stop: Callable[[Term], bool]) -> list[Term]:
    """Terms below the roots, children first, not looking inside of those where `stop` holds."""
    found: list[Term] = []
    seen: set[Term] = set()
    stack: list[tuple[Term, bool]] = [(r, False) for r in roots if type(r) is Term]
    while stack:
        term, done = stack.pop()
        if done:
            found.append(term)
        elif term not in seen:
            seen.add(term)
            stack.append((term, True))
            if not stop(term):
                stack.extend((c, False) for c in children(term) if c not in seen)
    return found


def sign(x: Words, width: int) -> Any:
    """The words as signed numbers."""
    shift = np.uint64(64 - width)
    return (x << shift).view(np.int64) >> np.int64(64 - width)


def evaluate(order: list[Term], known: dict[Term, Words], size: int) -> dict[Term, Words]:
    """Values of the terms in `order` (children first) under `size` assignments of their leaves."""
    values = dict(known)

    def value(x: Value) -> Words:
        return values[x] if type(x) is Term else np.full(size, x, np.uint64)

    for term in order:
        if term not in values:
            mask = np.uint64(ones(term.width))
            values[term] = COMPUTE[term.op](term, value) & mask
    return values


def _sum(t: Term, v: Callable[[Value], Words]) -> Words:
    total = np.full(1, t.args[0], np.uint64)
    for term, factor in t.args[1]:
        total = total + v(term) * np.uint64(factor)
    return total


def _concat(t: Term, v: Callable[[Value], Words]) -> Words:
    total, at = np.zeros(1, np.uint64), 0
    for piece, width in t.args:
        if type(piece) is Term or piece:
            total = total | v(piece) << np.uint64(at)
        at += width
    return total


def _select(t: Term, v: Callable[[Value], Words]) -> Words:
    index, cells = t.args
    place = (v(index) - np.uint64(index.low)).astype(np.int64)
    if all(type(c) is int for c in cells):
        return np.array(cells, np.uint64)[place]
    table = np.stack([v(c) for c in cells])
    found: Words = table[place, np.arange(place.size)]
    return found


def _count(t: Term, v: Callable[[Value], Words]) -> Words:
    x, w = v(t.args[0]), t.args[0].width
    if t.op == "popcnt":
        return sum((x >> np.uint64(k) & np.uint64(1) for k in range(w)), np.zeros_like(x))
    found = np.full_like(x, w)
    for k in range(w) if t.op == "clz" else reversed(range(w)):  # the last bit found wins
        place = w - 1 - k if t.op == "clz" else k
        found = np.where(x >> np.uint64(k) & np.uint64(1), np.uint64(place), found)
    return found


def _shift(t: Term, v: Callable[[Value], Words]) -> Words:
    x, by, w = v(t.args[0]), v(t.args[1]), t.width
    rest = np.uint64(w) - by
    left = np.where(rest < 64, x << by, x)
    if t.op == "shl":
        return x << by
    if t.op == "shr_u":
        return x >> by
    if t.op == "shr_s":
        found: Words = (sign(x, w) >> by.astype(np.int64)).view(np.uint64)
        return found
    if t.op == "rotl":
        return np.where(by == 0, x, left | x >> (rest & np.uint64(63)))
    return np.where(by == 0, x, x >> by | x << (rest & np.uint64(63)))


def _divide(t: Term, v: Callable[[Value], Words]) -> Words:
    x, y = v(t.args[0]), np.uint64(t.args[1])
    if t.op == "div_u":
        return x // y
    if t.op == "rem_u":
        return x % y
    a, b = sign(x, t.width), np.int64(int(y) - (1 << t.width) if int(y) >> (t.width - 1) else int(y))
    quotient = np.abs(a) // np.abs(b) * np.where((a < 0) == (b < 0), 1, -1)
    found: Words = (quotient if t.op == "div_s" else a - quotient * b).astype(np.int64).view(np.uint64)
    return found


def _flag(bits: Any) -> Words:
    found: Words = bits.astype(np.uint64)
    return found


def _wider(t: Term) -> int:
    return max(a.width for a in t.args if type(a) is Term)


COMPUTE: dict[str, Callable[[Term, Callable[[Value], Words]], Words]] = {
    "sum": _sum,
    "mul": lambda t, v: v(t.args[0]) * v(t.args[1]),
    "concat": _concat,
    "extract": lambda t, v: v(t.args[0]) >> np.uint64(t.args[1]),
    "sext": lambda t, v: sign(v(t.args[0]), t.args[0].width).view(np.uint64),
    "and": lambda t, v: v(t.args[0]) & v(t.args[1]),
    "or": lambda t, v: v(t.args[0]) | v(t.args[1]),
    "xor": lambda t, v: v(t.args[0]) ^ v(t.args[1]),
    "not": lambda t, v: v(t.args[0]) ^ np.uint64(1),
    "ite": lambda t, v: np.where(v(t.args[0]) != 0, v(t.args[1]), v(t.args[2])),
    "eq": lambda t, v: _flag(v(t.args[0]) == v(t.args[1])),
    "ult": lambda t, v: _flag(v(t.args[0]) < v(t.args[1])),
    "slt": lambda t, v: _flag(sign(v(t.args[0]), _wider(t)) < sign(v(t.args[1]), _wider(t))),
    "select": _select,
    **dict.fromkeys(("popcnt", "clz", "ctz"), _count),
    **dict.fromkeys(("shl", "shr_s", "shr_u", "rotl", "rotr"), _shift),
    **dict.fromkeys(("div_u", "rem_u", "div_s", "rem_s"), _divide),
}


def same_everywhere(x: Value, y: Value) -> bool | None:
    """Whether two terms agree for every value of their leaves; None if there are too many values to try.

    False says nothing about floats: leaves that depend on one another count as free.
    """
    order = ordered((x, y), opaque)
    leaves = [t for t in order if opaque(t)]
    choices = [t.high - t.low + 1 for t in leaves]
    total = 1
    for count in choices:
        total *= count
        if total > 1 << ENUMERABLE:
            return None
    numbers = np.arange(total, dtype=np.uint64)
    known: dict[Term, Words] = {}
    for leaf, count in zip(leaves, choices, strict=True):
        known[leaf] = numbers % np.uint64(count) + np.uint64(leaf.low)
        numbers = numbers // np.uint64(count)
    values = evaluate(order, known, total)
    a, b = (values[v] if type(v) is Term else np.full(total, v, np.uint64) for v in (x, y))
    return bool(np.array_equal(np.broadcast_to(a, total), np.broadcast_to(b, total)))
