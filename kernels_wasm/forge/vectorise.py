"""A loop as blocks of vectors with a scalar tail, when its rounds do not depend on one another.

A round that leaves the loop stops the blocks; the tail finds where.
"""

from __future__ import annotations

from kernels_wasm.forge import to_c
from kernels_wasm.forge.blocks import Block
from kernels_wasm.forge.plans import Plan
from kernels_wasm.translate import ir
from kernels_wasm.translate.printing import bare

SMALL_START = 1 << 20


def written(made: Plan, *, tag: str, unroll: int, relaxed: bool) -> tuple[ir.Stmt, ...]:
    """The loop as blocks, `unroll` at a time, and the scalar tail; `tag` tells its names from other loops'."""
    loop = made.loop
    assert loop.start is not None
    counter, stop = f"{loop.variable}_at{tag}", f"{loop.variable}_stop{tag}"
    c_name, end = to_c.name(counter), to_c.name(stop)
    renamed = {loop.variable: counter}
    names = [0]
    head = [f"i32 {c_name} = {bare(to_c.expression(loop.start))};",
            f"const i32 {end} = {bare(to_c.expression(loop.stop))};"]  # fmt: skip
    lines: list[str] = []
    for reduction in made.reductions.values():
        reduction.prepare(made, unroll, tag, lines)
    for scan in made.scans.values():
        lines += scan.prepare(tag)
    leave = made.leave
    bodies: list[tuple[int, list[str]]] = []
    for count in dict.fromkeys((unroll, 1)):
        body: list[str] = []
        blocks = []
        for number in range(count):
            block = Block(made, number, names, renamed, relaxed=relaxed)
            blocks.append(block)
            if made.round.exits:
                found = [m for e in made.round.exits for m in block.mask(e, max(4, block.least()))]
                masks = " | ".join(f"wasm_v128_any_true({m})" for m in found)
                block.lines.append(f"if ({masks}) break;")
        if made.round.exits and count > 1:
            continue  # blocks that may leave go one at a time
        for scan in made.scans.values():
            for block in blocks:
                scan.add(block, tag)
        for block in blocks:
            block.store_all(made.round.writes)
        for reduction in made.reductions.values():
            reduction.add(blocks)
        for block in blocks:
            body += block.lines
        leave = max(leave, *(int(block.slack) for block in blocks))
        for name, step in made.counters.items():
            word = to_c.name(renamed.get(name, name))
            body.append(f"{word} += {step * count * made.rounds};")
        bodies.append((count, body))
    for count, body in bodies:
        start = loop.start
        small = isinstance(start, ir.Const) and 0 <= start.value <= SMALL_START
        left = f"{end} - {c_name}" if small else f"(i64){end} - {c_name}"
        lines += ["#pragma clang loop unroll(disable)", f"while ({left} >= {count * made.rounds + leave}) {{",
                  *(f"  {line}" for line in body), "}"]  # fmt: skip
    for reduction in made.reductions.values():
        lines += reduction.finish(f"{c_name} != {bare(to_c.expression(loop.start))}")
    for scan in made.scans.values():
        lines += scan.finish(tag)
    tail_body = tuple(ir.substituted(s, {loop.variable: ir.Var("i32", counter)}) for s in loop.body)
    tail = ir.For(counter, None, ir.Var("i32", stop), 1, tail_body)
    return (ir.Raw("\n".join(head)), ir.Raw("\n".join(lines)), tail)
