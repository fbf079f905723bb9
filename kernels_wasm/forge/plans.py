"""What is known of a loop before anything is written: what its rounds share, and whether they may go side by side.

What may pass from round to round: sums and other reductions, running totals of integers (scans), and counters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kernels_wasm.forge.loops import CannotError, Reader, Round, linear, unconditional
from kernels_wasm.forge.reductions import Reduction, Scan, reduction_of
from kernels_wasm.translate import ir


@dataclass
class Plan:
    """What is known of a loop before anything is written."""

    loop: ir.For
    round: Round
    counters: dict[str, int]  # growth a round
    reductions: dict[str, Reduction]
    scans: dict[str, Scan]
    stored: set[str]
    rounds: int  # in a block
    leave: int  # rounds that stay for the tail at least

    @property
    def reassociates(self) -> bool:
        return any(r.reassociates for r in self.reductions.values())

    def varies(self, node: ir.Expr) -> bool:
        """Whether the value differs from round to round."""
        return any(
            (isinstance(n, ir.Var) and (n.name in self.counters or n.name.endswith(Scan.MARK)))
            or (isinstance(n, ir.Load) and n.array in self.stored)
            for n in ir.walk(node)
        )

    def stride(self, index: ir.Expr) -> int | None:
        """By how much an index grows a round; None if not by a constant."""
        atoms, _ = linear(index)
        total = 0
        for atom, factor in atoms:
            while isinstance(atom, ir.Convert) and atom.to in ir.INTEGERS and atom.value.type in ir.INTEGERS:
                atom = atom.value
            if not self.varies(atom):
                continue
            if isinstance(atom, ir.Var) and atom.name in self.counters:
                total += factor * self.counters[atom.name]
                continue
            inner, _ = linear(atom)
            if inner and inner[0][0] != atom:
                step = self.stride(atom)
                if step is None:
                    return None
                total += factor * step
                continue
            return None
        return total


def plan(loop: ir.For, functions: Mapping[str, ir.Function], outside: set[str]) -> Plan:
    """The loop's plan; CannotError says why there is none. `outside`: variables that matter after it."""
    if loop.step != 1 or loop.start is None:
        raise CannotError("it does not count up by 1")
    read = Reader(functions).read(loop.body)
    counters = {loop.variable: 1}
    needed = [w for write in read.writes for w in (write.index, write.value, write.mask) if w] + read.exits
    carried = _carried(read, needed, outside)
    leave = 0
    assigned = set(carried)
    for name, value in list(carried.items()):
        if not (ir.mentioned(value) & assigned):
            if any(name in ir.mentioned(n) for n in [*needed, *(v for k, v in carried.items() if k != name)]):
                raise CannotError(f"{name} carries a value of the last round")
            leave, _ = 1, carried.pop(name)  # only the last round's value counts: the tail makes it
            continue
        step = _step(name, value)
        if step is not None:
            used = any(
                name in ir.mentioned(n) for n in [*needed, *(v for k, v in carried.items() if k != name)]
            )
            if used:
                counters[name] = step
                del carried[name]
    reductions: dict[str, Reduction] = {}
    scans: dict[str, Scan] = {}
    for name, value in carried.items():
        others = [*needed, *(v for k, v in carried.items() if k != name)]
        if any(name in ir.mentioned(n) for n in others):
            scans[name] = _scan(name, value)
        else:
            reductions[name] = reduction_of(name, value)
        rest = scans[name].value if name in scans else reductions[name].value
        if ir.mentioned(rest) & carried.keys():
            raise CannotError(f"{name} depends on what the last round left")
    stored = {w.array for w in read.writes}
    made = Plan(loop, _with_scans(read, scans), counters, reductions, scans, stored, 4, leave)
    made.rounds = _rounds(made)
    _check_accesses(made)
    return made


def _carried(read: Round, needed: Sequence[ir.Expr], outside: set[str]) -> dict[str, ir.Expr]:
    """Variables whose value at a round's end matters to a later round or after the loop."""
    live = read.values.keys() & outside
    while True:
        more = ir.mentioned(*needed, *(read.values[name] for name in live)) & read.values.keys()
        if more <= live:
            return {name: value for name, value in read.values.items() if name in live}
        live |= more


def _step(name: str, value: ir.Expr) -> int | None:
    """c of `name + c`."""
    atoms, constant = linear(value)
    return constant if value.type == "i32" and atoms == ((ir.Var("i32", name), 1),) else None


def _scan(name: str, value: ir.Expr) -> Scan:
    if isinstance(value, ir.Binary) and value.op == "add" and value.type in ir.INTEGERS:
        own = ir.Var(value.type, name)
        for side, rest in ((value.left, value.right), (value.right, value.left)):
            if side == own and name not in ir.mentioned(rest):
                return Scan(name, value, rest)
    raise CannotError(f"{name} depends on what the last round left")


def _with_scans(read: Round, scans: Mapping[str, Scan]) -> Round:
    """The round with running totals named: after the addition, or what they were before it."""
    if not scans:
        return read

    def change(node: ir.Expr) -> ir.Expr:
        for scan in scans.values():
            if node == scan.whole:
                return scan.after
        return node

    def before(node: ir.Expr) -> ir.Expr:
        for name, scan in scans.items():
            if node == ir.Var(scan.whole.type, name):
                return ir.Binary(node.type, "sub", scan.after, scan.value)
        return node

    def both(node: ir.Expr) -> ir.Expr:
        return ir.rebuilt(ir.rebuilt(node, change), before)  # type: ignore[no-any-return]

    writes = [
        replace(w, index=both(w.index), value=both(w.value), mask=both(w.mask) if w.mask else None)
        for w in read.writes
    ]
    return Round(writes, [both(e) for e in read.exits], read.values)


def expressions(made: Plan) -> list[ir.Expr]:
    """All values that a round computes, indices apart."""
    found = [
        *made.round.exits,
        *(w.value for w in made.round.writes),
        *(w.mask for w in made.round.writes if w.mask),
    ]
    return [*found, *(r.value for r in made.reductions.values()), *(s.value for s in made.scans.values())]


def loads(made: Plan) -> list[ir.Load]:
    """Loads that differ from round to round."""
    found = (n for e in expressions(made) for n in ir.walk(e) if isinstance(n, ir.Load) and made.varies(n))
    return list(dict.fromkeys(found))


def _rounds(made: Plan) -> int:
    """As many rounds as fill one register with the narrowest elements that are moved."""
    widths = [ir.BYTES[n.element] for n in loads(made) if made.stride(n.index) in (1, 2, 3, 4)]
    widths += [ir.BYTES[w.element] for w in made.round.writes if made.stride(w.index) in (1, 2, 3, 4)]
    if not widths:
        widths = [ir.BYTES[n.element] for n in loads(made)]
    if not widths:
        raise CannotError("it moves no elements")
    other = [n.type for e in expressions(made) for n in ir.walk(e) if made.varies(n)]
    return 16 // min(min(widths), 8 if all(kind in ("f64", "bool") for kind in other) else 4)


def _check_accesses(made: Plan) -> None:
    """Rounds must not meet in an array that is written; nothing may be read that a round might not read."""
    certain = sure_loads(made)
    certain |= {n for w in made.round.writes for n in ir.walk(w.index) if isinstance(n, ir.Load)}
    everything = [n for e in expressions(made) for n in ir.walk(e) if isinstance(n, ir.Load)]
    places: dict[tuple[str, object], list[int]] = {}
    for load in certain:
        atoms, constant = linear(load.index)
        places.setdefault((load.array, atoms), []).append(constant)
    for load in everything:
        if load in certain:
            continue
        atoms, constant = linear(load.index)
        known = places.get((load.array, atoms), [])
        if not known or not min(known) <= constant <= max(known):
            raise CannotError(f"it reads {load.array} only under a condition")
    for array in made.stored:
        indices = [w.index for w in made.round.writes if w.array == array]
        indices += [load.index for load in everything if load.array == array]
        kinds = {(linear(i)[0], made.stride(i)) for i in indices}
        if len(kinds) != 1:
            raise CannotError(f"rounds may meet in {array}")
        [(_, stride)] = kinds
        offsets = [linear(i)[1] for i in indices]
        if not stride or max(offsets) - min(offsets) >= abs(stride):
            raise CannotError(f"rounds may meet in {array}")


def sure_loads(made: Plan) -> set[ir.Load]:
    """Loads that every round makes."""
    found: set[ir.Load] = set()
    hidden = {id(w.value) for w in made.round.writes if w.mask}
    for node in expressions(made):
        if id(node) not in hidden:
            found |= unconditional(node)
    return found
