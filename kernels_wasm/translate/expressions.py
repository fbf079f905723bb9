"""Typed expressions from Python's syntax tree; what the language does not have is refused with a remedy."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernels_wasm.translate import ir

NARROW = frozenset({"i8", "u8", "i16", "u16"})
NUMBERS = ir.INTEGERS | ir.FLOATS
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip
WHOLE_ONLY = frozenset({"floordiv", "mod", "and", "or", "xor", "shl", "shr"})
REMEDIES: dict[type[ast.AST], str] = {
    ast.Pow: "multiply, or use sqrt(x)",
    ast.MatMult: "write the loops",
    ast.ListComp: "write a for loop that stores into an array parameter",
    ast.List: "take an array parameter, such as table: In[f32]",
    ast.Attribute: "only x.bit_count() is known",
    ast.JoinedStr: "text is not supported",
    ast.NamedExpr: "assign on a line of its own",
    ast.Lambda: "write a function with def",
}
LOW, HIGH = -(1 << 31), (1 << 31) - 1
RANGES = {"i32": (LOW, HIGH), "u32": (0, (1 << 32) - 1)}


class SourceError(ValueError):
    """The source cannot be forged; each problem has line, column, what is wrong and a remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedError(Exception):
    """One problem at one place."""

    def __init__(self, node: ast.AST, what: str, remedy: str) -> None:
        self.line, self.column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        super().__init__(f"line {self.line}, column {self.column}: {what}; {remedy}")


@dataclass
class Scope:
    """What names mean at one place of one function."""

    params: Mapping[str, ir.Param]
    constants: Mapping[str, int | float]
    functions: Mapping[str, ir.Function]
    types: dict[str, str] = field(default_factory=dict)  # of numbers, since their first assignment
    certain: set[str] = field(default_factory=set)  # surely assigned here
    counters: set[str] = field(default_factory=set)  # of the loops around
    counted: set[str] = field(default_factory=set)  # counters of loops that have ended
    arms: dict[tuple[int, int, int, int], str] = field(default_factory=dict)  # conditional expressions' types

    def expression(self, node: ast.expr, want: str = "") -> ir.Expr:
        """The expression; a literal takes the type `want`. RefusedError if it is none or of another type."""
        found = self._visit(node, want)
        if want and found.type != want:
            raise RefusedError(node, f"this is {found.type}, {want} is needed", _conversion(want))
        return found

    def condition(self, node: ast.expr) -> ir.Expr:
        found = self._visit(node, "")
        if found.type != "bool":
            raise RefusedError(
                node, f"a condition is needed, this is {found.type}", "compare, such as x != 0"
            )
        return found

    def number(self, node: ast.expr, want: str = "") -> ir.Expr:
        found = self.expression(node, want)
        if found.type not in NUMBERS:
            raise RefusedError(node, f"a number is needed, this is {found.type}", "write i32(x < y), or x[i]")
        return found

    def _visit(self, node: ast.expr, want: str) -> ir.Expr:
        value = self.literal(node)
        if value is not None:
            return _typed(node, value, want)
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Subscript():
                return self._element(node)
            case ast.BinOp():
                return self._binary(node, want)
            case ast.UnaryOp(op=ast.Not()):
                return ir.Unary("bool", "not", self.condition(node.operand))
            case ast.UnaryOp(op=ast.USub() | ast.Invert()):
                inner = self.number(node.operand, want if want in NUMBERS else "")
                if isinstance(node.op, ast.Invert) and inner.type not in ir.INTEGERS:
                    raise RefusedError(node, f"~ of {inner.type}", "use it on i32 or u32")
                return ir.Unary(inner.type, "neg" if isinstance(node.op, ast.USub) else "inv", inner)
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                op = "and" if isinstance(node.op, ast.And) else "or"
                parts = [self.condition(value) for value in node.values]
                found = parts[0]
                for part in parts[1:]:
                    found = ir.Logic("bool", op, found, part)
                return found
            case ast.IfExp():
                condition = self.condition(node.test)
                then, other = self.pair(node, node.body, node.orelse, want)
                self.arms[place(node)] = then.type
                return ir.Select(then.type, condition, then, other)
            case ast.Call():
                return self.call(node, want)
        raise refused(node)

    def literal(self, node: ast.expr) -> int | float | None:
        """The value of a literal, also a negative one or a constant of the file."""
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign, node = (-1 if isinstance(node.op, ast.USub) else 1), node.operand
        if isinstance(node, ast.Name) and node.id not in self.types and node.id not in self.params:
            value = self.constants.get(node.id)
            return None if value is None else sign * value
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return sign * node.value  # type: ignore[operator,return-value]  # a number, as was just seen
        return None

    def _name(self, node: ast.Name) -> ir.Expr:
        param = self.params.get(node.id)
        if param is not None and param.dir:
            return ir.Var(param.type, node.id)
        if node.id in self.types:
            if node.id not in self.certain:
                raise RefusedError(
                    node, f"{node.id} may have no value here", "assign it before the loop or if"
                )
            return ir.Var(self.types[node.id], node.id)
        raise RefusedError(node, f"{node.id} is not known here", "assign it first, or make it a parameter")

    def array(self, node: ast.expr) -> ir.Param:
        """The array parameter that is named."""
        param = self.params.get(node.id) if isinstance(node, ast.Name) else None
        if param is None or not param.dir:
            raise RefusedError(node, "only array parameters have elements", "declare it, such as x: In[f32]")
        return param

    def _element(self, node: ast.Subscript) -> ir.Expr:
        param = self.array(node.value)
        return ir.Load(promoted(param.element), param.name, param.element, self.index(node.slice))

    def index(self, node: ast.expr) -> ir.Expr:
        """An index: i32 or u32, not a slice."""
        if isinstance(node, ast.Slice | ast.Tuple):
            raise RefusedError(node, "slices and several indices are not supported", "write a[y * width + x]")
        value = self.literal(node)
        if value is not None and value < 0:
            raise RefusedError(node, "negative indices are not supported", "write a[n - 1]")
        found = self.number(node)
        if found.type not in ir.INTEGERS:
            raise RefusedError(node, f"an index is i32 or u32, this is {found.type}", "write a[i32(x)]")
        return found

    def pair(self, node: ast.AST, left: ast.expr, right: ast.expr, want: str) -> tuple[ir.Expr, ir.Expr]:
        """Two sides in their common type; a literal takes the other side's."""
        if self._adapts(left) and not self._adapts(right):
            second = self.number(right)
            return self.number(left, second.type), second
        first = self.number(left, want if self._adapts(left) else "")
        second = self.number(right, first.type if self._adapts(right) else "")
        if first.type != second.type:
            what = f"the sides are {first.type} and {second.type}"
            raise RefusedError(
                node, what, _conversion(first.type if first.type in ir.FLOATS else second.type)
            )
        return first, second

    def _adapts(self, node: ast.expr) -> bool:
        """Whether the wanted type decides, as both arms may be literals: `0.5 if x < y else 1.5`."""
        if isinstance(node, ast.IfExp):
            return self._adapts(node.body) and self._adapts(node.orelse)
        return self.literal(node) is not None

    def _binary(self, node: ast.BinOp, want: str) -> ir.Expr:
        op = OPERATORS.get(type(node.op))
        if op is None:
            raise refused(node.op, node)
        left, right = self.pair(node, node.left, node.right, "")
        if op == "div" and left.type in ir.INTEGERS:
            raise RefusedError(node, "/ of integers", "write a // b, or f32(a) / f32(b)")
        if op in WHOLE_ONLY and left.type in ir.FLOATS:
            raise RefusedError(node, f"this operator is for integers, not {left.type}", "convert with i32(x)")
        if op in ("shl", "shr") and isinstance(right, ir.Const) and not 0 <= right.value <= 31:
            raise RefusedError(node, f"a shift by {right.value}", "shift by 0 to 31")
        if op in ("floordiv", "mod") and isinstance(right, ir.Const) and right.value == 0:
            raise RefusedError(node, "division by 0", "divide by another number")
        return ir.Binary(left.type, op, left, right)

    def _compare(self, node: ast.Compare) -> ir.Expr:
        sides = [node.left, *node.comparators]
        found: ir.Expr | None = None
        for op, left, right in zip(node.ops, sides, sides[1:], strict=False):
            name = COMPARISONS.get(type(op))
            if name is None:
                raise RefusedError(
                    node, "`in` and `is` are not supported", "write a loop, or compare numbers"
                )
            one = ir.Compare("bool", name, *self.pair(node, left, right, ""))
            found = one if found is None else ir.Logic("bool", "and", found, one)
        assert found is not None
        return found

    def call(self, node: ast.Call, want: str = "") -> ir.Expr:
        """A conversion, a builtin, or a function of the file."""
        if node.keywords:
            raise RefusedError(node, "keyword arguments are not supported", "pass arguments in order")
        if isinstance(node.func, ast.Attribute) and node.func.attr == "bit_count" and not node.args:
            value = self.number(node.func.value)
            if value.type not in ir.INTEGERS:
                raise RefusedError(node, f"bit_count of {value.type}", "use it on i32 or u32")
            return ir.Unary("i32", "popcount", value)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        count = len(node.args)
        if name in NUMBERS | NARROW and count == 1:
            return self._convert(node, name)
        if name in ("min", "max") and count >= 2:
            left: ast.expr = node.args[0]
            found, second = self.pair(node, left, node.args[1], want)
            found = ir.Binary(found.type, name, found, second)
            for more in node.args[2:]:
                found = ir.Binary(found.type, name, found, self.number(more, found.type))
            return found
        if name in ("abs", "sqrt") and count == 1:
            value = self.number(node.args[0], want if name == "sqrt" else "")
            if name == "sqrt" and value.type not in ir.FLOATS:
                raise RefusedError(node, f"sqrt of {value.type}", "write sqrt(f32(x))")
            return value if value.type == "u32" else ir.Unary(value.type, name, value)
        if name == "len":
            raise RefusedError(node, "len() is not supported", "take the length as a parameter n: i32")
        function = self.functions.get(name)
        if function is None:
            what = f"{name or 'this'} cannot be called" if count or not name else f"{name}() is not known"
            raise RefusedError(
                node, what, "call min, max, abs, sqrt, a type, or a function above in this file"
            )
        return self._function(node, function)

    def _convert(self, node: ast.Call, name: str) -> ir.Expr:
        inner = node.args[0]
        value = self.literal(inner)
        if value is not None and name in NUMBERS:
            return _typed(inner, value, name)
        found = self._visit(inner, "")
        if found.type == "bool" and name == "i32":
            return ir.Select("i32", found, ir.integer(1), ir.integer(0))
        if found.type not in NUMBERS:
            raise RefusedError(node, f"{name}() of {found.type}", "convert a number; i32() of a condition")
        if found.type == name:
            return found
        if name in NARROW:
            if found.type in ir.FLOATS:
                raise RefusedError(node, f"{name}() of {found.type}", f"write {name}(i32(x))")
            return ir.Convert("i32", name, found)
        return ir.Convert(name, name, found)

    def _function(self, node: ast.Call, function: ir.Function) -> ir.Expr:
        if len(node.args) != len(function.params):
            what = f"{function.name} takes {len(function.params)} arguments, not {len(node.args)}"
            raise RefusedError(node, what, "pass what its definition lists")
        arguments: list[ir.Expr] = []
        for given, param in zip(node.args, function.params, strict=True):
            if not param.dir:
                arguments.append(self.number(given, param.type))
                continue
            array = self.array(given)
            if array.type != param.type or (param.dir != "in" and array.dir == "in"):
                what = f"{param.name} is {param.dir} {param.type}, {array.name} is {array.dir} {array.type}"
                raise RefusedError(given, what, "pass an array of that kind")
            if any(isinstance(a, ir.Var) and a.name == array.name for a in arguments):
                raise RefusedError(given, f"{array.name} is passed twice", "arrays must not overlap")
            arguments.append(ir.Var(array.type, array.name))
        return ir.Call(function.returns, function.name, tuple(arguments))


def place(node: ast.AST) -> tuple[int, int, int, int]:
    """Where a node stands, which tells it from every other of its kind."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def promoted(element: str) -> str:
    """The type of an element once it is read."""
    return "i32" if element in NARROW else element


def refused(node: ast.AST, at: ast.AST | None = None) -> RefusedError:
    remedy = REMEDIES.get(type(node), "see kernels_wasm/forge/LANGUAGE.md for what a function may use")
    return RefusedError(at or node, f"{type(node).__name__} is not supported", remedy)


def _conversion(kind: str) -> str:
    return f"convert with {kind}(x)" if kind in NUMBERS else "pass the array itself"


def _typed(node: ast.AST, value: int | float, want: str) -> ir.Const:
    """A literal in the wanted type, or in its own."""
    kind = want if want in NUMBERS else "f64" if isinstance(value, float) else "i32"
    if kind in ir.FLOATS:
        return ir.Const(kind, float(value))
    if isinstance(value, float):
        raise RefusedError(node, f"{value} is not {kind}", f"write f32(…), or a whole number as {kind}")
    low, high = RANGES[kind]
    if not low <= value <= high:
        raise RefusedError(node, f"{value} does not fit {kind}", "write u32(…), or a smaller number")
    return ir.Const(kind, value)
