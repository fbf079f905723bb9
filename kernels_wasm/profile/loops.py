"""The natural loops of a module's `run`, with calls followed into the callee.

A WebAssembly `loop` block often goes on after its last way back: the tail of a main loop then looks nested
in it. What counts here is control flow: an instruction is in a loop if the way back to the loop's start can
still be reached from it (natural loops: Aho, Lam, Sethi and Ullman, Compilers, 9.6.6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kernels_wasm.profile.opcodes import Op
from kernels_wasm.profile.reader import Instruction, Module, ProfileError

INSTRUCTION_LIMIT = 50_000  # after calls are followed
LOOP_LIMIT = 500
CALL_DEPTH = 16
UNREACHABLE, BR, BR_TABLE, RETURN, CALL = 0x00, 0x0C, 0x0E, 0x0F, 0x10
STRUCTURE = frozenset({"block", "loop", "else", "end", "move", "other"})  # free once compiled, or nearly


@dataclass
class Loop:
    """One loop: its own instructions, without those of loops inside it."""

    depth: int
    innermost: bool = True
    ops: list[Op] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        return sum(op.kind in kinds for op in self.ops)

    @property
    def work(self) -> int:
        return sum(op.kind not in STRUCTURE for op in self.ops)

    @property
    def bytes(self) -> int:
        return sum(op.bytes for op in self.ops)

    @property
    def float_results(self) -> int:
        """Floating-point results per iteration, a fused multiply-add counting as two."""
        weights = {"alu": 1, "muldiv": 1, "fma": 2}
        return sum(weights.get(op.kind, 0) * max(op.lanes, 1) for op in self.ops if op.is_float)

    @property
    def is_vector(self) -> bool:
        """Whether it computes with vectors; a loop that only stores them fills memory, no more."""
        return any(op.vector and op.kind not in ("store", "move", "shuffle") for op in self.ops)


@dataclass
class _Frame:
    """An open block, or a function being followed."""

    kind: str
    start: int
    waiting: list[int] = field(default_factory=list)  # positions that jump to its end


def _expand(module: Module) -> Iterator[Instruction]:
    """The instructions of the entry, every call followed by the callee's; ProfileError past a limit."""
    kind, index = module.exports.get(module.entry, (0, -1))
    if kind != 0 or index < module.imported_functions:
        raise ProfileError(f"the module exports no function {module.entry}")
    stack = [iter(module.bodies[index - module.imported_functions])]
    produced = 0
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
            continue
        produced += 1
        if produced > INSTRUCTION_LIMIT or len(stack) > CALL_DEPTH:
            raise ProfileError(f"calls nest too deep or too often at offset {item.offset}: recursion?")
        yield item
        if _is_followed(module, item):
            stack.append(iter(module.bodies[item.argument - module.imported_functions]))


def _is_followed(module: Module, item: Instruction) -> bool:
    return item.code == CALL and item.argument >= module.imported_functions


def _predecessors(module: Module, items: list[Instruction]) -> tuple[list[list[int]], dict[int, list[int]]]:
    """Position → those that may run just before it; loop start → positions that go back to it."""
    before: list[list[int]] = [[] for _ in range(len(items) + 1)]
    backs: dict[int, list[int]] = {}
    frames = [_Frame("function", -1)]
    for position, item in enumerate(items):
        kind, falls_through = item.op.kind, True
        if kind in ("block", "loop", "if"):
            frames.append(_Frame(kind, position))
        elif kind == "else":
            if frames[-1].kind != "if":
                raise ProfileError(f"else without if at offset {item.offset}")
            before[position + 1].append(frames[-1].start)
            frames[-1].kind, falls_through = "else", False
            frames[-1].waiting.append(position)
        elif kind == "end":
            frame = frames.pop()
            before[position].extend(frame.waiting)
            if frame.kind == "if":
                before[position].append(frame.start)
        elif item.code == RETURN:
            next(f for f in reversed(frames) if f.kind == "function").waiting.append(position)
        for label in item.labels:
            if label >= len(frames) or any(f.kind == "function" for f in frames[len(frames) - label :]):
                raise ProfileError(f"branch out of the function at offset {item.offset}")
            target = frames[-1 - label]
            if target.kind == "loop":
                before[target.start].append(position)
                backs.setdefault(target.start, []).append(position)
            else:
                target.waiting.append(position)
        if _is_followed(module, item):
            frames.append(_Frame("function", position))
        if falls_through and item.code not in (UNREACHABLE, BR, BR_TABLE, RETURN):
            before[position + 1].append(position)
    return before, backs


def _members(before: list[list[int]], start: int, backs: list[int]) -> set[int]:
    """Positions from which the loop's start is reached again without leaving it."""
    found, pending = {start}, list(backs)
    while pending:
        position = pending.pop()
        if position not in found and position >= start:
            found.add(position)
            pending.extend(before[position])
    return found


def find_loops(module: Module) -> tuple[list[Loop], Loop]:
    """Every loop, in the order of its start, and what is outside all of them. Raises ProfileError."""
    items = list(_expand(module))
    before, backs = _predecessors(module, items)
    if len(backs) > LOOP_LIMIT:
        raise ProfileError(f"{len(backs)} loops, at most {LOOP_LIMIT} are read")
    members = {start: _members(before, start, backs[start]) for start in sorted(backs)}
    loops, outside = {}, Loop(0, innermost=False)
    owner = [outside] * len(items)
    for start, inside in sorted(members.items(), key=lambda entry: -len(entry[1])):
        around = [other for other, theirs in members.items() if other != start and start in theirs]
        loops[start] = Loop(1 + len(around))
        for other in around:
            loops[other].innermost = False
        for position in inside:
            owner[position] = loops[start]
    for item, loop in zip(items, owner, strict=True):
        loop.ops.append(item.op)
    return [loops[start] for start in sorted(loops)], outside
