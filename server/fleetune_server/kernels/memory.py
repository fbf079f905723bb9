"""Where a module's own data ends, so that arguments never lie on it.

What the module itself does not say is asked for. A linker's `__heap_base` is the first free address; without it the
memory that a module declares holds all of its data and its stack, wherever they lie, if it has no allocator of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernels_wasm.profile.reader import Module

from fleetune_server.kernels.spec import OwnKernel, OwnVariant

PAGE = 65536
MOST_PAGES = 16384  # 1 GiB, as in browser/web/shared/arena.js
LEAST_ADDRESS = 64  # no argument is a null pointer
HEAP_BASE = "__heap_base"
GLOBAL = 3  # kind of export
MEMORY_SIZE, MEMORY_GROW = 0x3F, 0x40


def manages(module: Module) -> bool:
    """Whether a module asks how large its memory is, as allocators do."""
    return any(item.code in (MEMORY_SIZE, MEMORY_GROW) for body in module.bodies for item in body)


def heap_base(module: Module) -> int | None:
    """The first free address as the linker gave it, if it is exported."""
    kind, index = module.exports.get(HEAP_BASE, (None, -1))
    return module.constants.get(index) if kind == GLOBAL else None


def memory_problems(kernel: OwnKernel, variant: OwnVariant, module: Module) -> list[str]:
    """What is not known of a module's memory, with what to do about it."""
    file, own = variant.module, kernel.memory
    if any(shared for _, _, shared in module.memories):
        return [f"module: {file} has a shared memory: build it without threads"]
    if own is None:
        return _shared_problems(kernel, file, module)
    if own.arrays or own.allocator or own.scratch is not None:
        return []
    remedy = (
        "name its allocator (memory.allocator), or say an address from which nothing is used (memory.scratch)"
    )
    if manages(module):
        return [
            f"module: {file} has an allocator of its own (memory.size or memory.grow), which would use the place "
            f"behind its memory: {remedy}"
        ]
    if any(least == most for least, most, _ in module.memories):
        return [
            f"module: {file} has a memory that cannot grow, so nothing is free behind it: let it grow, {remedy}"
        ]
    return []


def _shared_problems(kernel: OwnKernel, file: str, module: Module) -> list[str]:
    """Of a module that imports `env.memory`."""
    if manages(module) and not kernel.data_end:
        return [
            f"module: {file} has an allocator of its own (memory.size or memory.grow) in the memory that it imports: "
            "let it export its memory and name the allocator (memory.allocator), or say what it never uses (dataEnd)"
        ]
    free = max(module.data_end, heap_base(module) or 0)
    if kernel.data_end and kernel.data_end < free:
        return [f"dataEnd: {file} uses memory up to {free}"]
    if any(least > MOST_PAGES for least, _, _ in module.memories):
        return [f"module: {file} wants more than {MOST_PAGES} pages of memory"]
    return []


def room_problems(kernel: OwnKernel, modules: Iterable[Module]) -> list[str]:
    """Whether there is a page for arguments in a memory that variants share."""
    end, pages = places(kernel, modules)
    if PAGE * pages.get("most", MOST_PAGES) - end >= PAGE:
        return []
    return [
        f"variants: nothing is free from {end} on in a memory of at most {pages.get('most', MOST_PAGES)} pages: "
        "export __heap_base (-Wl,--export=__heap_base), or let the memory grow"
    ]


def places(kernel: OwnKernel, modules: Iterable[Module]) -> tuple[int, dict[str, Any]]:
    """The first address for arguments in a memory that variants share, and how many pages it may have."""
    if kernel.memory is not None:
        return 0, {"least": 0}
    given = list(modules)
    least = max((low for module in given for low, _, _ in module.memories), default=0)
    most = min((high for module in given for _, high, _ in module.memories if high is not None), default=None)
    end = kernel.data_end
    for module in given:
        pages = max((low for low, _, _ in module.memories), default=0)
        end = max(end, *([] if kernel.data_end else [heap_base(module) or PAGE * pages]), module.data_end)
    limits = {} if most is None else {"most": most}
    return max(end, LEAST_ADDRESS), {"least": least, **limits, "grows": any(map(manages, given))}
