"""What the two printers share: indentation, where a variable is declared, and statements of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernels_wasm.translate import ir

SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip


def names(node: ir.Stmt | ir.Expr) -> set[str]:
    """Variables that a statement reads or writes."""
    return ir.mentioned(node) | {n.name for n in ir.walk(node) if isinstance(n, ir.Assign)}


def text_names(node: ir.Stmt) -> set[str]:
    """Words of the C that rewrites wrote; a variable among them must be declared before it."""
    found: set[str] = set()
    for raw in ir.walk(node):
        if isinstance(raw, ir.Raw):
            found |= set("".join(c if c.isalnum() or c == "_" else " " for c in raw.text).split())
    return found


def inner_blocks(node: ir.Stmt) -> list[tuple[ir.Stmt, ...]]:
    match node:
        case ir.For() | ir.While():
            return [node.body]
        case ir.If():
            return [node.then, node.other]
    return []


@dataclass
class Language:
    """The parts in which C and JavaScript differ."""

    name: Callable[[str], str]
    expression: Callable[[ir.Expr], str]
    declare: Callable[[str, str], str]  # type, name → "let x" or "f32 x"
    zero: str  # initial value of a variable that is declared before its first value, or ""
    store: Callable[[ir.Store], str]
    pragma: Callable[[int], str]


class Printer:
    """Prints one function's body."""

    def __init__(self, language: Language, types: dict[str, str]) -> None:
        self.language = language
        self.types = types  # of the variables that are not declared yet

    def block(self, body: Sequence[ir.Stmt], depth: int) -> list[str]:
        """The lines of a block. A variable is declared in the innermost block that holds all its uses."""
        lines: list[str] = []
        pad = "  " * depth
        for at, node in enumerate(body):
            used = names(node) | text_names(node)
            for name in sorted(used & self.types.keys()):
                later = any(name in names(other) | text_names(other) for other in body[at + 1 :])
                inside = sum(
                    any(name in names(s) | text_names(s) for s in block) for block in inner_blocks(node)
                )
                head = name in _head(node)
                if isinstance(node, ir.Assign) and node.name == name:
                    continue  # declared where it is assigned
                if (
                    later
                    or head
                    or inside != 1
                    or isinstance(node, ir.Raw)
                    or (isinstance(node, ir.While | ir.For) and _carried(name, node.body))
                ):
                    kind = self.types.pop(name)
                    lines.append(f"{pad}{self.language.declare(kind, name)}{self.language.zero};")
            lines += self.statement(node, depth)
        return lines

    def statement(self, node: ir.Stmt, depth: int) -> list[str]:
        pad, show, language = "  " * depth, self.language.expression, self.language
        match node:
            case ir.Assign():
                kind = self.types.pop(node.name, "")
                target = language.declare(kind, node.name) if kind else language.name(node.name)
                return [f"{pad}{target} = {bare(show(node.value))};"]
            case ir.Store():
                return [f"{pad}{language.store(node)};"]
            case ir.For():
                counter = language.name(node.variable)
                start = "" if node.start is None else (
                    f"{language.declare('i32', node.variable)} = {bare(show(node.start))}"
                )  # fmt: skip
                sign = "<" if node.step > 0 else ">"
                step = {1: "++", -1: "--"}.get(node.step) or (
                    f" += {node.step}" if node.step > 0 else f" -= {-node.step}"
                )
                pragma = language.pragma(node.unroll)
                head = f"{pad}for ({start}; {counter} {sign} {show(node.stop)}; {counter}{step}) {{"
                lines = [f"{pad}{pragma}"] if pragma else []
                return [*lines, head, *self.block(node.body, depth + 1), f"{pad}}}"]
            case ir.While():
                body = self.block(node.body, depth + 1)
                return [f"{pad}while ({bare(show(node.condition))}) {{", *body, f"{pad}}}"]
            case ir.If():
                lines = [f"{pad}if ({bare(show(node.condition))}) {{", *self.block(node.then, depth + 1)]
                if node.other:
                    lines += [f"{pad}}} else {{", *self.block(node.other, depth + 1)]
                return [*lines, f"{pad}}}"]
            case ir.Return():
                return [f"{pad}return;" if node.value is None else f"{pad}return {bare(show(node.value))};"]
            case ir.Break():
                return [f"{pad}break;"]
            case ir.Continue():
                return [f"{pad}continue;"]
            case ir.Perform():
                return [f"{pad}{show(node.call)};"]
            case ir.Raw():
                return [f"{pad}{line}" if line else "" for line in node.text.splitlines()]
        raise AssertionError(node)


def _head(node: ir.Stmt) -> set[str]:
    """Variables that a statement uses outside its inner blocks."""
    match node:
        case ir.For():
            parts = [node.stop] if node.start is None else [node.start, node.stop]
            return ir.mentioned(*parts) | ({node.variable} if node.start is None else set())
        case ir.While() | ir.If():
            return ir.mentioned(node.condition)
    return names(node)


def _carried(name: str, body: Sequence[ir.Stmt]) -> bool:
    """Whether a loop's body may see what an earlier round left in the variable.

    The checker has seen to it that a variable with no value before the loop is assigned before it is read, so
    this only asks whether something other than a plain assignment comes first."""
    for node in body:
        if name in names(node):
            return not (
                isinstance(node, ir.Assign) and node.name == name and name not in ir.mentioned(node.value)
            )
    return False


def variables(function: ir.Function) -> dict[str, str]:
    """Types of a function's variables that are not parameters or loop counters with a loop of their own."""
    params = {p.name for p in function.params}
    found = {n.name: n.type for n in ir.walk(*function.body) if isinstance(n, ir.Assign)}
    return {name: kind for name, kind in found.items() if name not in params}


def bare(text: str) -> str:
    """Without the parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


def power_of_two(node: ir.Expr) -> int | None:
    """k of a literal 2**k."""
    if isinstance(node, ir.Const) and isinstance(node.value, int) and node.value > 0:
        return node.value.bit_length() - 1 if node.value & (node.value - 1) == 0 else None
    return None
