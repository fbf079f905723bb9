"""Rewrites of one loop without vectors: several accumulators, totals of four at a time, bulk instructions, counters
of their own for neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kernels_wasm.forge import to_c
from kernels_wasm.forge.loops import CannotError, linear
from kernels_wasm.forge.plans import plan
from kernels_wasm.forge.reductions import Reduction
from kernels_wasm.translate import ir
from kernels_wasm.translate.printing import Printer, bare

LARGEST_TABLE = 1024  # counters that fit the stack three times


def _heads(loop: ir.For, tag: str) -> tuple[str, str, list[str]]:
    """Names of the counter and the end, and the lines that declare them."""
    assert loop.start is not None
    counter, stop = f"{loop.variable}_at{tag}", f"{loop.variable}_stop{tag}"
    lines = [f"i32 {to_c.name(counter)} = {bare(to_c.expression(loop.start))};",
             f"const i32 {to_c.name(stop)} = {bare(to_c.expression(loop.stop))};"]  # fmt: skip
    return counter, stop, lines


def _tail(loop: ir.For, counter: str, stop: str) -> ir.For:
    body = tuple(ir.substituted(s, {loop.variable: ir.Var("i32", counter)}) for s in loop.body)
    return ir.For(counter, None, ir.Var("i32", stop), 1, body)


def _while(counter: str, stop: str, step: int, body: Sequence[str]) -> list[str]:
    at = to_c.name(counter)
    return ["#pragma clang loop unroll(disable)", f"while ((i64){to_c.name(stop)} - {at} >= {step}) {{",
            *(f"  {line}" for line in body), f"  {at} += {step};", "}"]  # fmt: skip


def accumulators(
    loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str], tag: str, count: int
) -> tuple[tuple[ir.Stmt, ...], bool]:
    """`count` rounds at a time, each with accumulators of its own, joined at the end."""
    made = plan(loop, functions, outside)
    if not made.reductions or made.scans or made.round.exits or len(made.counters) > 1:
        raise CannotError("it has no reductions alone")
    counter, stop, head = _heads(loop, tag)
    types = {n.name: n.type for s in loop.body for n in ir.walk(s) if isinstance(n, ir.Assign)}
    temporaries = {name: kind for name, kind in types.items() if name not in made.reductions}
    if temporaries.keys() & outside:
        raise CannotError("a value of the last round matters afterwards")
    lines = [f"{r.type} {to_c.name(_own(name, tag, k))} = {_identity(r)};"
             for name, r in made.reductions.items() for k in range(1, count)]  # fmt: skip
    body: list[str] = []
    for k in range(count):
        here = ir.add(ir.Var("i32", counter), ir.integer(k))
        names = {name: _own(name, tag, k) for name in made.reductions} if k else {}
        rounds = [_with_names(ir.substituted(s, {loop.variable: here}), names) for s in loop.body]
        body += ["{", *Printer(to_c.LANGUAGE, dict(temporaries)).block(rounds, 1), "}"]
    lines += _while(counter, stop, count, body)
    for name, reduction in made.reductions.items():
        word = to_c.name(name)
        others = [to_c.name(_own(name, tag, k)) for k in range(1, count)]
        lines += [f"{word} = {_joined(reduction, word, other)};" for other in others]
    return (ir.Raw("\n".join(head)), ir.Raw("\n".join(lines)), _tail(loop, counter, stop)), made.reassociates


def _own(name: str, tag: str, number: int) -> str:
    return f"${name}_{tag}_{number}"


def _with_names(node: ir.Stmt, names: Mapping[str, str]) -> ir.Stmt:
    """The statement with variables called otherwise, read and written."""

    def change(part: ir.Expr | ir.Stmt) -> ir.Expr | ir.Stmt:
        if isinstance(part, ir.Var | ir.Assign) and part.name in names:
            return replace(part, name=names[part.name])
        return part

    return ir.rebuilt(node, change)  # type: ignore[no-any-return]  # a statement stays one


def _identity(reduction: Reduction) -> str:
    if reduction.op in ("min", "max"):
        return to_c.name(reduction.name)
    if reduction.op == "and":
        return f"({reduction.type})-1"
    return "-0.0f" if reduction.type == "f32" else "-0.0" if reduction.type == "f64" else "0"


def _joined(reduction: Reduction, one: str, other: str) -> str:
    symbol = {"add": "+", "and": "&", "or": "|", "xor": "^"}.get(reduction.op)
    return f"{one} {symbol} {other}" if symbol else f"{reduction.op}_{reduction.type}({one}, {other})"


def totals(
    loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str], tag: str
) -> tuple[tuple[ir.Stmt, ...], bool]:
    """A running total of four rounds at a time: neighbours are added first, so that only one addition waits."""
    made = plan(loop, functions, outside)
    if len(made.scans) != 1 or made.reductions or made.round.exits or len(made.counters) > 1 or made.leave:
        raise CannotError("it has no running total alone")
    if any(w.mask is not None for w in made.round.writes):
        raise CannotError("it stores under a condition")
    [scan] = made.scans.values()
    counter, stop, head = _heads(loop, tag)
    kind, word = scan.whole.type, to_c.name(scan.name)
    e, s = [f"add{k}_{tag}_" for k in range(4)], [f"sum{k}_{tag}_" for k in range(4)]
    sums = [{scan.after.name: ir.Var(kind, f"$sum{k}_{tag}")} for k in range(4)]
    body = [f"const {kind} {e[k]} = {_at(scan.value, loop, counter, k, {})};" for k in range(4)]
    body += [f"const {kind} pair_{tag}_ = {e[0]} + {e[1]};",
             f"const {kind} {s[0]} = {word} + {e[0]};", f"const {kind} {s[1]} = {word} + pair_{tag}_;",
             f"const {kind} {s[2]} = {s[1]} + {e[2]};",
             f"const {kind} {s[3]} = {word} + (pair_{tag}_ + ({e[2]} + {e[3]}));", f"{word} = {s[3]};"]  # fmt: skip
    # Loads of all four rounds come first where rounds do not meet: the plan has seen to that.
    for k in range(4):
        for number, write in enumerate(made.round.writes):
            body.append(
                f"const {write.value.type} out{number}{k}_{tag}_ = {_at(write.value, loop, counter, k, sums[k])};"
            )
    for k in range(4):
        for number, write in enumerate(made.round.writes):
            index = _at(write.index, loop, counter, k, sums[k])
            body.append(f"{to_c.name(write.array)}[{index}] = out{number}{k}_{tag}_;")
    lines = _while(counter, stop, 4, body)
    return (ir.Raw("\n".join(head)), ir.Raw("\n".join(lines)), _tail(loop, counter, stop)), False


def _at(node: ir.Expr, loop: ir.For, counter: str, k: int, known: Mapping[str, ir.Expr]) -> str:
    here = ir.add(ir.Var("i32", counter), ir.integer(k))
    text = to_c.expression(ir.substituted(node, {loop.variable: here, **known}))
    return bare(text)


def bulk(
    loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str], tag: str
) -> tuple[tuple[ir.Stmt, ...], bool]:
    """A loop that copies or fills as memory.copy or memory.fill."""
    made = plan(loop, functions, outside)
    if made.reductions or made.scans or made.round.exits or made.leave or len(made.round.writes) != 1:
        raise CannotError("it does more than copy or fill")
    [write] = made.round.writes
    width = ir.BYTES[write.element]
    if write.mask is not None or made.stride(write.index) != 1:
        raise CannotError("it does not write one element after another")
    counter, stop, head = _heads(loop, tag)
    first = {loop.variable: ir.Var("i32", counter)}
    to = f"{to_c.name(write.array)} + {to_c.expression(ir.substituted(write.index, first))}"
    count = f"(u32)({to_c.name(stop)} - {to_c.name(counter)}) * {width}u"
    value = write.value
    if isinstance(value, ir.Load) and value.element == write.element and made.stride(value.index) == 1:
        source = f"{to_c.name(value.array)} + {to_c.expression(ir.substituted(value.index, first))}"
        call = f"__builtin_memcpy({to}, {source}, {count});"
    elif not made.varies(value) and (width == 1 or _zero(value)):
        call = f"__builtin_memset({to}, (u8)({to_c.expression(value)}), {count});"
    else:
        raise CannotError("it does more than copy or fill")
    line = f"if ({to_c.name(counter)} < {to_c.name(stop)}) {call}"
    return (ir.Raw("\n".join([*head, line])),), False


def _zero(value: ir.Expr) -> bool:
    return isinstance(value, ir.Const) and str(float(value.value)) == "0.0"


def private_counters(loop: ir.For, tag: str, lengths: Mapping[str, int]) -> tuple[ir.Stmt, ...]:
    """`counts[x] += c` into four tables in turn, so that equal neighbours do not wait for one another."""
    if loop.step != 1 or loop.start is None or len(loop.body) != 1 or not isinstance(loop.body[0], ir.Store):
        raise CannotError("it does not only count")
    store = loop.body[0]
    match store.value:
        case ir.Binary(op="add", left=ir.Load() as old, right=more) if old.array == store.array:
            pass
        case _:
            raise CannotError("it does not only count")
    if (
        old.index != store.index
        or store.array in ir.loaded(store.index, more)
        or store.element not in ir.INTEGERS
    ):
        raise CannotError("it does not only count")
    size = lengths.get(store.array, 0)
    if not 0 < size <= LARGEST_TABLE:
        raise CannotError(f"the length of {store.array} is not a small constant")
    counter, stop, head = _heads(loop, tag)
    table, array = f"more{tag}_", to_c.name(store.array)
    lines = [f"{store.element} {table}[{3 * size}];",
             f"for (i32 k = 0; k < {3 * size}; k++) {table}[k] = 0;"]  # fmt: skip
    body = _word_of_bytes(store, loop, counter)
    for k in range(4):
        here = ir.add(ir.Var("i32", counter), ir.integer(k))
        index = bare(to_c.expression(ir.substituted(store.index, {loop.variable: here})))
        if body:
            index = f"{f'word_ >> {8 * k}' if k else 'word_'}{' & 255' if k < 3 else ''}"
        added = to_c.expression(ir.substituted(more, {loop.variable: here}))
        target = f"{table}[{(k - 1) * size} + ({index})]" if k else f"{array}[{index}]"
        body.append(f"{target} += {added};")
    lines += _while(counter, stop, 4, body)
    joined = " + ".join(f"{table}[k + {size * t}]" if t else f"{table}[k]" for t in range(3))
    lines.append(f"for (i32 k = 0; k < {size}; k++) {array}[k] += {joined};")
    return (ir.Raw("\n".join(head)), ir.Raw("\n".join(lines)), _tail(loop, counter, stop))


def _word_of_bytes(store: ir.Store, loop: ir.For, counter: str) -> list[str]:
    """One load of four bytes, where the index is just a byte."""
    index = store.index
    own = ((ir.Var("i32", loop.variable), 1),)
    if not (isinstance(index, ir.Load) and index.element == "u8" and linear(index.index)[0] == own):
        return []
    base = to_c.expression(ir.substituted(index.index, {loop.variable: ir.Var("i32", counter)}))
    return [
        "typedef u32 __attribute__((aligned(1), may_alias)) word_of_bytes;",
        f"const u32 word_ = *(const word_of_bytes *)({to_c.name(index.array)} + {base});",
    ]
