"""The WebAssembly opcodes that Fleetune's reader knows, and what each one costs or moves.

MVP, sign extension, non-trapping conversion, multi-value, bulk memory, reference types, SIMD, relaxed SIMD
(https://webassembly.github.io/spec/core/appendix/index-instructions.html).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Op:
    """What an opcode is: `kind` for counting, `lanes` > 1 for lane-wise vector work, `bytes` moved."""

    kind: str
    immediate: str = ""
    is_float: bool = False
    vector: bool = False
    lanes: int = 0
    bytes: int = 0


def _table() -> dict[int, Op]:
    ops: dict[int, Op] = {}

    def put(first: int, last: int, op: Op) -> None:
        ops.update(dict.fromkeys(range(first, last + 1), op))

    put(0x00, 0x01, Op("other"))
    ops[0x02], ops[0x03], ops[0x04] = Op("block", "block"), Op("loop", "block"), Op("if", "block")
    ops[0x05], ops[0x0B], ops[0x0F] = Op("else"), Op("end"), Op("branch")
    put(0x0C, 0x0E, Op("branch", "labels"))
    ops[0x10], ops[0x11] = Op("call", "index"), Op("call", "pair")
    ops[0x1A], ops[0x1B], ops[0x1C] = Op("move"), Op("select"), Op("select", "types")
    put(0x20, 0x24, Op("move", "index"))
    put(0x25, 0x26, Op("other", "index"))
    for code, width in zip(range(0x28, 0x36), (4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4), strict=True):
        ops[code] = Op("load", "memory", code in (0x2A, 0x2B), bytes=width)
    for code, width in zip(range(0x36, 0x3F), (4, 8, 4, 8, 1, 2, 1, 2, 4), strict=True):
        ops[code] = Op("store", "memory", code in (0x38, 0x39), bytes=width)
    put(0x3F, 0x40, Op("other", "index"))
    ops[0x41], ops[0x42] = Op("move", "s32"), Op("move", "s64")
    ops[0x43], ops[0x44] = Op("move", "4", True), Op("move", "8", True)
    put(0x45, 0x5A, Op("compare"))
    put(0x5B, 0x66, Op("compare", is_float=True))
    for first in (0x67, 0x79):  # i32, then i64: bit counts, add, sub, mul, div, rem, and … rotate
        put(first, first + 17, Op("alu"))
        put(first + 5, first + 9, Op("muldiv"))
    for first in (0x8B, 0x99):  # f32, then f64: abs … nearest, sqrt, add, sub, mul, div, min, max, copysign
        put(first, first + 13, Op("alu", is_float=True))
        for code in (first + 6, first + 9, first + 10):
            ops[code] = Op("muldiv", is_float=True)
    put(0xA7, 0xBF, Op("convert"))
    put(0xC0, 0xC4, Op("alu"))
    ops[0xD0], ops[0xD1], ops[0xD2] = Op("other", "index"), Op("other"), Op("other", "index")
    bulk = dict(enumerate(("pair", "index", "pair", "index", "pair", "index", "pair", *["index"] * 3), 8))
    for index in range(8):
        ops[0xFC << 16 | index] = Op("convert")
    for index, immediate in bulk.items():
        ops[0xFC << 16 | index] = Op("bulk" if index in (10, 11) else "other", immediate)
    return ops | {0xFD << 16 | index: op for index, op in _vector_table().items()}


def _vector_table() -> dict[int, Op]:
    ops: dict[int, Op] = {}

    def put(codes: range | tuple[int, ...], kind: str, lanes: int = 0, is_float: bool = False) -> None:
        ops.update(dict.fromkeys(codes, Op(kind, vector=True, lanes=lanes, is_float=is_float)))

    for code in range(0x0B):
        ops[code] = Op("load", "memory", vector=True, bytes=(16, *[8] * 6, 1, 2, 4, 8)[code])
    ops[0x0B] = Op("store", "memory", vector=True, bytes=16)
    ops[0x0C], ops[0x0D] = Op("move", "16", vector=True), Op("shuffle", "16", vector=True)
    put(range(0x0E, 0x15), "shuffle")
    for code in range(0x15, 0x23):
        ops[code] = Op("shuffle", "1", vector=True)
    for first, last, lanes in ((0x23, 0x2C, 16), (0x2D, 0x36, 8), (0x37, 0x40, 4), (0xD6, 0xDB, 2)):
        put(range(first, last + 1), "compare", lanes)
    put(range(0x41, 0x47), "compare", 4, is_float=True)
    put(range(0x47, 0x4D), "compare", 2, is_float=True)
    put(range(0x4D, 0x54), "alu")
    for code in range(0x54, 0x5C):
        ops[code] = Op("load" if code < 0x58 else "store", "lane", vector=True, bytes=1 << (code & 3))
    ops[0x5C], ops[0x5D] = (Op("load", "memory", vector=True, bytes=b) for b in (4, 8))
    put((0x5E, 0x5F, *range(0xF8, 0x100)), "convert", 4)
    put((*range(0x60, 0x67), *range(0x6B, 0x74), *range(0x76, 0x7A), 0x7B), "alu", 16)
    put((0x67, 0x68, 0x69, 0x6A), "alu", 4, is_float=True)
    put((0x74, 0x75, 0x7A, 0x94), "alu", 2, is_float=True)
    put(range(0x7C, 0x80), "alu", 8)
    put((*range(0x80, 0x82), *range(0x83, 0x94), *range(0x96, 0x9A), 0x9B), "alu", 8)
    put((0x82, 0x95, *range(0x9C, 0xA0)), "muldiv", 8)
    put((0xA0, 0xA1, 0xA3, 0xA4, *range(0xA7, 0xAF), 0xB1, *range(0xB6, 0xBA)), "alu", 4)
    put((0xB5, 0xBA, *range(0xBC, 0xC0)), "muldiv", 4)
    put((0xC0, 0xC1, 0xC3, 0xC4, *range(0xC7, 0xCF), 0xD1), "alu", 2)
    put((0xD5, *range(0xDC, 0xE0)), "muldiv", 2)
    for first, lanes in ((0xE0, 4), (0xEC, 2)):
        put(
            (first, first + 1, first + 4, first + 5, *range(first + 8, first + 12)),
            "alu",
            lanes,
            is_float=True,
        )
        put((first + 3, first + 6, first + 7), "muldiv", lanes, is_float=True)
    put((0x100,), "shuffle")
    put(range(0x101, 0x105), "convert", 4)
    put((0x105, 0x106), "fma", 4, is_float=True)
    put((0x107, 0x108), "fma", 2, is_float=True)
    for code, lanes in zip(range(0x109, 0x10D), (16, 8, 4, 2), strict=True):
        put((code,), "select", lanes)
    put((0x10D, 0x10E), "alu", 4, is_float=True)
    put((0x10F, 0x110), "alu", 2, is_float=True)
    put((0x111, 0x112, 0x113), "muldiv", 8)
    return ops


OPS = _table()
