"""Every opcode that the prover executes, against wasmtime: on known bytes, and as terms evaluated afterwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import wasmtime
from kernels_wasm.build.params import Param
from kernels_wasm.forge.proof.cases import Case, Spec, case_of
from kernels_wasm.forge.proof.domains import Domain
from kernels_wasm.forge.proof.evaluate import evaluate, opaque, ordered
from kernels_wasm.forge.proof.machine import Machine
from kernels_wasm.forge.proof.memory import Cell
from kernels_wasm.forge.proof.operations import Operations
from kernels_wasm.forge.proof.program import load
from kernels_wasm.forge.proof.replay import Instance, make_engine
from kernels_wasm.forge.proof.shape import Program
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Undecided, Value
from kernels_wasm.forge.proof.widths import EFFECTS

VECTOR = 0xFD << 16
LOADS = {32: b"\x28\x00\x00", 64: b"\x29\x00\x00", 128: b"\xfd\x00\x00\x00"}
STORES = {32: b"\x36\x00\x00", 64: b"\x37\x00\x00", 128: b"\xfd\x0b\x00\x00"}
FLOAT32 = {*range(0x5B, 0x61), *range(0x8B, 0x99), *range(0xA8, 0xAA), *range(0xAE, 0xB0), 0xBB, 0xBC}
FLOAT32 |= {0xFC << 16 | k for k in (0, 1, 4, 5)}
FLOAT64 = {*range(0x61, 0x67), *range(0x99, 0xA7), *range(0xAA, 0xAC), *range(0xB0, 0xB2), 0xB6, 0xBD}
FLOAT64 |= {0xFC << 16 | k for k in (2, 3, 6, 7)}
WIDE = {
    *range(0x50, 0x5B),
    *range(0x79, 0x8B),
    *range(0x61, 0x67),
    *range(0x99, 0xA7),
    0xA7,
    *range(0xC2, 0xC5),
}
WIDE |= {0xB4, 0xB5, 0xB9, 0xBA, 0xB6, 0xBD, 0xBF} | FLOAT64
FLOAT_RESULT = {*range(0x8B, 0x99), *range(0xB2, 0xB7), 0xBE}
DOUBLE_RESULT = {*range(0x99, 0xA7), *range(0xB7, 0xBC), 0xBF}
DIVISIONS = {*range(0x6D, 0x71), *range(0x7F, 0x83)}
SPECIALS = [0, 1, 0x7F, 0x80, 0xFF]
# What the specification leaves to the engine, or what is not executed as one value.
LEFT_OPEN = {VECTOR | code for code in (*range(0x100, 0x114),)}


def leb(value: int) -> bytes:
    found = b""
    while True:
        value, byte = value >> 7, value & 0x7F
        found += bytes([byte | (0x80 if value else 0)])
        if not value:
            return found


def section(number: int, contents: bytes) -> bytes:
    return bytes([number]) + leb(len(contents)) + contents


def encode(code: int) -> bytes:
    return bytes([code]) if code < 0x100 else bytes([code >> 16]) + leb(code & 0xFFFF)


def module(code: bytes) -> bytes:
    """`run(a, b, c, out)` of four addresses with this body."""
    body = b"\0" + code + b"\x0b"
    return (
        b"\0asm\1\0\0\0"
        + section(1, b"\1\x60\4\x7f\x7f\x7f\x7f\0")
        + section(2, b"\1\3env\6memory\2\0\1")
        + section(3, b"\1\0")
        + section(7, b"\1\3run\0\0")
        + section(10, b"\1" + leb(len(body)) + body)
    )


def operand(place: int, code: int, width: int) -> bytes:
    """Load operand `place`, as a float where the opcode wants one."""
    load_code = LOADS[width]
    if width < 128:
        load_code = {True: {32: b"\x2a\0\0", 64: b"\x2b\0\0"}[width], False: load_code}[
            code in FLOAT32 | FLOAT64
        ]
    return b"\x20" + bytes([place]) + load_code


def source(code: int) -> tuple[bytes, int] | None:
    """A body that applies the opcode, and the width of its result; None for what takes no plain operands."""
    count, result = EFFECTS[code]
    vector = code >= VECTOR
    low = code & 0xFFFF
    immediate = b""
    if vector and (low <= 0x0C or 0x54 <= low <= 0x5D):
        return None
    widths = [128] * count if vector else [64 if code in WIDE else 32] * count
    if vector:
        if low == 0x0D:
            immediate = bytes([3, 17, 0, 31, 5, 6, 7, 8, 16, 17, 18, 19, 30, 2, 1, 0])
        if 0x15 <= low <= 0x22:
            immediate = b"\1"
            if low in (0x17, 0x1A, 0x1C):
                widths[1] = 32
            if low == 0x1E:
                widths[1] = 64
            if low in (0x20, 0x22):
                return None
        if 0x0F <= low <= 0x12:
            widths = [64 if low == 0x12 else 32]
        if low in (0x13, 0x14):
            return None
        if low in (*range(0x6B, 0x6E), *range(0x8B, 0x8E), *range(0xAB, 0xAE), *range(0xCB, 0xCE)):
            widths[1] = 32
    store = STORES[result]
    if code in FLOAT_RESULT or (low == 0x1F and vector):
        store = b"\x38\0\0"
    if code in DOUBLE_RESULT or (low == 0x21 and vector):
        store = b"\x39\0\0"
    operands = b"".join(operand(k, code, w) for k, w in enumerate(widths))
    return b"\x20\3" + operands + encode(code) + immediate + store, result


def executable() -> list[int]:
    operations = Operations(Terms())
    codes = sorted(operations.binary.keys() | operations.general.keys())
    return [c for c in codes if c not in LEFT_OPEN and source(c) is not None]


SPEC = Spec(
    "opcode",
    (*(Param(n, "u8[]", "in") for n in "abc"), Param("out", "u8[]", "out")),
    "void",
    Domain(lengths=dict.fromkeys(("a", "b", "c", "out"), lambda _: 16)),
)


def contents(rng: np.random.Generator, turn: int, code: int) -> list[bytes]:
    """Three operands of 16 bytes: random, extreme, and floats with specials."""
    if turn % 3 == 1:
        return [rng.choice(np.array(SPECIALS, np.uint8), 16).tobytes() for _ in range(3)]
    if turn % 3 == 2:
        double = (
            code in FLOAT64
            or VECTOR | 0xEC <= code <= VECTOR | 0xF7
            or code in range(VECTOR | 0x47, VECTOR | 0x4D)
        )
        kind = np.float64 if double else np.float32
        values = np.array([0.0, -0.0, 1.5, -2.5, 0.5, math.inf, -math.inf, math.nan, 3e9, -3e9, 1e-40], kind)
        return [rng.choice(values, 16 // values.itemsize).tobytes() for _ in range(3)]
    return [rng.integers(0, 256, 16, np.uint8).tobytes() for _ in range(3)]


def same(found: bytes, expected: bytes) -> bool:
    """Equal bits, or NaN in the same lanes: payloads are the engine's."""
    if found == expected:
        return True
    for kind in (np.float32, np.float64):
        if len(found) % np.dtype(kind).itemsize == 0:
            a, b = np.frombuffer(found, kind), np.frombuffer(expected, kind)
            bits = a.view(f"u{a.itemsize}") == b.view(f"u{a.itemsize}")
            if np.all(bits | (np.isnan(a) & np.isnan(b))):
                return True
    return False


def wasmtime_result(instance: Instance, data: list[bytes]) -> bytes | None:
    """What wasmtime leaves in `out`; None if it traps."""
    for k, value in enumerate(data):
        instance.bytes[1024 * (k + 1) : 1024 * (k + 1) + 16] = np.frombuffer(value, np.uint8)
    instance.bytes[4096:4112] = 0
    _, trapped = instance.call([1024, 2048, 3072, 4096])
    return None if trapped else instance.bytes[4096:4112].tobytes()


@pytest.fixture(scope="module")
def engine() -> wasmtime.Engine:
    return make_engine()


TURNS = 6


def known_bytes(case: Case, data: list[bytes]) -> dict[int, Cell]:
    return {a.start + k: (b, 0, 1) for a, v in zip(case.arrays, data, strict=False) for k, b in enumerate(v)}


@pytest.mark.parametrize("first", range(0, 400, 40))
def test_every_opcode_computes_what_wasmtime_computes(first: int, engine: wasmtime.Engine) -> None:
    rng = np.random.default_rng(first)
    for code in executable()[first : first + 40]:
        found = source(code)
        assert found is not None
        wasm = module(found[0])
        instance, program, size = Instance(engine, wasm), load(wasm), found[1] // 8
        inputs = [contents(rng, turn, code) for turn in range(TURNS)]
        expected = [wasmtime_result(instance, data) for data in inputs]
        terms = Terms()
        case = case_of(SPEC, {}, terms)

        def execute(
            known: dict[int, Cell],
            case: Case = case,
            terms: Terms = terms,
            program: Program = program,
            size: int = size,
        ) -> list[Value]:
            memory = case.memory(terms, ())
            memory.base.update(known)
            Machine(program, memory, terms, math.inf, lambda *_: False).run(list(case.arguments))
            return [memory.load(case.arrays[3].start + k, 1) for k in range(size)]

        for data, right in zip(inputs, expected, strict=True):
            try:
                out = execute(known_bytes(case, data))
            except Undecided:
                assert code in DIVISIONS, hex(code)
                continue
            assert right is not None, hex(code)
            assert same(bytes(out), right[:size]), (hex(code), data, bytes(out), right[:size])
        if code in DIVISIONS:
            continue  # by symbols they are not executed
        out = execute({})
        order = ordered(out, opaque)
        if any(opaque(t) and t.op != "symbol" for t in order):
            continue  # floats stay uninterpreted
        env = {
            symbol: np.array([data[i][k] for data in inputs], np.uint64)
            for i, array in enumerate(case.arrays)
            for k, symbol in enumerate(array.symbols)
            if i < 3
        }
        values = evaluate(order, env, TURNS)
        table = np.stack(
            [np.broadcast_to(values[v] if type(v) is Term else np.uint64(v), TURNS) for v in out]
        )
        for turn, right in enumerate(expected):
            assert right is not None
            assert table[:, turn].astype(np.uint8).tobytes() == right[:size], (hex(code), inputs[turn])


def test_there_is_no_opcode_beyond_those_tried() -> None:
    assert 200 < len(executable()) <= 400
