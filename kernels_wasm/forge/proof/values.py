"""Hash-consed bit vectors: equal terms are one object, so most of a proof is a comparison of pointers.

A value is a Python int (a known, unsigned bit pattern) or a Term. The caller keeps track of its width in bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

Value = Any  # int | Term: mypy's union costs a check at every use of an untyped stack


class Undecided(Exception):  # noqa: N818 - an outcome, not a fault
    """The prover cannot follow the module here; the message says why."""


class Term:
    """One symbolic value; `low` and `high` bound it as an unsigned number."""

    __slots__ = ("args", "high", "index", "low", "op", "width")

    def __init__(self, op: str, width: int, args: tuple[Any, ...], low: int, high: int, index: int) -> None:
        self.op, self.width, self.args, self.low, self.high, self.index = op, width, args, low, high, index

    def __repr__(self) -> str:
        return f"{self.op}{self.width}({', '.join(map(repr, self.args))})"[:400]


def ones(width: int) -> int:
    return (1 << width) - 1


def signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def bounds(value: Value) -> tuple[int, int]:
    return (value, value) if type(value) is int else (value.low, value.high)


class Table(ABC):
    """The terms of one proof, each kept once.

    `Sums`, `Fields`, `Logic` and `Terms` extend it in this order. The abstract methods are those that a class calls
    before a later one defines them, because a rule may rewrite a sum into fields and a field into a choice.
    """

    def __init__(self) -> None:
        self.table: dict[tuple[Any, ...], Term] = {}

    def make(self, op: str, width: int, *args: Any, low: int = 0, high: int = -1) -> Term:
        key = (op, width, *args)
        found = self.table.get(key)
        if found is None:
            high = ones(width) if high < 0 else high
            found = self.table[key] = Term(op, width, args, low, high, len(self.table))
        return found

    def symbol(self, name: str, width: int, low: int = 0, high: int = -1) -> Term:
        return self.make("symbol", width, name, low=low, high=high)

    @abstractmethod
    def concat(self, pieces: tuple[tuple[Value, int], ...]) -> Value: ...

    @abstractmethod
    def extract(self, x: Value, at: int, size: int) -> Value: ...

    @abstractmethod
    def extend(self, x: Value, width: int, to: int) -> Value: ...

    @abstractmethod
    def and_(self, x: Value, y: Value, width: int) -> Value: ...

    @abstractmethod
    def or_(self, x: Value, y: Value, width: int) -> Value: ...

    @abstractmethod
    def xor_(self, x: Value, y: Value, width: int) -> Value: ...

    @abstractmethod
    def ite(self, c: Value, yes: Value, no: Value, width: int) -> Value: ...

    @abstractmethod
    def select(self, index: Term, cells: tuple[Value, ...], width: int) -> Value: ...
