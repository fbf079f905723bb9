"""The width of every operand, before execution: constants are plain numbers, so a join must be told their width."""

from __future__ import annotations

from kernels_wasm.forge.proof.shape import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    ELSE,
    END,
    IF,
    LOOP,
    RETURN,
    UNREACHABLE,
    Function,
    signature,
)
from kernels_wasm.profile.reader import Module

VECTOR = 128
Effect = tuple[int, int]  # operands taken, width of the result (0: none)


def _effects() -> dict[int, Effect]:
    table: dict[int, Effect] = {0x01: (0, 0), 0x1A: (1, 0), 0x3F: (0, 32), 0x40: (1, 32)}

    def put(first: int, last: int, effect: Effect, prefix: int = 0) -> None:
        table.update(dict.fromkeys(range(prefix << 16 | first, (prefix << 16 | last) + 1), effect))

    for code, width in zip(range(0x28, 0x36), (32, 64, 32, 64, *[32] * 4, *[64] * 6), strict=True):
        table[code] = (1, width)
    put(0x36, 0x3E, (2, 0))
    for code, width in zip(range(0x41, 0x45), (32, 64, 32, 64), strict=True):
        table[code] = (0, width)
    put(0x45, 0x66, (2, 32))
    table[0x45] = table[0x50] = (1, 32)
    for first, ones, twos, width in (
        (0x67, 3, 15, 32),
        (0x79, 3, 15, 64),
        (0x8B, 7, 7, 32),
        (0x99, 7, 7, 64),
    ):
        put(first, first + ones - 1, (1, width))
        put(first + ones, first + ones + twos - 1, (2, width))
    for first, last, width in (
        *((0xA7, 0xAB, 32), (0xAC, 0xB1, 64), (0xB2, 0xB6, 32), (0xB7, 0xBB, 64), (0xBC, 0xBC, 32)),
        *((0xBD, 0xBD, 64), (0xBE, 0xBE, 32), (0xBF, 0xBF, 64), (0xC0, 0xC1, 32), (0xC2, 0xC4, 64)),
    ):
        put(first, last, (1, width))
    put(0, 3, (1, 32), 0xFC)
    put(4, 7, (1, 64), 0xFC)
    put(10, 11, (3, 0), 0xFC)
    put(0x00, 0x113, (2, VECTOR), 0xFD)
    for first, last in ((0x00, 0x0A), (0x5C, 0x5D), (0x0F, 0x14)):
        put(first, last, (1, VECTOR), 0xFD)
    for code in (
        *(0x4D, 0x5E, 0x5F, 0x60, 0x61, 0x62, *range(0x67, 0x6B), 0x74, 0x75, 0x7A, *range(0x7C, 0x82)),
        *(*range(0x87, 0x8B), 0x94, 0xA0, 0xA1, *range(0xA7, 0xAB), 0xC0, 0xC1, *range(0xC7, 0xCB)),
        *(0xE0, 0xE1, 0xE3, 0xEC, 0xED, 0xEF, *range(0xF8, 0x105)),
    ):
        put(code, code, (1, VECTOR), 0xFD)
    for code, effect in {0x0B: (2, 0), 0x0C: (0, VECTOR), 0x52: (3, VECTOR), 0x100: (2, VECTOR)}.items():
        put(code, code, effect, 0xFD)
    for code in (0x15, 0x16, 0x18, 0x19, 0x1B, 0x1F, 0x53, 0x63, 0x64, 0x83, 0x84, 0xA3, 0xA4, 0xC3, 0xC4):
        put(code, code, (1, 32), 0xFD)
    for code in (0x1D, 0x21):
        put(code, code, (1, 64), 0xFD)
    put(0x58, 0x5B, (2, 0), 0xFD)
    put(0x105, 0x10C, (3, VECTOR), 0xFD)
    put(0x113, 0x113, (3, VECTOR), 0xFD)
    return table


EFFECTS = _effects()


def find_widths(module: Module, function: Function) -> dict[int, tuple[int, ...]]:
    """Widths of the operand stack before each instruction."""
    found: dict[int, tuple[int, ...]] = {}
    stack: list[int] = []
    blocks: list[tuple[int, tuple[int, ...]]] = []

    def take(count: int) -> list[int]:
        taken = stack[len(stack) - count :] if count else []
        del stack[max(len(stack) - count, blocks[-1][0] if blocks else 0) :]
        return taken

    for at, (op, argument) in enumerate(function.code):
        found[at] = tuple(stack)
        if op in (BLOCK, LOOP, IF):
            if op == IF:
                take(1)
            parameters, results = signature(module, argument)
            blocks.append((len(stack) - parameters, results))
        elif op == ELSE:
            del stack[blocks[-1][0] :]
        elif op == END:
            if blocks:
                height, results = blocks.pop()
                stack[height:] = results
        elif op in (BR, BR_TABLE, RETURN, UNREACHABLE):
            del stack[blocks[-1][0] if blocks else 0 :]
        elif op == BR_IF:
            take(1)
        elif op == 0x10:
            callee = module.types[module.functions[argument]]
            take(len(callee[0]))
            stack.extend(signature(module, module.functions[argument])[1])
        elif op in (0x1B, 0x1C):
            taken = take(3)
            stack.append(taken[0] if taken else 32)
        elif op == 0x20:
            stack.append(function.widths[argument])
        elif op == 0x21:
            take(1)
        elif op == 0x22:
            pass
        elif op == 0x23:
            stack.append(32)  # the stack pointer
        elif op == 0x24:
            take(1)
        elif op in EFFECTS:
            count, width = EFFECTS[op]
            take(count)
            if width:
                stack.append(width)
    found[len(function.code)] = function.results
    return found
