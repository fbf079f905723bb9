"""Run scalar and candidate on one case and list every place where their results must agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernels_wasm.forge.proof.cases import WIDTHS, Case, in_stack
from kernels_wasm.forge.proof.machine import Impossible, Machine
from kernels_wasm.forge.proof.memory import Memory
from kernels_wasm.forge.proof.shape import Program
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Value

Pair = tuple[str, Value, Value, int]  # place, the two values, width


@dataclass(frozen=True)
class Outcome:
    """What one run left behind."""

    result: Value | None
    memory: Memory


def run(program: Program, case: Case, terms: Terms, deadline: float, impossible: Impossible) -> Outcome:
    memory = case.memory(terms, program.module.segments)
    machine = Machine(program, memory, terms, deadline, impossible)
    result = machine.run(list(case.arguments))
    return Outcome(result, memory)


def stray_writes(outcome: Outcome, case: Case) -> list[int]:
    """Addresses written outside of the stack and of the arrays that may change."""
    found = []
    for address in outcome.memory.written():
        if in_stack(address):
            continue
        array = case.owner(address)
        if (array is None or array.param.dir == "in") and not unchanged(outcome.memory, address):
            found.append(address)
    return found


def unchanged(memory: Memory, address: int) -> bool:
    value, at, _ = memory.layers[0][address]
    before = memory.base.get(address)
    if before is None:
        return False
    if type(value) is int or type(before[0]) is int:
        return bool(value == before[0]) and at == before[1]
    return value is before[0] and at == before[1]


def strange_reads(outcome: Outcome, case: Case) -> int:
    """How many bytes were read that belong to nothing; they are symbols, so no result hangs on them unnoticed."""
    return sum(not in_stack(address) for address in outcome.memory.strange_reads)


def pairs(scalar: Outcome, candidate: Outcome, case: Case) -> Iterator[Pair]:
    """Everything that must be equal: the result, and each element of the arrays that may change."""
    if case.spec.returns != "void":
        yield "result", scalar.result, candidate.result, WIDTHS[case.spec.returns]
    for array in case.arrays:
        if array.param.dir not in ("out", "inout"):
            continue
        size = array.width // 8
        touched = scalar.memory.layers[0].keys() | candidate.memory.layers[0].keys()
        for k in range(array.elements):
            at = array.start + size * k
            if any(at + j in touched for j in range(size)):
                yield (
                    f"{array.param.name}[{k}]",
                    scalar.memory.load(at, size),
                    candidate.memory.load(at, size),
                    array.width,
                )
