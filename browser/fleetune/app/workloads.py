"""Which workloads to measure, and in which order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleetune.context import Context, short_hash
from fleetune.manifest import Kernel, Manifest

HEADLINE = 12  # functions: what a busy machine measures in a minute


class WorkloadError(ValueError):
    """A workload that the catalogue does not have; the message names it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kernel in one context, with the exact size that is measured."""

    kernel: str
    size: int
    pattern: str  # without the copy marker
    copied: bool

    def context(self, dtype: str) -> Context:
        return Context.of(self.size, dtype, self.pattern, copied=self.copied)


def every_workload(manifest: Manifest) -> list[Workload]:
    """All workloads of the catalogue, kernel by kernel."""
    return [workload for kernel in manifest.kernels.values() for workload in workloads_of(kernel)]


def workloads_of(kernel: Kernel) -> Iterator[Workload]:
    for size, pattern, copied, _ in kernel.contexts():
        yield Workload(kernel.name, size, pattern, copied)


def parse(manifest: Manifest, wanted: Iterable[Mapping[str, Any]]) -> list[Workload]:
    """Workloads as the page names them, {kernel, size, pattern, copied}; WorkloadError if one does not exist."""
    workloads = []
    for item in wanted:
        workload = Workload(item["kernel"], item["size"], item["pattern"], bool(item.get("copied", False)))
        kernel = manifest.kernels.get(workload.kernel)
        if kernel is None or workload not in workloads_of(kernel):
            raise WorkloadError(f"the catalogue has no workload {workload}")
        workloads.append(workload)
    return workloads


def headline(manifest: Manifest) -> list[Workload]:
    """What a result is made of, the same in every run: HEADLINE functions, each at a middle size with its first
    kind of data. They go by a hash of their names, so an operator's own function displaces at most one."""
    chosen = sorted(manifest.kernels.values(), key=lambda kernel: short_hash([kernel.name], 8))[:HEADLINE]
    return [
        Workload(kernel.name, sorted(kernel.sizes)[len(kernel.sizes) // 2], kernel.patterns[0], copied=False)
        for kernel in chosen
        if False in kernel.modes
    ]


def shuffler(seed: int) -> Callable[[list[str]], None]:
    """Orders of candidates, the same for the same seed."""
    return random.Random(seed).shuffle  # noqa: S311


def spread(manifest: Manifest, seed: int) -> Iterator[Workload]:
    """Every workload once, in passes: each visits every kernel, and sizes and patterns are mixed within it.

    However early it ends, what was measured is spread over kernels, sizes and patterns.
    """
    kernels = list(manifest.kernels.values())
    random.Random(seed).shuffle(kernels)  # noqa: S311
    orders = [_mixed(kernel, turn) for turn, kernel in enumerate(kernels)]
    for step in range(max(map(len, orders), default=0)):
        for order in orders:
            if step < len(order):
                yield order[step]


def _mixed(kernel: Kernel, turn: int) -> list[Workload]:
    """A Latin-square walk: consecutive workloads differ in size and in pattern; `turn` says where it starts."""
    count = len(kernel.sizes)
    sizes = [kernel.sizes[(turn + k // 2 + (k % 2) * (count // 2)) % count] for k in range(count)]
    if len(set(sizes)) != count:  # an odd number of sizes: the half steps meet
        sizes = [kernel.sizes[(turn + k) % count] for k in range(count)]
    calls = [(pattern, copied) for copied in kernel.modes for pattern in kernel.patterns]
    return [
        Workload(kernel.name, size, *calls[(k + block + turn) % len(calls)])
        for block in range(len(calls))
        for k, size in enumerate(sizes)
    ]
