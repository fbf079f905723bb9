"""Which cells to measure, and in which order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleetune.context import Context
from fleetune.manifest import Kernel, Manifest


class CellError(ValueError):
    """A cell that the catalogue does not have; the message names it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kernel in one context, with the exact size that is measured."""

    kernel: str
    size: int
    pattern: str  # without the copy marker
    copied: bool

    def context(self, dtype: str) -> Context:
        return Context.of(self.size, dtype, self.pattern, copied=self.copied)


def every_cell(manifest: Manifest) -> list[Cell]:
    """All cells of the catalogue, kernel by kernel."""
    return [cell for kernel in manifest.kernels.values() for cell in cells_of(kernel)]


def cells_of(kernel: Kernel) -> Iterator[Cell]:
    for size, pattern, copied, _ in kernel.contexts():
        yield Cell(kernel.name, size, pattern, copied)


def parse(manifest: Manifest, wanted: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """Cells as the page names them, {kernel, size, pattern, copied}; CellError if one does not exist."""
    cells = []
    for item in wanted:
        cell = Cell(item["kernel"], item["size"], item["pattern"], bool(item.get("copied", False)))
        kernel = manifest.kernels.get(cell.kernel)
        if kernel is None or cell not in cells_of(kernel):
            raise CellError(f"the catalogue has no cell {cell}")
        cells.append(cell)
    return cells


def spread(manifest: Manifest, seed: int) -> Iterator[Cell]:
    """Every cell once, in passes: each visits every kernel, and sizes and patterns are mixed within it.

    However early it ends, what was measured is spread over kernels, sizes and patterns.
    """
    kernels = list(manifest.kernels.values())
    random.Random(seed).shuffle(kernels)  # noqa: S311
    orders = [_mixed(kernel, turn) for turn, kernel in enumerate(kernels)]
    for step in range(max(map(len, orders), default=0)):
        for order in orders:
            if step < len(order):
                yield order[step]


def _mixed(kernel: Kernel, turn: int) -> list[Cell]:
    """A Latin-square walk: consecutive cells differ in size and in pattern; `turn` says where it starts."""
    count = len(kernel.sizes)
    sizes = [kernel.sizes[(turn + k // 2 + (k % 2) * (count // 2)) % count] for k in range(count)]
    if len(set(sizes)) != count:  # an odd number of sizes: the half steps meet
        sizes = [kernel.sizes[(turn + k) % count] for k in range(count)]
    calls = [(pattern, copied) for copied in kernel.modes for pattern in kernel.patterns]
    return [
        Cell(kernel.name, size, *calls[(k + block + turn) % len(calls)])
        for block in range(len(calls))
        for k, size in enumerate(sizes)
    ]
