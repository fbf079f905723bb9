"""One round of a loop as values: what it stores, where it leaves, and what it hands to the next round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kernels_wasm.forge.ranges import simplified
from kernels_wasm.translate import ir
from kernels_wasm.translate.expressions import NARROW

MOST_NODES = 4000
Linear = tuple[tuple[tuple[ir.Expr, int], ...], int]  # atoms with their factors, and a constant


class CannotError(Exception):
    """A rewrite does not apply to a loop; the message says why."""


@dataclass(frozen=True)
class Write:
    """One store of a round; with a mask it happens only where that holds."""

    array: str
    element: str
    index: ir.Expr
    value: ir.Expr
    mask: ir.Expr | None = None


@dataclass
class Round:
    """A loop's body as values over what held when the round began."""

    writes: list[Write] = field(default_factory=list)
    exits: list[ir.Expr] = field(default_factory=list)
    values: dict[str, ir.Expr] = field(default_factory=dict)  # of variables at its end


def linear(node: ir.Expr) -> Linear:
    """The expression as a sum of multiples of other expressions and a constant."""
    atoms: dict[ir.Expr, int] = {}
    constant = _collect(node, 1, atoms)
    return tuple(sorted(((a, f) for a, f in atoms.items() if f), key=repr)), constant


def _collect(node: ir.Expr, factor: int, atoms: dict[ir.Expr, int]) -> int:
    match node:
        case ir.Const():
            return factor * int(node.value)
        case ir.Binary(op="add"):
            return _collect(node.left, factor, atoms) + _collect(node.right, factor, atoms)
        case ir.Binary(op="sub"):
            return _collect(node.left, factor, atoms) + _collect(node.right, -factor, atoms)
        case ir.Binary(op="mul", left=ir.Const(value=value)):
            return _collect(node.right, factor * int(value), atoms)
        case ir.Binary(op="mul", right=ir.Const(value=value)):
            return _collect(node.left, factor * int(value), atoms)
        case ir.Binary(op="shl", right=ir.Const(value=value)):
            return _collect(node.left, factor << int(value), atoms)
    atoms[node] = atoms.get(node, 0) + factor
    return 0


class Reader:
    """Runs a loop's body on values instead of numbers. CannotError if it has what values cannot say."""

    def __init__(self, functions: Mapping[str, ir.Function]) -> None:
        self.functions = functions
        self.round = Round()

    def read(self, body: Sequence[ir.Stmt]) -> Round:
        self._block(without_continue(tuple(body)), self.round.values, None)
        for node in [w.value for w in self.round.writes] + list(self.round.values.values()):
            if sum(1 for _ in ir.walk(node)) > MOST_NODES:
                raise CannotError("its values are too large")
        return self.round

    def _block(self, body: Sequence[ir.Stmt], values: dict[str, ir.Expr], mask: ir.Expr | None) -> None:
        for node in body:
            match node:
                case ir.Assign():
                    values[node.name] = self._value(node.value, values)
                case ir.Store():
                    index, value = self._value(node.index, values), self._value(node.value, values)
                    self.round.writes.append(Write(node.array, node.element, index, value, mask))
                case ir.If():
                    self._branch(node, values, mask)
                case _:
                    raise CannotError(f"it holds a {type(node).__name__.lower()}")

    def _branch(self, node: ir.If, values: dict[str, ir.Expr], mask: ir.Expr | None) -> None:
        condition = self._value(node.condition, values)
        if len(node.then) == 1 and isinstance(node.then[0], ir.Return | ir.Break) and not node.other:
            if mask is not None or self.round.writes:
                raise CannotError("it stores before it may leave")
            self.round.exits.append(condition)
            return
        then, other = dict(values), dict(values)
        negated = ir.Unary("bool", "not", condition)
        writes = self.round.writes
        start = len(writes)
        self._block(node.then, then, _both(mask, condition))
        middle = len(writes)
        self._block(node.other, other, _both(mask, negated))
        writes[start:] = _joined(writes[start:middle], writes[middle:], condition, mask)
        for name in {*then, *other}:
            left, right = then.get(name), other.get(name)
            if left is None or right is None:
                kind = (left or right).type  # type: ignore[union-attr]  # one of them is there
                left, right = left or ir.Var(kind, name), right or ir.Var(kind, name)
            if left != right:
                left = simplified(ir.Select(left.type, condition, left, right))
            values[name] = left

    def _value(self, node: ir.Expr, values: dict[str, ir.Expr]) -> ir.Expr:
        def change(part: ir.Expr) -> ir.Expr:
            match part:
                case ir.Var() if part.name in values:
                    return values[part.name]
                case ir.Load():
                    return self._forwarded(part)
                case ir.Call():
                    return self._inlined(part)
            return part

        return simplified(ir.rebuilt(node, change))

    def _forwarded(self, load: ir.Load) -> ir.Expr:
        """A load after stores of the same round: what was stored there."""
        found: ir.Expr = load
        for write in self.round.writes:
            if write.array != load.array:
                continue
            (atoms, constant), (others, other) = linear(load.index), linear(write.index)
            if atoms != others:
                raise CannotError(f"it reads {load.array} where it may just have written")
            if constant == other:
                value = write.value
                if load.element in NARROW:
                    value = simplified(ir.Convert("i32", load.element, value))
                elif value.type != load.type:
                    value = ir.Convert(load.type, load.type, value)
                found = value if write.mask is None else ir.Select(load.type, write.mask, value, found)
        return found

    def _inlined(self, call: ir.Call) -> ir.Expr:
        function = self.functions[call.name]
        if any(p.dir for p in function.params) or not isinstance(function.body[-1], ir.Return):
            raise CannotError(f"it calls {call.name}, which is more than a formula")
        inner = Reader(self.functions)
        values: dict[str, ir.Expr] = {p.name: a for p, a in zip(function.params, call.arguments, strict=True)}
        inner._block(function.body[:-1], values, None)
        result = function.body[-1].value
        if inner.round.writes or inner.round.exits or result is None:
            raise CannotError(f"it calls {call.name}, which is more than a formula")
        return inner._value(result, values)


def _joined(then: list[Write], other: list[Write], condition: ir.Expr, mask: ir.Expr | None) -> list[Write]:
    """The stores of two branches: where both store to the same places, one store of either value."""
    places = [[(w.array, linear(w.index)) for w in writes] for writes in (then, other)]
    if places[0] != places[1] or len(set(places[0])) != len(places[0]):
        return [*then, *other]
    return (
        [
            replace(w, value=simplified(ir.Select(w.value.type, condition, w.value, o.value)), mask=mask)
            for w, o in zip(then, other, strict=True)
            if w.value.type == o.value.type
        ]
        if all(w.value.type == o.value.type for w, o in zip(then, other, strict=True))
        else [*then, *other]
    )


def _both(one: ir.Expr | None, other: ir.Expr) -> ir.Expr:
    return other if one is None else ir.Logic("bool", "and", one, other)


def without_continue(body: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
    """`if c: continue` as an `if` around the rest."""
    for at, node in enumerate(body):
        if isinstance(node, ir.If) and node.then and isinstance(node.then[-1], ir.Continue):
            rest = (*node.other, *body[at + 1 :])
            changed = replace(node, then=node.then[:-1], other=without_continue(rest))
            return (*body[:at], changed)
    return body


def unconditional(node: ir.Expr, *, certain: bool = True) -> set[ir.Load]:
    """Loads that are surely made when the expression is computed."""
    match node:
        case ir.Select():
            return unconditional(node.condition, certain=certain)
        case ir.Logic():
            return unconditional(node.left, certain=certain)
    found = {node} if isinstance(node, ir.Load) else set()
    return found.union(*(unconditional(child) for child in ir.children(node)))


def flattened(body: tuple[ir.Stmt, ...], most: int = 64) -> tuple[ir.Stmt, ...]:
    """Inner loops with a small constant number of rounds written out."""

    def change(node: ir.Stmt) -> list[ir.Stmt]:
        match node:
            case ir.For():
                inner = tuple(s for one in node.body for s in change(one))
                node = replace(node, body=inner)
                rounds = constant_rounds(node)
                leaves = any(isinstance(n, ir.Break | ir.Continue) for n in ir.walk(*inner))
                if rounds is None or len(rounds) * len(inner) > most or leaves:
                    return [node]
                return [ir.substituted(s, {node.variable: ir.integer(k)}) for k in rounds for s in inner]
            case ir.If():
                then = tuple(s for one in node.then for s in change(one))
                return [replace(node, then=then, other=tuple(s for one in node.other for s in change(one)))]
            case ir.While():
                return [replace(node, body=tuple(s for one in node.body for s in change(one)))]
        return [node]

    return tuple(s for one in body for s in change(one))


def constant_rounds(node: ir.For) -> range | None:
    """The rounds of a loop between constants."""

    def known(bound: ir.Expr) -> int | None:
        if isinstance(bound, ir.Const):
            return int(bound.value)
        if isinstance(bound, ir.Unary) and bound.op == "neg" and isinstance(bound.value, ir.Const):
            return -int(bound.value.value)
        return None

    start, stop = known(node.start) if node.start is not None else None, known(node.stop)
    return None if start is None or stop is None else range(start, stop, node.step)
