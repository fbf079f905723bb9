"""The program as C for a freestanding wasm32 compiler."""

from __future__ import annotations

from kernels_wasm.translate import ir
from kernels_wasm.translate.language import rounded
from kernels_wasm.translate.printing import SYMBOLS, Language, Printer, bare, power_of_two, variables

PRELUDE = """\
typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
#define EXPORT __attribute__((export_name("run"), visibility("default")))
#define INLINE static inline __attribute__((always_inline, unused))
#define LIMITS(type) \\
  INLINE type min_##type(type a, type b) { return b < a ? b : a; } \\
  INLINE type max_##type(type a, type b) { return b > a ? b : a; }
LIMITS(i32) LIMITS(u32) LIMITS(f32) LIMITS(f64)
INLINE i32 abs_i32(i32 a) { return a < 0 ? -a : a; }
/* Division rounds down and traps for 0. */
INLINE i32 floordiv_i32(i32 a, i32 b) {
  if (b == 0) __builtin_trap();
  if (b == -1) return -a;
  return a / b - ((a % b != 0) & ((a ^ b) < 0));
}
INLINE i32 mod_i32(i32 a, i32 b) {
  if (b == 0) __builtin_trap();
  if (b == -1) return 0;
  i32 rest = a % b;
  return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;
}
INLINE u32 floordiv_u32(u32 a, u32 b) {
  if (b == 0) __builtin_trap();
  return a / b;
}
INLINE u32 mod_u32(u32 a, u32 b) {
  if (b == 0) __builtin_trap();
  return a % b;
}
"""
RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    asm typeof i8 u8 i16 u16 i32 u32 i64 u64 f32 f64 EXPORT INLINE LIMITS run v128_t memset memcpy memmove
    """.split()  # noqa: SIM905 (a list of words)
)


def name(word: str) -> str:
    """A variable's name in C: its own where that is free. `$x` is a rewrite's own variable, `x_`."""
    if word.startswith("$"):
        return f"{word[1:]}_"
    taken = word in RESERVED or word.startswith(("_", "wasm_", "min_", "max_", "abs_", "floordiv_", "mod_"))
    return f"{word}_own" if taken or word.endswith(("_own", "_")) else word


def constant(node: ir.Const) -> str:
    if node.type == "f32":
        value = rounded(float(node.value))
        return f"{value!r}f" if value == value and abs(value) != float("inf") else _special(value) + "f"
    if node.type == "f64":
        value = float(node.value)
        return repr(value) if value == value and abs(value) != float("inf") else _special(value)
    if node.type == "u32":
        return f"{node.value}u"
    return str(node.value) if node.value > -(1 << 31) else "(-2147483647 - 1)"


def _special(value: float) -> str:
    return "(-1.0 / 0.0)" if value < 0 else "(1.0 / 0.0)"


def expression(node: ir.Expr) -> str:
    """One expression, in parentheses where it needs them."""
    match node:
        case ir.Const():
            text = constant(node)
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
            return f"({expression(node.left)} {SYMBOLS[node.op]} {expression(node.right)})"
        case ir.Logic():
            return f"({expression(node.left)} {'&&' if node.op == 'and' else '||'} {expression(node.right)})"
        case ir.Select():
            parts = (node.condition, node.then, node.other)
            return "({} ? {} : {})".format(*map(expression, parts))
        case ir.Call():
            return f"{name(node.name)}({', '.join(bare(expression(a)) for a in node.arguments)})"
    raise AssertionError(node)


def _binary(node: ir.Binary) -> str:
    left, right = expression(node.left), expression(node.right)
    if node.op in SYMBOLS:
        return f"({left} {SYMBOLS[node.op]} {right})"
    if node.op in ("shl", "shr"):
        count = right if isinstance(node.right, ir.Const) else f"({right} & 31)"
        return f"({left} {'<<' if node.op == 'shl' else '>>'} {count})"
    power = power_of_two(node.right)
    if node.op == "floordiv" and power is not None:
        return f"({left} >> {power})"
    if node.op == "mod" and power is not None:
        return f"({left} & {(1 << power) - 1})"
    return f"{node.op}_{node.type}({bare(left)}, {bare(right)})"


def _unary(node: ir.Unary) -> str:
    value = expression(node.value)
    if node.op in ("neg", "inv", "not"):
        return f"({'-~!'[('neg', 'inv', 'not').index(node.op)]}{value})"
    if node.op == "popcount":
        return f"__builtin_popcount({bare(value)})"
    if node.op == "abs" and node.type == "i32":
        return f"abs_i32({bare(value)})"
    return f"__builtin_{'fabs' if node.op == 'abs' else 'sqrt'}{'f' if node.type == 'f32' else ''}({bare(value)})"


def _convert(node: ir.Convert) -> str:
    value, source = expression(node.value), node.value.type
    if source in ir.FLOATS and node.to in ir.INTEGERS:
        return f"(({node.to})__builtin_wasm_trunc_saturate_{node.to[0].replace('i', 's')}_i32_{source}({bare(value)}))"
    return f"(({node.to}){value})"


def _store(node: ir.Store) -> str:
    return f"{name(node.array)}[{bare(expression(node.index))}] = {bare(expression(node.value))}"


def _pragma(unroll: int) -> str:
    return (
        "#pragma clang loop unroll(disable)" if unroll == 1 else f"#pragma clang loop unroll_count({unroll})"
    )


LANGUAGE = Language(
    name, expression, lambda kind, word: f"{kind} {name(word)}", "", _store, _pragma
)  # fmt: skip
AUTOMATIC = Language(
    name, expression, LANGUAGE.declare, "", _store, lambda unroll: "" if unroll == 1 else _pragma(unroll)
)


def signature(function: ir.Function, head: str) -> str:
    params = []
    for p in function.params:
        constness = "const " if p.dir == "in" else ""
        params.append(
            f"{constness}{p.element} *restrict {name(p.name)}" if p.dir else f"{p.type} {name(p.name)}"
        )
    return f"{head}({', '.join(params)})"


def program(source: ir.Program, *, inline: bool = True, automatic: bool = False) -> str:
    """The whole file; with `automatic` the compiler decides what to unroll."""
    language = AUTOMATIC if automatic else LANGUAGE
    simd = any(isinstance(node, ir.Raw) and "wasm_" in node.text for node in ir.walk(*source.main.body))
    parts = ["#include <wasm_simd128.h>\n" if simd else "", PRELUDE]
    for table, element, values in source.tables:
        parts.append(
            f"static const {element} {name(table)}[{len(values)}] = {{{', '.join(map(str, values))}}};\n"
        )
    static = "INLINE" if inline else "static __attribute__((noinline))"
    for function in source.helpers:
        body = Printer(language, variables(function)).block(function.body, 1)
        head = signature(function, f"{static} {function.returns} {name(function.name)}")
        parts.append("\n".join([f"{head} {{", *body, "}", ""]))
    main = source.main
    body = Printer(language, variables(main)).block(main.body, 1)
    parts.append("\n".join([f"{signature(main, f'EXPORT {main.returns} run')} {{", *body, "}", ""]))
    return "\n".join(part for part in parts if part)
