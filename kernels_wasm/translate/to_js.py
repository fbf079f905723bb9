"""The program as the JavaScript that a careful developer would ship."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kernels_wasm.translate import ir
from kernels_wasm.translate.language import rounded
from kernels_wasm.translate.printing import SYMBOLS, Language, Printer, bare, power_of_two, variables

ARRAYS = {
    "i8": "Int8Array", "u8": "Uint8Array", "i16": "Int16Array", "u16": "Uint16Array",
    "i32": "Int32Array", "u32": "Uint32Array", "f32": "Float32Array", "f64": "Float64Array",
}  # fmt: skip
HELPERS = {
    "smaller": "const smaller = (a, b) => (b < a ? b : a);",
    "larger": "const larger = (a, b) => (b > a ? b : a);",
    "toI32": "const toI32 = (x) => (x >= 2147483647 ? 2147483647 : x <= -2147483648 ? -2147483648 : x | 0);",
    "toU32": "const toU32 = (x) => (x >= 4294967295 ? 4294967295 : x > 0 ? x >>> 0 : 0);",
    "popcount": """\
function popcount(x) {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}""",
    "floorDiv": """\
function floorDiv(a, b) {
  if (b === 0) throw new RangeError("division by 0");
  return Math.floor(a / b);
}""",
    "floorMod": """\
function floorMod(a, b) {
  if (b === 0) throw new RangeError("division by 0");
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}""",
}
RESERVED = frozenset(
    """
    arguments await break case catch class const continue debugger default delete do else enum eval export
    extends false finally for function if implements import in instanceof interface let new null package
    private protected public return static super switch this throw true try typeof var void while with yield
    js jsTuned makeInput Math undefined NaN Infinity RangeError adapters
    """.split()  # noqa: SIM905 (a list of words)
) | frozenset(HELPERS) | frozenset(ARRAYS.values())  # fmt: skip


def name(word: str) -> str:
    """A variable's name in JavaScript: its own where that is free."""
    return f"{word}_" if word in RESERVED or word.endswith("_") else word


def cut(kind: str, text: str) -> str:
    """The value of an operation on numbers, brought back to its type."""
    if kind == "f32":
        return f"Math.fround({bare(text)})"
    return text if kind in ("f64", "bool") else f"({text} {'|' if kind == 'i32' else '>>>'} 0)"


def expression(node: ir.Expr) -> str:
    """One expression, in parentheses where it needs them."""
    match node:
        case ir.Const():
            value = rounded(float(node.value)) if node.type == "f32" else node.value
            text = repr(value).removesuffix(".0")
            text = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(text, text)
            return f"({text})" if text.startswith("-") else text
        case ir.Var():
            return name(node.name)
        case ir.Load():
            return f"{name(node.array)}[{bare(expression(node.index))}]"
        case ir.Binary():
            return _binary(node)
        case ir.Unary():
            return _unary(node)
        case ir.Convert():
            return _convert(node)
        case ir.Compare():
            symbol = {"eq": "===", "ne": "!=="}.get(node.op) or SYMBOLS[node.op]
            return f"({expression(node.left)} {symbol} {expression(node.right)})"
        case ir.Logic():
            return f"({expression(node.left)} {'&&' if node.op == 'and' else '||'} {expression(node.right)})"
        case ir.Select():
            return "({} ? {} : {})".format(*map(expression, (node.condition, node.then, node.other)))
        case ir.Call():
            return f"{name(node.name)}({', '.join(bare(expression(a)) for a in node.arguments)})"
    raise AssertionError(node)


def _binary(node: ir.Binary) -> str:
    left, right = expression(node.left), expression(node.right)
    whole = node.type in ir.INTEGERS
    if node.op in ("min", "max"):
        if whole:
            return f"Math.{node.op}({bare(left)}, {bare(right)})"
        return f"{'smaller' if node.op == 'min' else 'larger'}({bare(left)}, {bare(right)})"
    if node.op == "mul" and whole:
        factors = [s.value for s in (node.left, node.right) if isinstance(s, ir.Const)]
        if any(0 < abs(factor) < 1 << 21 for factor in factors):  # the product is exact in a double
            return cut(node.type, f"({left} * {right})")
        product = f"Math.imul({bare(left)}, {bare(right)})"
        return product if node.type == "i32" else f"({product} >>> 0)"
    if node.op == "shr" and whole:
        return f"({left} {'>>' if node.type == 'i32' else '>>>'} {right})"
    if node.op in ("shl", "and", "or", "xor"):
        text = f"({left} {'<<' if node.op == 'shl' else SYMBOLS[node.op]} {right})"
        return text if node.type == "i32" else f"({text} >>> 0)"
    if node.op in SYMBOLS:
        return cut(
            node.type,
            f"{left} {SYMBOLS[node.op]} {right}" if whole else f"({left} {SYMBOLS[node.op]} {right})",
        )
    power = power_of_two(node.right)
    if power is not None:
        signed = node.type == "i32"
        if node.op == "floordiv":
            return f"({left} {'>>' if signed else '>>>'} {power})"
        return cut(node.type, f"({left} & {(1 << power) - 1})")
    if node.op == "floordiv" and isinstance(node.right, ir.Const):
        return cut(node.type, f"Math.floor({left} / {right})")
    return cut(
        node.type, f"{'floorDiv' if node.op == 'floordiv' else 'floorMod'}({bare(left)}, {bare(right)})"
    )


def _unary(node: ir.Unary) -> str:
    value = expression(node.value)
    if node.op == "not":
        return f"(!{value})"
    if node.op == "neg":
        return cut(node.type, f"-{value}") if node.type in ir.INTEGERS else f"(-{value})"
    if node.op == "inv":
        return cut(node.type, f"(~{value})") if node.type == "u32" else f"(~{value})"
    if node.op == "popcount":
        return f"popcount({bare(value)})"
    if node.op == "sqrt":
        return cut(node.type, f"Math.sqrt({bare(value)})")
    return cut("i32" if node.type == "i32" else "f64", f"Math.abs({bare(value)})")


def _convert(node: ir.Convert) -> str:
    value, source = expression(node.value), node.value.type
    if source in ir.FLOATS and node.to in ir.INTEGERS:
        return f"{'toI32' if node.to == 'i32' else 'toU32'}({bare(value)})"
    match node.to:
        case "u8":
            return f"({value} & 255)"
        case "u16":
            return f"({value} & 65535)"
        case "i8":
            return f"({value} << 24 >> 24)"
        case "i16":
            return f"({value} << 16 >> 16)"
        case "f64":
            return value
    return cut(node.to, value)


LANGUAGE = Language(
    name,
    expression,
    lambda _kind, word: f"let {name(word)}",
    " = 0",
    lambda node: f"{name(node.array)}[{bare(expression(node.index))}] = {bare(expression(node.value))}",
    lambda _unroll: "",
)


def function(source: ir.Function, head: str) -> str:
    body = Printer(LANGUAGE, variables(source)).block(source.body, 1)
    # WebAssembly rounds such arguments as it takes them.
    singles = [f"  {name(p.name)} = Math.fround({name(p.name)});" for p in source.params if p.type == "f32"]
    return "\n".join(
        [f"{head}({', '.join(name(p.name) for p in source.params)}) {{", *singles, *body, "}", ""]
    )


def in_doubles(source: ir.Program) -> ir.Program | None:
    """The program with f32 values kept as doubles, as JavaScript does by itself: faster, and rounded less often.

    None if it has no f32, or if another rounding could take another way: a comparison, a conversion to integers."""
    nodes = list(ir.walk(*(s for f in (*source.helpers, source.main) for s in f.body)))
    if not any(isinstance(n, ir.Binary | ir.Unary) and n.type == "f32" for n in nodes):
        return None
    for node in nodes:
        compared = isinstance(node, ir.Compare) and node.left.type in ir.FLOATS
        cut_off = isinstance(node, ir.Convert) and node.to in ir.INTEGERS and node.value.type in ir.FLOATS
        if compared or cut_off:
            return None

    def change(node: Any) -> Any:
        if isinstance(node, ir.Convert) and node.to == "f32":
            return replace(node, type="f64", to="f64")
        return replace(node, type="f64") if getattr(node, "type", "") == "f32" else node

    def whole(one: ir.Function) -> ir.Function:
        return replace(one, body=tuple(ir.rebuilt(s, change) for s in one.body))

    return replace(source, helpers=tuple(map(whole, source.helpers)), main=whole(source.main))


def program(source: ir.Program) -> str:
    """The baseline as a module that exports `js`, and `jsTuned` where doubles do; helpers stand before them."""
    names = {helper.name for helper in source.helpers}
    parts = [function(helper, f"function {name(helper.name)}") for helper in source.helpers]
    types = [
        f" * @param {{{ARRAYS[p.element] if p.dir else 'number'}}} {name(p.name)}" for p in source.main.params
    ]
    parts.append("\n".join(["/**", *types, " */", function(source.main, "export function js")]))
    if (loose := in_doubles(source)) is not None and not names:
        head = ["/** In doubles, which are rounded only when they are stored.", *types, " */"]
        parts.append("\n".join([*head, function(loose.main, "export function jsTuned")]))
    text = "\n".join(parts)
    helpers = [code for word, code in HELPERS.items() if f"{word}(" in text]
    return "\n".join([*helpers, *([""] if helpers else []), text])
