"""Execute a module on known addresses and symbolic contents; both sides of a symbolic branch, then join them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kernels_wasm.forge.proof.access import Access
from kernels_wasm.forge.proof.facts import Facts
from kernels_wasm.forge.proof.memory import Memory
from kernels_wasm.forge.proof.operations import Operations
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
    Program,
    Target,
)
from kernels_wasm.forge.proof.terms import Terms
from kernels_wasm.forge.proof.values import Term, Undecided, Value

CALL, DROP, SELECT, SELECT_TYPED = 0x10, 0x1A, 0x1B, 0x1C
GET, SET, TEE, GLOBAL_GET, GLOBAL_SET = 0x20, 0x21, 0x22, 0x23, 0x24
CONSTANTS = (0x41, 0x42, 0x43, 0x44)
STEPS = 3_000_000  # instructions of one run
TURNS = (9, 17, 33, 65)
NESTED = 200  # branches open at once


class Trap(Undecided):
    """The module traps on every path that leads here."""


Impossible = Callable[[Term, float], bool]


@dataclass
class Frame:
    function: Function
    locals: list[Value]
    stack: list[Value]
    heights: list[int]

    def copy(self) -> Frame:
        return Frame(self.function, self.locals[:], self.stack[:], self.heights[:])


class Machine:
    """One run of one module."""

    def __init__(
        self, program: Program, memory: Memory, terms: Terms, deadline: float, impossible: Impossible
    ) -> None:
        self.program, self.memory, self.terms, self.deadline = program, memory, terms, deadline
        self.impossible = impossible
        self.open: dict[tuple[int, int], int] = {}  # branches open at an instruction: turns of a loop
        self.globals: list[Value] = list(program.module.globals)
        self.operations = Operations(terms)
        self.facts = Facts(terms)
        self.access = Access(memory, terms, self.facts)
        self.general = self.operations.general | self.access.general
        self.steps = self.nested = 0

    def run(self, arguments: list[Value]) -> Value | None:
        results = self.call(self.program.entry, arguments)
        return results[-1] if results else None

    def call(self, index: int, arguments: list[Value]) -> list[Value]:
        function = self.program.functions[index]
        frame = Frame(function, arguments + [0] * (len(function.widths) - len(arguments)), [], [])
        for at in range(len(arguments), len(function.widths)):
            if function.widths[at] == 128:
                frame.locals[at] = (0, 0)
        self.execute(frame, 0, len(function.code))
        count = len(function.results)
        return frame.stack[-count:] if count else []

    def execute(self, frame: Frame, at: int, stop: int) -> None:
        """Run from instruction `at` until `stop` is next."""
        function, stack, local = frame.function, frame.stack, frame.locals
        code, binary, general = function.code, self.operations.binary, self.general
        load, store = self.access.loads, self.access.stores
        heights, terms = frame.heights, self.terms
        steps = self.steps
        while at != stop:
            op, argument = code[at]
            steps += 1
            if not steps & 4095:
                self._check(steps)
            if op == GET:
                stack.append(local[argument])
            elif op == SET:
                local[argument] = stack.pop()
            elif op == TEE:
                local[argument] = stack[-1]
            elif op in CONSTANTS:
                stack.append(argument & 0xFFFFFFFF if op == 0x41 else argument & 0xFFFFFFFFFFFFFFFF)
            elif op in binary:
                y = stack.pop()
                stack[-1] = binary[op](stack[-1], y)
            elif op in (BR_IF, IF):
                condition = stack.pop()
                if type(condition) is not int:
                    condition = self.facts.decide(terms.not_(terms.eq(condition, 0, 32)))
                if type(condition) is not int:
                    self.steps = steps
                    at = self.fork(frame, at, condition, op)
                    function, stack, local, heights = frame.function, frame.stack, frame.locals, frame.heights
                    steps = self.steps
                    continue
                at = self.jump(frame, at, op, condition)
                continue
            elif op in load:
                stack[-1] = load[op](stack[-1], argument)
            elif op in store:
                value = stack.pop()
                store[op](stack.pop(), value, argument)
            elif op in general:
                general[op](stack, argument)
            elif op in (BLOCK, LOOP):
                heights.append(len(stack))
            elif op == END:
                if heights:
                    heights.pop()
            elif op in (BR, RETURN):
                at = self.branch(frame, function.targets[at][0])
                continue
            elif op == ELSE:
                at = function.falls[at]
                continue
            elif op == CALL:
                self.steps = steps
                callee = self.program.functions[argument]
                first = len(stack) - callee.parameters
                arguments = stack[first:]
                del stack[first:]
                stack.extend(self.call(argument, arguments))
                steps = self.steps
            elif op in (SELECT, SELECT_TYPED):
                condition, no = stack.pop(), stack.pop()
                if type(condition) is not int:
                    condition = self.facts.decide(terms.not_(terms.eq(condition, 0, 32)))
                if type(condition) is int:
                    stack[-1] = stack[-1] if condition else no
                else:
                    stack[-1] = self.join(condition, stack[-1], no, function.stacks[at][-2])
            elif op == DROP:
                stack.pop()
            elif op == GLOBAL_GET:
                stack.append(self.globals[argument])
            elif op == GLOBAL_SET:
                self.globals[argument] = stack.pop()
            elif op == BR_TABLE:
                index = stack.pop()
                targets = function.targets[at]
                if type(index) is not int:
                    raise Undecided("a jump table with a symbolic index")
                at = self.branch(frame, targets[min(index, len(targets) - 1)])
                continue
            elif op == UNREACHABLE:
                raise Trap("unreachable")
            elif op in self.access.bulk:
                size, value, start = stack.pop(), stack.pop(), stack.pop()
                self.access.bulk[op](start, value, size)
            elif op == 0x01:
                pass
            else:
                raise Undecided(f"opcode 0x{op:02X} is not supported")
            at += 1
        self.steps = steps

    def _check(self, steps: int) -> None:
        if steps > STEPS:
            raise Undecided(f"more than {STEPS} instructions")
        if time.process_time() > self.deadline:
            raise Undecided("deadline")

    def branch(self, frame: Frame, target: Target) -> int:
        at, level, keep, count = target
        height = frame.heights[level] if level >= 0 else 0
        stack = frame.stack
        if count:
            stack[height:] = stack[-count:]
        else:
            del stack[height:]
        del frame.heights[keep:]
        return at

    def jump(self, frame: Frame, at: int, op: int, taken: int) -> int:
        """Where a decided br_if or if goes."""
        function = frame.function
        if op == BR_IF:
            return self.branch(frame, function.targets[at][0]) if taken else at + 1
        frame.heights.append(len(frame.stack))
        return at + 1 if taken else function.falls[at]

    def fork(self, frame: Frame, at: int, condition: Term, op: int) -> int:
        """Execute both sides up to where they meet; leave the joined state in `frame`."""
        meet = frame.function.meets[at]
        place = (id(frame.function), at)
        turns = self.open[place] = self.open.get(place, 0) + 1
        if turns in TURNS:  # a loop over the bits of a word ends by itself, which only a proof can tell
            decided = 0 if self.impossible(condition, self.deadline) else None
            if decided is None and self.impossible(self.terms.not_(condition), self.deadline):
                decided = 1
            if decided is not None:
                self.open[place] -= 1
                return self.jump(frame, at, op, decided)
        self.nested += 1
        if self.nested > NESTED:
            raise Undecided("a loop whose end depends on the data")
        positive = condition.args[0] if condition.op == "not" else condition
        before = self.globals[:]
        sides = []
        for taken in (1, 0):
            side = frame.copy()
            self.globals = before[:]
            self.memory.fork()
            assumed = self.facts.assume(positive, taken if positive is condition else taken ^ 1)
            try:
                self.execute(side, self.jump(side, at, op, taken), meet)
            finally:
                self.facts.forget(assumed)
            sides.append((side, self.globals, self.memory.drop()))
        (yes, yes_globals, yes_cells), (no, no_globals, no_cells) = sides
        self.nested -= 1
        self.open[place] -= 1
        self.memory.merge(condition, yes_cells, no_cells)
        self.globals = [self.join(condition, a, b, 32) for a, b in zip(yes_globals, no_globals, strict=True)]
        widths = frame.function.widths
        frame.locals[:] = [
            a if a is b else self.join(condition, a, b, w)
            for a, b, w in zip(yes.locals, no.locals, widths, strict=True)
        ]
        kinds = frame.function.stacks[meet]
        if len(kinds) != len(yes.stack):  # at the function's end, what lies below its results does not matter
            yes.stack, no.stack = (side.stack[len(side.stack) - len(kinds) :] for side in (yes, no))
        frame.stack[:] = [
            a if a is b else self.join(condition, a, b, w)
            for a, b, w in zip(yes.stack, no.stack, kinds, strict=True)
        ]
        frame.heights[:] = yes.heights
        return meet

    def join(self, condition: Value, yes: Value, no: Value, width: int) -> Value:
        """The value after a branch."""
        if yes is no:
            return yes
        if type(yes) is tuple:
            lanes = self.operations.vectors.lanes
            if all(type(v) is int for v in (*yes, *no)) and yes == no:
                return yes
            count = max(len(yes), len(no))
            pairs = zip(lanes(yes, count), lanes(no, count), strict=True)
            return tuple(self.terms.ite(condition, a, b, 128 // count) for a, b in pairs)
        return self.terms.ite(condition, yes, no, width)
