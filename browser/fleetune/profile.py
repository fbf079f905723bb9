"""Coarse static features of a kernel and of each variant, read from the modules' instructions.

A call is counted as the call plus what the callee does, so that a kernel built without inlining shows the
same work as one built with it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from fleetune.opcodes import Op
from fleetune.wasm import Instruction, Module, ProfileError, parse

__all__ = ["Instruction", "Module", "ProfileError", "kernel_profile", "parse", "signature", "variant_profile"]

EXPANDED_LIMIT = 200_000  # instructions after calls are followed
CALL_DEPTH = 16
STRUCTURE = frozenset({"block", "loop", "else", "end", "move", "other"})  # free once compiled, or nearly
SHARES: dict[str, Callable[[Op], bool]] = {
    "loadShare": lambda op: op.kind == "load",
    "storeShare": lambda op: op.kind == "store",
    "floatShare": lambda op: op.is_float,
    "integerShare": lambda op: op.kind == "alu" and not op.is_float,
    "mulDivShare": lambda op: op.kind == "muldiv",
    "compareShare": lambda op: op.kind == "compare",
    "branchShare": lambda op: op.kind in ("branch", "if"),
    "convertShare": lambda op: op.kind == "convert",
    "selectShare": lambda op: op.kind == "select",
    "callShare": lambda op: op.kind == "call",
}


@dataclass
class Loop:
    """One loop of the expanded code: its own instructions, without those of loops inside it."""

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


def _expand(module: Module) -> Iterator[Instruction]:
    """The instructions of `run`, every call followed by the callee's; ProfileError past a limit."""
    kind, index = module.exports.get("run", (0, -1))
    if kind != 0 or index < module.imported_functions:
        raise ProfileError("the module exports no function run")
    stack = [iter(module.bodies[index - module.imported_functions])]
    produced = 0
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
            continue
        produced += 1
        if produced > EXPANDED_LIMIT or len(stack) > CALL_DEPTH:
            raise ProfileError(f"calls nest too deep or too often at offset {item.offset}: recursion?")
        yield item
        if item.code == 0x10 and item.argument >= module.imported_functions:
            stack.append(iter(module.bodies[item.argument - module.imported_functions]))


def _loops(module: Module) -> tuple[list[Loop], Loop]:
    """Every loop in the order it starts, and what is outside all of them."""
    outside = Loop(0, innermost=False)
    frames: list[Loop | None] = []  # one per open block; None where it is not a loop
    open_loops, loops = [outside], []
    calls: list[int] = []  # frames open when a call was entered: its body's last `end` closes no block
    for item in _expand(module):
        open_loops[-1].ops.append(item.op)
        if item.op.kind == "loop":
            open_loops[-1].innermost = False
            loops.append(Loop(len(open_loops)))
            open_loops.append(loops[-1])
            frames.append(loops[-1])
        elif item.op.kind in ("block", "if"):
            frames.append(None)
        elif item.code == 0x10 and item.argument >= module.imported_functions:
            calls.append(len(frames))
        elif item.op.kind == "end":
            if calls and len(frames) == calls[-1]:
                calls.pop()
            elif frames and frames.pop() is not None:
                open_loops.pop()
    return loops, outside


def _hot(loops: list[Loop], outside: Loop) -> tuple[Loop, Loop]:
    """The main innermost loop (most bytes, then most work, of the deepest) and the smallest beside it.

    An unrolled or vector loop comes with a tail that does one element; their ratio is the unroll estimate.
    """
    deepest = max((loop.depth for loop in loops if loop.innermost), default=0)
    inner = [loop for loop in loops if loop.innermost and loop.depth == deepest]
    if not inner:
        return outside, outside
    return max(inner, key=lambda a: (a.bytes, a.work)), min(inner, key=lambda a: (a.bytes, a.work))


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else 0.0


def variant_profile(module: bytes) -> dict[str, float]:
    """Static cost model of one module's main innermost loop, per iteration of that loop.

    `instructions` leaves out block structure, and locals and constants, which `moves` counts; `lanes` is the
    mean width of its lane-wise vector operations (1 for scalar code); `elements` = unroll × lanes is what
    one iteration handles, estimated. Raises ProfileError.
    """
    parsed = parse(module)
    loops, outside = _loops(parsed)
    hot, smallest = _hot(loops, outside)
    lane_wise = [op.lanes for op in hot.ops if op.lanes > 1]
    loaded = max(
        (op.bytes for op in smallest.ops if op.kind in ("load", "store") and not op.vector), default=0
    )
    vector_bytes = [op.bytes for op in hot.ops if op.kind in ("load", "store") and op.vector]
    lanes = sum(lane_wise) / len(lane_wise) if lane_wise else 16 / (loaded or 4) if vector_bytes else 1.0
    ratio = hot.bytes / smallest.bytes if smallest.bytes else hot.work / max(smallest.work, 1)
    unroll = max(1.0, ratio / lanes)
    elements = unroll * lanes
    values: dict[str, float] = {
        "instructions": hot.work,
        "moves": hot.count("move"),
        "loads": hot.count("load"),
        "stores": hot.count("store"),
        "vectorOps": sum(op.vector for op in hot.ops),
        "floatOps": sum(op.is_float and op.kind not in ("load", "store", "move") for op in hot.ops),
        "mulDiv": hot.count("muldiv"),
        "branches": hot.count("branch", "if"),
        "selects": hot.count("select"),
        "bulk": sum(loop.count("bulk") for loop in [*loops, outside]),
        "calls": hot.count("call"),
        "bytes": hot.bytes,
        "unroll": unroll,
        "lanes": lanes,
        "elements": elements,
        "instructionsPerElement": hot.work / elements,
        "bytesPerElement": hot.bytes / elements,
        "loops": len(loops),
        "loopDepth": max((loop.depth for loop in loops), default=0),
        "log2CodeSize": _log2(parsed.code_bytes),
        "log2DataSize": _log2(parsed.data_bytes),
    }
    return {name: round(float(value), 3) for name, value in values.items()}


def _weighted(loops: Iterable[Loop]) -> list[tuple[Op, int]]:
    """Every working instruction with the weight of its loop: ten times more for each level."""
    return [(op, 10**loop.depth) for loop in loops for op in loop.ops if op.kind not in STRUCTURE]


def kernel_profile(scalar: bytes) -> dict[str, int]:
    """Coarse features of a kernel from its scalar module; whole numbers, quantised, free of names.

    Shares are per mille of the loop-weighted instructions, to the nearest 25; sizes are 4 · log2, rounded.
    Raises ProfileError.
    """
    parsed = parse(scalar)
    loops, outside = _loops(parsed)
    weighted = _weighted([outside, *loops])
    total = sum(weight for _, weight in weighted) or 1
    shares = {
        name: 25 * round(40 * sum(weight for op, weight in weighted if matches(op)) / total)
        for name, matches in SHARES.items()
    }
    moved = sum(weight * op.bytes for op, weight in weighted)
    hot, _ = _hot(loops, outside)
    widths = [op.bytes for op in hot.ops if op.kind in ("load", "store")]
    parameters, results = parsed.types[parsed.functions[parsed.exports["run"][1] - parsed.imported_functions]]
    return shares | {
        "loopDepth": max((loop.depth for loop in loops), default=0),
        "loops": min(len(loops), 16),
        "hotInstructions": round(2 * _log2(hot.work)),
        "accessWidth": round(sum(widths) / len(widths)) if widths else 0,
        "memoryIntensity": 50 * round(moved / total * 1000 / 50 / 8),
        "callSites": min(sum(op.kind == "call" for loop in [outside, *loops] for op in loop.ops), 16),
        "codeSize": round(4 * _log2(parsed.code_bytes)),
        "dataSize": round(_log2(parsed.data_bytes)),
        "parameters": len(parameters),
        "result": results[0] if results else 0,
    }


def signature(profile: dict[str, int]) -> str:
    """profileSignature: SHA-256 of the canonical JSON of a kernel profile, first 32 hex digits."""
    canonical = json.dumps(profile, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
