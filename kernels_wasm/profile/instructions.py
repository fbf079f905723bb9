"""Read numbers, names and instructions out of a WebAssembly module; every read is bounds-checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from kernels_wasm.profile.opcodes import OPS, Op


class ProfileError(ValueError):
    """Not a module this reader understands; the message names the byte and its offset."""


@dataclass(frozen=True)
class Instruction:
    op: Op
    code: int  # opcode; prefixed ones are prefix << 16 | index
    offset: int  # bytes from the start of the module
    argument: int = 0  # callee, index, bits of a constant, lane, memory offset (or offset << 4 | lane)
    labels: tuple[int, ...] = ()  # branch targets, as numbers of enclosing blocks to leave


class Reader:
    """A cursor over bytes[at:end]; every read is bounds-checked."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def fail(self, what: str, at: int | None = None) -> ProfileError:
        return ProfileError(f"{what} at offset {self.at if at is None else at}")

    def byte(self) -> int:
        if self.at >= self.end:
            raise self.fail("truncated: a byte is missing")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise self.fail(f"truncated: {count} bytes wanted, {self.end - self.at} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, bits: int = 32) -> int:
        """Unsigned LEB128 of at most `bits` bits."""
        start, value = self.at, 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    raise self.fail(f"number over {bits} bits", start)
                return value
        raise self.fail(f"number over {bits} bits", start)

    def signed(self, bits: int) -> int:
        """Signed LEB128 of at most `bits` bits."""
        start, value = self.at, 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                value -= (byte & 0x40) << (shift + 1)
                if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                    raise self.fail(f"number over {bits} bits", start)
                return value
        raise self.fail(f"number over {bits} bits", start)

    def name(self) -> str:
        start = self.at
        try:
            return self.take(self.unsigned()).decode()
        except UnicodeDecodeError:
            raise self.fail("name is not UTF-8", start) from None

    def count(self) -> int:
        """A vector's length; each entry takes at least a byte, so a longer one is refused at once."""
        start, value = self.at, self.unsigned()
        if value > self.end - self.at:
            raise self.fail(f"{value} entries in {self.end - self.at} bytes", start)
        return value


def _memory_argument(r: Reader) -> int:
    align = r.unsigned()
    if align & 0x40:
        r.unsigned()  # memory index
    return r.unsigned()  # offset


def _entries(r: Reader, read: Callable[[], object]) -> int:
    for _ in range(r.count()):
        read()
    return 0


def _labels(r: Reader, code: int) -> tuple[int, ...]:
    """Targets of br, br_if and br_table, whose count does not include its default."""
    count = r.count() if code == 0x0E else 0
    return tuple(r.unsigned() for _ in range(count + 1))


def _pair(r: Reader) -> int:
    return r.unsigned() * 0 + r.unsigned() * 0


IMMEDIATES: dict[str, Callable[[Reader], int]] = {
    "": lambda r: 0,
    "index": lambda r: r.unsigned(),
    "pair": _pair,
    "block": lambda r: r.signed(33),
    "types": lambda r: _entries(r, r.byte),
    "memory": _memory_argument,
    "lane": lambda r: _memory_argument(r) << 4 | r.byte(),
    "s32": lambda r: r.signed(32),
    "s64": lambda r: r.signed(64),
    "1": lambda r: r.byte(),
    "4": lambda r: int.from_bytes(r.take(4), "little"),
    "8": lambda r: int.from_bytes(r.take(8), "little"),
    "16": lambda r: int.from_bytes(r.take(16), "little"),
}


# What a compiler may have been told to use, by its opcodes (or the prefix of them).
EXTENSIONS: Mapping[str, Collection[int]] = {
    "tail calls": (0x12, 0x13),
    "exceptions": (0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F),
    "typed function references": (0x14, 0x15, 0xD3, 0xD4, 0xD5, 0xD6),
    "garbage collection": (0xFB,),
    "atomics": (0xFE,),
}


def read_instructions(r: Reader) -> list[Instruction]:
    """One expression: instructions up to and including the `end` that closes it."""
    found, depth = [], 1
    while depth:
        start = r.at
        code = r.byte()
        if code in (0xFC, 0xFD):
            code = code << 16 | r.unsigned()
        op = OPS.get(code)
        if op is None:
            shown = f"0x{code:02X}" if code < 0x100 else f"0x{code >> 16:02X} 0x{code & 0xFFFF:02X}"
            named = next(
                (f" ({name}: not supported)" for name, codes in EXTENSIONS.items() if code in codes), ""
            )
            raise r.fail(f"unknown opcode {shown}{named}", start)
        if op.immediate == "labels":
            found.append(Instruction(op, code, start, labels=_labels(r, code)))
        else:
            found.append(Instruction(op, code, start, IMMEDIATES[op.immediate](r)))
        depth += (op.kind in ("block", "loop", "if")) - (op.kind == "end")
    return found
