"""Which values an integer expression can have, and simpler expressions of the same meaning."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from kernels_wasm.translate import ir
from kernels_wasm.translate.language import ELEMENTS

Range = tuple[int, int]
FULL: dict[str, Range] = {"i32": (-(1 << 31), (1 << 31) - 1), "u32": (0, (1 << 32) - 1)}
SWAPPED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def of_element(element: str) -> Range:
    bits, signed = ELEMENTS[element]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def exact(node: ir.Binary) -> Range | None:
    """Range of a sum, difference or product before it is cut; None for other operators."""
    (a, b), (c, d) = of(node.left), of(node.right)
    match node.op:
        case "add":
            return a + c, b + d
        case "sub":
            return a - d, b - c
        case "mul":
            corners = (a * c, a * d, b * c, b * d)
            return min(corners), max(corners)
        case "shl" if isinstance(node.right, ir.Const):
            return a << int(node.right.value), b << int(node.right.value)
    return None


def mixed(node: ir.Binary) -> Range | None:
    """Range of x * t + y * (k - t) with 0 <= t <= k, which lies between x * k and y * k."""
    if node.op != "add":
        return None
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if not (isinstance(one, ir.Binary) and isinstance(other, ir.Binary) and one.op == other.op == "mul"):
            return None
        if wraps(one) or wraps(other):
            return None
        for x, t in ((one.left, one.right), (one.right, one.left)):
            for y, rest in ((other.left, other.right), (other.right, other.left)):
                match rest:
                    case ir.Binary(op="sub", left=ir.Const(value=k), right=part) if part == t:
                        (a, b), (c, d), (low, high) = of(x), of(y), of(t)
                        if low >= 0 and high <= k:
                            return min(a, c) * int(k), max(b, d) * int(k)
    return None


def wraps(node: ir.Binary) -> bool:
    """Whether the operation may leave its type."""
    found, (low, high) = mixed(node) or exact(node), FULL[node.type]
    return found is None or not (low <= found[0] and found[1] <= high)


@lru_cache(maxsize=1 << 16)
def of(node: ir.Expr) -> Range:
    """Least and greatest value of an integer expression."""
    full = FULL[node.type]
    match node:
        case ir.Const():
            return int(node.value), int(node.value)
        case ir.Load() if node.element in ELEMENTS:
            return of_element(node.element)
        case ir.Convert():
            return _converted(node)
        case ir.Unary(op="popcount"):
            low, high = of(node.value)
            return 0, max(high.bit_length(), 1) if low >= 0 else 32
        case ir.Unary(op="abs"):
            low, high = of(node.value)
            if low > -(1 << 31):
                return (max(low, 0, -high) if low > 0 or high < 0 else 0), max(abs(low), abs(high))
        case ir.Unary(op="neg"):
            low, high = of(node.value)
            if full[0] <= -high and -low <= full[1]:
                return -high, -low
        case ir.Unary(op="inv") if node.type == "i32":
            low, high = of(node.value)
            return ~high, ~low
        case ir.Select():
            (a, b), (c, d) = of(node.then), of(node.other)
            return min(a, c), max(b, d)
        case ir.Binary():
            return _binary(node)
    return full


def _binary(node: ir.Binary) -> Range:
    full = FULL[node.type]
    (a, b), (c, d) = of(node.left), of(node.right)
    match node.op:
        case "add" | "sub" | "mul" | "shl":
            found = mixed(node) or exact(node)
            return full if found is None or wraps(node) else found
        case "min":
            return min(a, c), min(b, d)
        case "max":
            return max(a, c), max(b, d)
        case "and" if a >= 0 or c >= 0:
            return 0, min(high for low, high in ((a, b), (c, d)) if low >= 0)
        case "or" | "xor" if a >= 0 and c >= 0:
            return 0, (1 << max(b.bit_length(), d.bit_length())) - 1
        case "shr" if isinstance(node.right, ir.Const):
            return a >> int(node.right.value), b >> int(node.right.value)
        case "floordiv" if isinstance(node.right, ir.Const) and c > 0:
            return a // c, b // c
        case "mod" if isinstance(node.right, ir.Const) and c > 0:
            return 0, c - 1
    return full


def _converted(node: ir.Convert) -> Range:
    if node.value.type not in FULL:
        return FULL[node.type]
    low, high = of_element(node.to)
    inner = of(node.value)
    return inner if low <= inner[0] and inner[1] <= high else (low, high)


def simplified(node: ir.Expr) -> ir.Expr:
    """The same value in a form that vectors have: min and max for choices, shifts for divisions."""
    return ir.rebuilt(node, _simpler)  # type: ignore[no-any-return]  # an expression stays one


def _simpler(node: ir.Expr) -> ir.Expr:
    match node:
        case ir.Select(condition=ir.Compare() as test) if node.type in FULL:
            op = test.op
            sides = (test.left, test.right)
            if op in ("lt", "le", "gt", "ge") and sides in ((node.then, node.other), (node.other, node.then)):
                least = (op in ("lt", "le")) == (sides[0] == node.then)
                return ir.Binary(node.type, "min" if least else "max", test.left, test.right)
        case ir.Select(condition=ir.Compare() as test) if node.type in ir.FLOATS:
            # min(a, b) is `b if b < a else a`: which side a NaN or an equal value falls to must agree.
            for one in (test, replace(test, op=SWAPPED[test.op], left=test.right, right=test.left)):
                if one.left == node.then and one.right == node.other and one.op in ("lt", "gt"):
                    op = "min" if one.op == "lt" else "max"
                    return ir.Binary(node.type, op, node.other, node.then)
        case ir.Binary(op="floordiv", right=ir.Const(value=divisor)) if divisor > 0:
            return _divided(node, int(divisor))
        case ir.Binary(op="mod", right=ir.Const(value=divisor)) if divisor > 0:
            if divisor & (divisor - 1) == 0:  # type: ignore[operator]  # a whole number
                return ir.Binary(node.type, "and", node.left, ir.Const(node.type, divisor - 1))
            quotient = _divided(ir.Binary(node.type, "floordiv", node.left, node.right), int(divisor))
            back = ir.Binary(node.type, "mul", quotient, node.right)
            return ir.Binary(node.type, "sub", node.left, back)
        case ir.Convert() if node.value.type in FULL and node.to in ELEMENTS:
            low, high = of_element(node.to)
            inner = of(node.value)
            if node.type == node.value.type and low <= inner[0] and inner[1] <= high:
                return node.value
            if node.to == "u8":
                return ir.Binary("i32", "and", _signed(node.value), ir.integer(255))
            if node.to == "u16":
                return ir.Binary("i32", "and", _signed(node.value), ir.integer(65535))
    return node


def _signed(node: ir.Expr) -> ir.Expr:
    return node if node.type == "i32" else ir.Convert("i32", "i32", node)


def _divided(node: ir.Binary, divisor: int) -> ir.Expr:
    """x // c as a shift, or for small x as (x * m) >> s, which is exact while x * (m * c - 2**s) < 2**s."""
    if divisor & (divisor - 1) == 0:
        return ir.Binary(node.type, "shr", node.left, ir.Const(node.type, divisor.bit_length() - 1))
    low, high = of(node.left)
    if low < 0:
        return node
    bits = (divisor + 1).bit_length() - 1
    if divisor == (1 << bits) - 1 and bits <= 8 and high < divisor << bits:
        return _almost_power(node.left, bits)
    for shift in range(31, 0, -1):
        factor = -(-(1 << shift) // divisor)
        if high * factor < 1 << 32 and high * (factor * divisor - (1 << shift)) < 1 << shift:
            wide = node.left if node.type == "u32" else ir.Convert("u32", "u32", node.left)
            product = ir.Binary("u32", "mul", wide, ir.Const("u32", factor))
            quotient = ir.Binary("u32", "shr", product, ir.Const("u32", shift))
            return quotient if node.type == "u32" else ir.Convert("i32", "i32", quotient)
    return node


def _almost_power(x: ir.Expr, bits: int) -> ir.Expr:
    """x // (2**k - 1) as (x + 1 + (x >> k)) >> k, exact for 0 <= x < (2**k - 1) * 2**k."""
    shift = ir.Const(x.type, bits)
    near = ir.Binary(
        x.type, "add", ir.Binary(x.type, "add", x, ir.Const(x.type, 1)), ir.Binary(x.type, "shr", x, shift)
    )
    return ir.Binary(x.type, "shr", near, shift)
