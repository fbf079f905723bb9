"""Make a module ready to execute: branch targets, and where the two sides of a branch meet again."""

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
    WIDTHS,
    Function,
    Program,
    Target,
    signature,
)
from kernels_wasm.forge.proof.values import Undecided
from kernels_wasm.forge.proof.widths import find_widths
from kernels_wasm.profile.reader import Instruction, Module, parse


def load(data: bytes) -> Program:
    module = parse(data)
    if module.imported_functions:
        raise Undecided("imported functions")
    functions = tuple(_function(module, index, body) for index, body in enumerate(module.bodies))
    for function in functions:
        function.stacks = find_widths(module, function)
    return Program(module, functions, module.exports[module.entry][1])


def _function(module: Module, index: int, body: list[Instruction]) -> Function:
    parameters, results = module.types[module.functions[index]]
    kinds = (*parameters, *module.locals[index])
    if any(kind not in WIDTHS for kind in (*kinds, *results)):
        raise Undecided("reference types")
    code = [(item.code, item.argument) for item in body]
    function = Function(
        code, tuple(WIDTHS[k] for k in kinds), len(parameters), tuple(WIDTHS[k] for k in results)
    )
    _link(module, body, function)
    _meet(function)
    return function


def _link(module: Module, body: list[Instruction], function: Function) -> None:
    """Resolve every branch to the instruction it leads to."""
    ends: dict[int, int] = {}
    elses: dict[int, int] = {}
    open_blocks: list[int] = []
    for at, item in enumerate(body):
        if item.code in (BLOCK, LOOP, IF):
            open_blocks.append(at)
        elif item.code == ELSE:
            elses[open_blocks[-1]] = at
        elif item.code == END and open_blocks:
            start = open_blocks.pop()
            ends[start] = at
    last = len(body)
    for at, item in enumerate(body):
        if item.code in (BLOCK, LOOP, IF):
            open_blocks.append(at)
            if item.code == IF:
                function.falls[at] = elses[at] + 1 if at in elses else ends[at]
        elif item.code == ELSE:
            function.falls[at] = ends[open_blocks[-1]]
        elif item.code == END and open_blocks:
            open_blocks.pop()
        elif item.code in (BR, BR_IF, BR_TABLE, RETURN):
            function.targets[at] = tuple(
                _target(module, body, open_blocks, ends, depth, last, function)
                for depth in (item.labels if item.code != RETURN else (len(open_blocks),))
            )


def _target(
    module: Module,
    body: list[Instruction],
    open_blocks: list[int],
    ends: dict[int, int],
    depth: int,
    last: int,
    function: Function,
) -> Target:
    if depth >= len(open_blocks):
        return last, -1, 0, len(function.results)
    start = open_blocks[-1 - depth]
    parameters, results = signature(module, body[start].argument)
    level = len(open_blocks) - 1 - depth
    if body[start].code == LOOP:
        return start + 1, level, level + 1, parameters
    return ends[start] + 1, level, level, len(results)


def _successors(function: Function, at: int) -> tuple[int, ...]:
    code = function.code[at][0]
    if code in (BR, BR_TABLE, RETURN):
        return tuple(target[0] for target in function.targets[at])
    if code == BR_IF:
        return function.targets[at][0][0], at + 1
    if code == IF:
        return at + 1, function.falls[at]
    if code == ELSE:
        return (function.falls[at],)
    if code == UNREACHABLE:
        return (len(function.code),)
    return (at + 1,)


def _meet(function: Function) -> None:
    """Immediate post-dominators of the branches (Cooper, Harvey and Kennedy 2001, on the reversed graph)."""
    last = len(function.code)
    before: dict[int, list[int]] = {at: [] for at in range(last + 1)}
    after = {at: _successors(function, at) for at in range(last)}
    for at, following in after.items():
        for to in following:
            before[to].append(at)
    order: list[int] = []
    seen, stack = {last}, [(last, iter(before[last]))]
    while stack:
        node, rest = stack[-1]
        child = next((c for c in rest if c not in seen), None)
        if child is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(child)
            stack.append((child, iter(before[child])))
    rank = {node: number for number, node in enumerate(order)}
    meet = {last: last}

    def common(a: int, b: int) -> int:
        while a != b:
            while rank[a] < rank[b]:
                a = meet[a]
            while rank[b] < rank[a]:
                b = meet[b]
        return a

    changed = True
    while changed:
        changed = False
        for node in reversed(order[:-1]):
            known = [to for to in after[node] if to in meet]
            found = known[0]
            for to in known[1:]:
                found = common(found, to)
            if meet.get(node) != found:
                meet[node], changed = found, True
    for at, (code, _) in enumerate(function.code):
        if code in (BR_IF, IF, BR_TABLE):
            function.meets[at] = meet.get(at, last)
