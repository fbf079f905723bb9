"""What a function looks like to the machine: code, widths, branch targets."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernels_wasm.profile.reader import Module

BLOCK, LOOP, IF, ELSE, END, BR, BR_IF, BR_TABLE, RETURN = 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
UNREACHABLE = 0x00
WIDTHS = {0x7F: 32, 0x7E: 64, 0x7D: 32, 0x7C: 64, 0x7B: 128}
NONE = -64  # the block type without a result

Target = tuple[
    int, int, int, int
]  # where to go on, the block (-1: the function), blocks still open, values carried


@dataclass
class Function:
    """One body. `targets[at]` holds where each branch leads; `meets[at]` where both sides of it come together."""

    code: list[tuple[int, int]]
    widths: tuple[int, ...]  # of parameters and locals
    parameters: int
    results: tuple[int, ...]
    targets: dict[int, tuple[Target, ...]] = field(default_factory=dict)
    falls: dict[int, int] = field(default_factory=dict)  # the other side of `if`, and where `else` goes
    meets: dict[int, int] = field(default_factory=dict)
    stacks: dict[int, tuple[int, ...]] = field(
        default_factory=dict
    )  # widths of the operands before an instruction


@dataclass(frozen=True)
class Program:
    module: Module
    functions: tuple[Function, ...]
    entry: int


def signature(module: Module, block: int) -> tuple[int, tuple[int, ...]]:
    """Number of parameters and widths of results of a block type (an index of a type, or a value type)."""
    if block == NONE:
        return 0, ()
    if block < 0:
        return 0, (WIDTHS[block & 0x7F],)
    parameters, results = module.types[block]
    return len(parameters), tuple(WIDTHS[k] for k in results)
