"""The table of source rewrites: each takes a program to another form of it, or finds nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from kernels_wasm.forge.loops import CannotError, flattened, without_continue
from kernels_wasm.forge.plans import plan
from kernels_wasm.forge.scalars import accumulators, bulk, private_counters, totals
from kernels_wasm.forge.tables import looked_up
from kernels_wasm.forge.vectorise import written
from kernels_wasm.translate import ir

FIXED = ("-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops", "-fno-builtin")
SIMD = ("-msimd128",)
RELAXED = ("-msimd128", "-mrelaxed-simd")
REASSOCIATE = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")


@dataclass(frozen=True)
class Form:
    """One way to write and compile the function. `optimisations` are named as the catalogue's."""

    optimisations: tuple[str, ...]
    program: ir.Program
    flags: tuple[str, ...] = FIXED
    features: tuple[str, ...] = ()
    automatic: bool = False  # the compiler decides what to unroll
    inline: bool = True
    reassociates: bool = False
    fuses: bool = False
    text: str = ""  # C that is compiled as it is, in place of the program's
    detail: str = ""  # tells it from another form with the same optimisations

    @property
    def name(self) -> str:
        return "+".join(sorted(self.optimisations)) or "scalar"


def innermost(body: tuple[ir.Stmt, ...]) -> Iterator[ir.For | ir.While]:
    """Loops that hold no loop."""
    for node in ir.walk(*body):
        if isinstance(node, ir.For | ir.While) and not any(
            isinstance(n, ir.For | ir.While) for n in ir.walk(*node.body)
        ):
            yield node


def normalised(program: ir.Program) -> ir.Program:
    """Loops without `continue`: rewritten ones step at their end, which it would pass over for ever."""

    def change(node: ir.Stmt) -> ir.Stmt:
        return replace(node, body=without_continue(node.body)) if isinstance(node, ir.For) else node

    return program.with_body(tuple(ir.rebuilt(s, change) for s in program.main.body))


def unrolled(program: ir.Program, factor: int) -> ir.Program:
    """Innermost loops marked for the compiler to unroll."""
    inner = {id(loop) for loop in innermost(program.main.body)}

    def change(node: ir.Stmt) -> ir.Stmt:
        return replace(node, unroll=factor) if isinstance(node, ir.For) and not _loops(node.body) else node

    return program.with_body(tuple(ir.rebuilt(s, change) for s in program.main.body)) if inner else program


def _loops(body: tuple[ir.Stmt, ...]) -> bool:
    return any(isinstance(n, ir.For | ir.While) for n in ir.walk(*body))


def of_c(program: ir.Program, text: str) -> Iterator[Form]:
    """A function in C under the flags that make a difference."""
    yield Form((), program, text=text)
    yield Form(("loopUnrolling",), program, (*FIXED[:2], "-funroll-loops"), text=text)
    yield Form(("bulkMemory",), program, (*FIXED[:3], "-mbulk-memory"), text=text)
    vectors: tuple[str, ...] = ("autoVectorization", "vectorization")
    yield Form(vectors, program, SIMD, ("simd",), text=text)
    for unroll in ((), ("-funroll-loops",)):
        names = (*vectors, *(("loopUnrolling",) if unroll else ()))
        flags = (*SIMD, *REASSOCIATE, *unroll)
        yield Form(names, program, flags, ("simd",), reassociates=True, text=text, detail="reordered")
        fused = (*RELAXED, *REASSOCIATE, "-ffp-contract=fast", *unroll)
        features = ("simd", "relaxedSimd")
        yield Form(
            (*names, "relaxedSimd"), program, fused, features, reassociates=True, fuses=True, text=text
        )


def plain(program: ir.Program) -> Iterator[Form]:
    """The function as it stands."""
    yield Form((), program)
    if program.helpers:
        yield Form((), program, inline=False)


def unrolling(program: ir.Program) -> Iterator[Form]:
    """Loop unrolling by the compiler, no values reordered."""
    for factor in (4, 8):
        yield Form(("loopUnrolling",), unrolled(program, factor), detail=f"rounds{factor}")


def compiler_vectors(program: ir.Program) -> Iterator[Form]:
    """What the compiler's own vectoriser makes of it."""
    yield Form(("autoVectorization", "vectorization"), program, SIMD, ("simd",), automatic=True)
    yield Form(
        ("autoVectorization", "vectorization"), program, (*SIMD, *REASSOCIATE), ("simd",), automatic=True,
        reassociates=True,
    )  # fmt: skip


def bulk_memory(program: ir.Program) -> Iterator[Form]:
    """Loops that copy or fill become memory.copy and memory.fill; the others are unrolled."""
    form, _, _ = _rewritten(program, bulk)
    if form is not None:
        yield Form(("bulkMemory",), form, (*FIXED, "-mbulk-memory"))
        yield Form(("bulkMemory", "loopUnrolling"), unrolled(form, 4), (*FIXED, "-mbulk-memory"))


def several_accumulators(program: ir.Program) -> Iterator[Form]:
    """Reductions in four or eight scalar accumulators."""
    for count in (4, 8):
        form, reassociates, _ = _rewritten(program, partial(accumulators, count=count))
        if form is not None:
            yield Form(("loopUnrolling",), form, reassociates=reassociates, detail=f"accumulators{count}")


def tiled_totals(program: ir.Program) -> Iterator[Form]:
    """Running totals of four at a time."""
    form, _, _ = _rewritten(program, totals)
    if form is not None:
        yield Form(("tiling",), form)


def lookup_tables(program: ir.Program) -> Iterator[Form]:
    """Formulas of one byte as tables."""
    tables: list[tuple[str, str, tuple[int | float, ...]]] = []

    def one(loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str], tag: str) -> Rewritten:
        body, table = looked_up(loop, functions, outside, f"{tag}_{len(tables)}")
        tables.append(table)
        return body, False

    form, _, _ = _rewritten(program, one)
    if form is not None:
        yield Form(("loopUnrolling", "lookupTable"), replace(form, tables=tuple(tables)))


def own_counters(program: ir.Program) -> Iterator[Form]:
    """Counts in four tables."""
    lengths = dict(program.lengths)
    form, _, _ = _rewritten(program, lambda loop, _f, _o, tag: (private_counters(loop, tag, lengths), False))
    if form is None:
        return
    yield Form(("privateCounters", "swar"), form)
    cleared, _, _ = _rewritten(form, bulk)
    if cleared is not None:
        yield Form(("bulkMemory", "privateCounters", "swar"), cleared, (*FIXED, "-mbulk-memory"))
    wide, _, _ = _rewritten(form, partial(_blocks, unroll=4, relaxed=False))
    if wide is not None:
        yield Form(("privateCounters", "swar", "vectorization"), wide, (*FIXED, *SIMD), ("simd",))


def vectors(program: ir.Program) -> Iterator[Form]:
    """SIMD through intrinsics: loop and tail split, several accumulators, choices as masks."""
    for flat in (program.with_body(flattened(program.main.body)), program):
        made = {
            (unroll, relaxed): _rewritten(flat, partial(_blocks, unroll=unroll, relaxed=relaxed))
            for unroll in (1, 2, 4)
            for relaxed in (False, True)
        }
        for (unroll, relaxed), (form, reassociates, _) in made.items():
            if form is None:
                continue
            names = [
                "vectorization",
                *(["loopUnrolling"] if unroll > 1 else []),
                *(["relaxedSimd"] if relaxed else []),
            ]
            yield Form(
                tuple(sorted(names)), form, (*FIXED, *(RELAXED if relaxed else SIMD)),
                ("simd", "relaxedSimd") if relaxed else ("simd",), reassociates=reassociates, fuses=relaxed,
                detail=f"blocks{unroll}",
            )  # fmt: skip
        if any(form is not None for form, _, _ in made.values()):
            return


def reasons(program: ir.Program) -> list[str]:
    """Why loops were not vectorised."""
    flat = program.with_body(flattened(program.main.body))
    return _rewritten(flat, partial(_blocks, unroll=1, relaxed=False))[2]


Rewritten = tuple[tuple[ir.Stmt, ...], bool]


def _blocks(
    loop: ir.For,
    functions: Mapping[str, ir.Function],
    outside: set[str],
    tag: str,
    *,
    unroll: int,
    relaxed: bool,
) -> Rewritten:
    made = plan(loop, functions, outside)
    return written(made, tag=tag, unroll=unroll, relaxed=relaxed), made.reassociates


def _rewritten(
    program: ir.Program, rewrite: Callable[..., Rewritten]
) -> tuple[ir.Program | None, bool, list[str]]:
    """The program with every innermost loop rewritten that can be; None if there is none. Whether floats are
    reordered, and why the others stay."""
    functions = {f.name: f for f in program.helpers}
    body = program.main.body
    reassociates, count = False, 0
    problems: list[str] = []
    names = [sum(isinstance(n, ir.Raw) for n in ir.walk(*body))]

    def change(block: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
        nonlocal reassociates, count
        found: list[ir.Stmt] = []
        for node in block:
            if isinstance(node, ir.For) and not _loops(node.body):
                outside = mentioned_outside(body, node)
                try:
                    new, reordered = rewrite(node, functions, outside, str(names[0]))
                    found += new
                except CannotError as error:
                    problems.append(f"the loop over {node.variable} stays scalar: {error}")
                    found.append(node)
                    continue
                names[0] += 1
                count += 1
                reassociates |= reordered
            elif isinstance(node, ir.For | ir.While):
                found.append(replace(node, body=change(node.body)))
            elif isinstance(node, ir.If):
                found.append(replace(node, then=change(node.then), other=change(node.other)))
            else:
                found.append(node)
        return tuple(found)

    changed = change(body)
    return (program.with_body(changed) if count else None), reassociates, problems


def mentioned_outside(body: tuple[ir.Stmt, ...], loop: ir.Stmt) -> set[str]:
    """Variables that are read anywhere but in the loop."""
    found: set[str] = set()
    for node in body:
        if node is loop:
            continue
        match node:
            case ir.For() | ir.While():
                head = (
                    [node.condition]
                    if isinstance(node, ir.While)
                    else [n for n in (node.start, node.stop) if n]
                )
                found |= ir.mentioned(*head) | mentioned_outside(node.body, loop)
            case ir.If():
                found |= ir.mentioned(node.condition)
                found |= mentioned_outside(node.then, loop) | mentioned_outside(node.other, loop)
            case _:
                found |= ir.mentioned(node)
    return found


REWRITES: dict[str, Callable[[ir.Program], Iterator[Form]]] = {
    "plain": plain,
    "unrolling": unrolling,
    "vectors": vectors,
    "compiler": compiler_vectors,
    "accumulators": several_accumulators,
    "totals": tiled_totals,
    "tables": lookup_tables,
    "bulk": bulk_memory,
    "counters": own_counters,
}
