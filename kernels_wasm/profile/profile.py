"""Coarse static features of a kernel and of each variant, read from the modules' instructions.

A call is counted as the call plus what the callee does, so that a kernel built without inlining shows the
same work as one built with it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable

from kernels_wasm.profile.loops import STRUCTURE, Loop, find_loops
from kernels_wasm.profile.opcodes import Op
from kernels_wasm.profile.reader import Instruction, Module, ProfileError, parse

__all__ = ["Instruction", "Module", "ProfileError", "kernel_profile", "parse", "signature", "variant_profile"]

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


def _hot(loops: list[Loop], outside: Loop) -> tuple[Loop, Loop]:
    """The main inner loop and the smallest innermost one.

    Main is the deepest, then the one that moves most; where vectors compute, only loops that do count, since
    scalar tails may lie deeper. An unrolled or vector loop comes with a tail that does one element, so their
    ratio estimates how many elements the main loop does at once.
    """
    inner = [loop for loop in loops if loop.innermost]
    if not inner:
        return outside, outside
    candidates = [loop for loop in loops if loop.is_vector] or inner
    main = max(candidates, key=lambda loop: (loop.depth, loop.bytes, loop.work))
    return main, min(inner, key=lambda loop: (loop.float_results or loop.bytes, loop.work))


MEASURES: tuple[Callable[[Loop], int], ...] = (
    lambda loop: loop.float_results,
    lambda loop: loop.bytes,
    lambda loop: loop.work,
)


def _elements(hot: Loop, smallest: Loop) -> float:
    """How many of the smallest loop's iterations one of the main loop replaces, estimated."""
    for measure in MEASURES:
        main, one = measure(hot), measure(smallest)
        if main and one:
            return float(max(1.0, main / one))
    return 1.0


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else 0.0


def variant_profile(module: bytes, entry: str = "run") -> dict[str, float]:
    """Static cost model of one module's main innermost loop, per iteration of that loop.

    `instructions` leaves out block structure, and locals and constants, which `moves` counts; `lanes` is the
    mean width of its lane-wise vector operations (1 for scalar code); `elements` = unroll × lanes is what
    one iteration handles, estimated from the tail. Raises ProfileError.
    """
    parsed = parse(module)
    parsed.entry = entry
    loops, outside = find_loops(parsed)
    hot, smallest = _hot(loops, outside)
    lane_wise = [op.lanes for op in hot.ops if op.lanes > 1]
    lanes = sum(lane_wise) / len(lane_wise) if lane_wise else 1.0
    if not lane_wise and hot.is_vector:  # moves only: 16 bytes against the widest the tail moves
        lanes = 16 / max((op.bytes for op in smallest.ops if op.bytes and not op.vector), default=4)
    elements = max(lanes, _elements(hot, smallest))
    unroll = elements / lanes
    values: dict[str, float] = {
        "instructions": hot.work,
        "moves": hot.count("move"),
        "loads": hot.count("load"),
        "stores": hot.count("store"),
        "vectorOps": sum(op.vector for op in hot.ops),
        "floatOps": sum(op.is_float and op.kind not in ("load", "store", "move") for op in hot.ops),
        "mulDiv": hot.count("muldiv", "fma"),
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


def kernel_profile(scalar: bytes, entry: str = "run") -> dict[str, int]:
    """Coarse features of a kernel from its scalar module; whole numbers, quantised, free of names.

    Shares are per mille of the loop-weighted instructions, to the nearest 25; sizes are 4 · log2, rounded.
    Raises ProfileError.
    """
    parsed = parse(scalar)
    parsed.entry = entry
    loops, outside = find_loops(parsed)
    weighted = _weighted([outside, *loops])
    total = sum(weight for _, weight in weighted) or 1
    shares = {
        name: 25 * round(40 * sum(weight for op, weight in weighted if matches(op)) / total)
        for name, matches in SHARES.items()
    }
    moved = sum(weight * op.bytes for op, weight in weighted)
    hot, _ = _hot(loops, outside)
    widths = [op.bytes for op in hot.ops if op.kind in ("load", "store")]
    parameters, results = parsed.types[parsed.functions[parsed.exports[entry][1] - parsed.imported_functions]]
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
