"""The few nodes that a function consists of between its source and the code that is made from it.

Types are "i32", "u32", "f32", "f64", "bool", and of arrays "u8[]" and its like. Equal nodes mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

INTEGERS = frozenset({"i32", "u32"})
FLOATS = frozenset({"f32", "f64"})
BYTES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "f32": 4, "f64": 8}


@dataclass(frozen=True)
class Expr:
    type: str


@dataclass(frozen=True)
class Const(Expr):
    value: int | float


@dataclass(frozen=True)
class Var(Expr):
    """A number, or an array that is handed to another function."""

    name: str


@dataclass(frozen=True)
class Load(Expr):
    array: str
    element: str
    index: Expr


@dataclass(frozen=True)
class Binary(Expr):
    """add sub mul div floordiv mod and or xor shl shr min max; both sides have the node's type."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Unary(Expr):
    """neg inv abs sqrt popcount (an i32), not (of a bool)."""

    op: str
    value: Expr


@dataclass(frozen=True)
class Convert(Expr):
    """The value as `to`: a number type, or a narrow integer type that is i32 or u32 again at once."""

    to: str
    value: Expr


@dataclass(frozen=True)
class Compare(Expr):
    """lt le gt ge eq ne."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Logic(Expr):
    """and, or: the right side is not looked at when the left one decides."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Select(Expr):
    """Only the chosen side is computed."""

    condition: Expr
    then: Expr
    other: Expr


@dataclass(frozen=True)
class Call(Expr):
    name: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True)
class Stmt:
    pass


@dataclass(frozen=True)
class Assign(Stmt):
    name: str
    type: str
    value: Expr


@dataclass(frozen=True)
class Store(Stmt):
    array: str
    element: str
    index: Expr
    value: Expr


@dataclass(frozen=True)
class For(Stmt):
    """`variable` from `start` (or from what it holds, when that is None) while before `stop`, which does not change."""

    variable: str
    start: Expr | None
    stop: Expr
    step: int
    body: tuple[Stmt, ...]
    unroll: int = 1


@dataclass(frozen=True)
class While(Stmt):
    condition: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class If(Stmt):
    condition: Expr
    then: tuple[Stmt, ...]
    other: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class Return(Stmt):
    value: Expr | None


@dataclass(frozen=True)
class Break(Stmt):
    pass


@dataclass(frozen=True)
class Continue(Stmt):
    pass


@dataclass(frozen=True)
class Perform(Stmt):
    """A call for what it does."""

    call: Call


@dataclass(frozen=True)
class Raw(Stmt):
    """Lines of C that a rewrite wrote."""

    text: str


@dataclass(frozen=True)
class Param:
    name: str
    type: str  # "f32", or "u8[]"
    dir: str = ""  # in, out, inout, scratch; empty for numbers

    @property
    def element(self) -> str:
        return self.type.removesuffix("[]")


@dataclass(frozen=True)
class Function:
    name: str
    params: tuple[Param, ...]
    returns: str  # or "void"
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Program:
    """The function to forge and those that it calls, callees first."""

    helpers: tuple[Function, ...]
    main: Function
    tables: tuple[tuple[str, str, tuple[int | float, ...]], ...] = ()  # name, element, values: of a rewrite
    lengths: tuple[tuple[str, int], ...] = ()  # of arrays whose length is a constant

    def with_body(self, body: Sequence[Stmt]) -> Program:
        return replace(self, main=replace(self.main, body=tuple(body)))


def children(node: Any) -> Iterator[Any]:
    """Every node directly below."""
    for field in fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Expr | Stmt):
                yield item


def walk(*nodes: Any) -> Iterator[Any]:
    """The nodes and all below, in order."""
    for node in nodes:
        yield node
        yield from walk(*children(node))


def rebuilt(node: Any, change: Callable[[Any], Any]) -> Any:
    """The node with `change` applied to everything below it and then to itself, innermost first."""
    new = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, tuple):
            new[field.name] = tuple(rebuilt(v, change) if isinstance(v, Expr | Stmt) else v for v in value)
        elif isinstance(value, Expr | Stmt):
            new[field.name] = rebuilt(value, change)
    return change(replace(node, **new) if new else node)


def substituted(node: Any, values: Mapping[str, Expr]) -> Any:
    """The node with variables replaced."""
    return rebuilt(node, lambda n: values.get(n.name, n) if isinstance(n, Var) else n)


def mentioned(*nodes: Any) -> set[str]:
    """Variables that are read."""
    return {node.name for node in walk(*nodes) if isinstance(node, Var)}


def assigned(*nodes: Any) -> set[str]:
    """Variables that are written."""
    names = {node.name for node in walk(*nodes) if isinstance(node, Assign)}
    return names | {node.variable for node in walk(*nodes) if isinstance(node, For)}


def loaded(*nodes: Any) -> set[str]:
    """Arrays that are read, also by functions they are handed to."""
    names = {node.array for node in walk(*nodes) if isinstance(node, Load)}
    return names | {n.name for n in walk(*nodes) if isinstance(n, Var) and n.type.endswith("[]")}


def stored(*nodes: Any) -> set[str]:
    """Arrays that are written by the nodes themselves."""
    return {node.array for node in walk(*nodes) if isinstance(node, Store)}


def integer(value: int, kind: str = "i32") -> Const:
    return Const(kind, value)


def add(left: Expr, right: Expr) -> Expr:
    """Sum of integers, with constants folded."""
    if isinstance(right, Const) and right.value == 0:
        return left
    if isinstance(left, Const) and isinstance(right, Const) and abs(left.value + right.value) < 1 << 31:
        return Const(left.type, left.value + right.value)
    return Binary(left.type, "add", left, right)
