"""A loop whose values depend on one byte alone, as a lookup in a table that the forge computes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from kernels_wasm.forge.loops import CannotError
from kernels_wasm.forge.plans import plan
from kernels_wasm.forge.ranges import of_element
from kernels_wasm.translate import ir, language
from kernels_wasm.translate.language import ELEMENTS, NUMBERS, OPERATORS, Number

WORTH = 6  # nodes of a formula below which a table cannot win
NAMES = {"div": "truediv", "shl": "lshift", "shr": "rshift"}


def computed(node: ir.Expr, byte: int) -> Number | bool:
    """The value in the types of `language` where every load gives that byte."""
    match node:
        case ir.Const():
            return NUMBERS[node.type](node.value)
        case ir.Load():
            return language.i32(byte)
        case ir.Binary(op="min" | "max"):
            two = language.smaller if node.op == "min" else language.larger
            return two(computed(node.left, byte), computed(node.right, byte))
        case ir.Binary():
            left, right, kind = language.together(computed(node.left, byte), computed(node.right, byte))
            return kind(OPERATORS[NAMES.get(node.op, node.op)](left, right))
        case ir.Unary(op="not"):
            return not computed(node.value, byte)
        case ir.Unary():
            return _unary(node.op, computed(node.value, byte))
        case ir.Convert():
            value = computed(node.value, byte)
            return NUMBERS[node.to](value) if node.to in NUMBERS else language.narrow(node.to)(value)
        case ir.Compare():
            return bool(getattr(computed(node.left, byte), f"__{node.op}__")(computed(node.right, byte)))
        case ir.Logic():
            first = bool(computed(node.left, byte))
            return computed(node.right, byte) if first == (node.op == "and") else first
        case ir.Select():
            return computed(node.then if computed(node.condition, byte) else node.other, byte)
    raise CannotError("it depends on more than one byte")


def _unary(op: str, value: Number | bool) -> Number:
    assert isinstance(value, Number)
    match op:
        case "neg":
            return -value
        case "inv":
            return ~value
        case "abs":
            return abs(value)
        case "popcount":
            return value.bit_count()
    return language.sqrt(value)


def looked_up(
    loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str], tag: str
) -> tuple[tuple[ir.Stmt, ...], tuple[str, str, tuple[int | float, ...]]]:
    """The loop with one lookup a round, and the table: its name, element type and values."""
    made = plan(loop, functions, outside)
    if made.reductions or made.scans or made.round.exits or made.leave or len(made.round.writes) != 1:
        raise CannotError("it does more than store one value a round")
    [write] = made.round.writes
    loads = {n for n in ir.walk(write.value) if isinstance(n, ir.Load)}
    # What a load's index is made of is not part of the formula.
    inner = {n for load in loads for n in ir.walk(load.index)}
    free = [n for n in ir.walk(write.value) if isinstance(n, ir.Var) and n not in inner]
    if write.mask is not None or len(loads) != 1 or free or made.stride(write.index) is None:
        raise CannotError("it depends on more than one byte")
    [load] = loads
    if load.element not in ("u8", "i8") or sum(1 for _ in ir.walk(write.value)) < WORTH:
        raise CannotError("it is no formula of one byte that is worth a table")
    low, high = of_element(load.element)
    values: list[int | float] = []
    for byte in range(low, high + 1):
        try:
            found = computed(write.value, byte)
        except ZeroDivisionError:
            raise CannotError("it divides by 0 for some byte") from None
        assert isinstance(found, Number)
        whole = write.element in ELEMENTS
        values.append(language.wrap(found.value, write.element) if whole else found.value)
    if not all(math.isfinite(value) for value in values):
        raise CannotError("its values are not all finite")
    name = f"$table{tag}"
    index = ir.add(load, ir.integer(-low)) if low else load
    body = ir.Store(
        write.array, write.element, write.index, ir.Load(write.value.type, name, write.element, index)
    )
    return (replace(loop, body=(body,), unroll=4),), (name, write.element, tuple(values))
