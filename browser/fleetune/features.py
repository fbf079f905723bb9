"""What the model sees: frames of (kernel, context, environment, candidate) rows, and static features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetune.context import UNKNOWN, Context, Environment
from fleetune.copying import most
from fleetune.manifest import SCALAR, Kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BASELINE_TIER = "-baseline"
UNLIMITED = 10.0  # ln speedup that no copy stands in the way of


@dataclass(frozen=True)
class Frame:
    """Rows by columns: each of the four index arrays is (n,) into the sequence of the same name."""

    kernels: Sequence[Kernel]
    contexts: Sequence[Context]
    environments: Sequence[Environment]
    candidates: Sequence[str]
    kernel: Ints
    context: Ints
    environment: Ints
    candidate: Ints

    def __len__(self) -> int:
        return len(self.kernel)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Frame:
        """The frame of only these rows (indices or mask)."""
        columns = (self.kernel, self.context, self.environment, self.candidate)
        return Frame(
            self.kernels,
            self.contexts,
            self.environments,
            self.candidates,
            *(column[rows] for column in columns),
        )

    @classmethod
    def of(cls, cells: Iterable[tuple[Kernel, Context, Environment, str]]) -> Frame:
        """The frame of cells given one by one."""
        kernels: dict[str, tuple[int, Kernel]] = {}
        contexts: dict[Context, int] = {}
        environments: dict[Environment, int] = {}
        candidates: dict[str, int] = {}
        rows = [
            (
                kernels.setdefault(kernel.signature, (len(kernels), kernel))[0],
                contexts.setdefault(context, len(contexts)),
                environments.setdefault(environment, len(environments)),
                candidates.setdefault(candidate, len(candidates)),
            )
            for kernel, context, environment, candidate in cells
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return cls(
            [kernel for _, kernel in kernels.values()],
            list(contexts),
            list(environments),
            list(candidates),
            *columns,
        )


def engine_key(environment: Environment) -> str:
    """What decides how code is compiled: the browser family and its WebAssembly features."""
    return f"{environment.browser} {environment.simd:d}{environment.relaxed_simd:d}"


def family_key(environment: Environment) -> str:
    """The browser family; a compiler with a tier switched off belongs to its browser."""
    return environment.browser.removesuffix(BASELINE_TIER)


def environment_key(environment: Environment) -> str:
    """The whole coarse browser cell as one readable word list."""
    e = environment
    arch = "" if e.arch == UNKNOWN else f" {e.arch}"
    return f"{e.browser} {e.version} {e.os} {e.simd:d}{e.relaxed_simd:d}{e.threads:d} {e.cores}{arch}"


def lineage_key(environment: Environment) -> str:
    """The environment without the browser's version: what one version after another belongs to."""
    browser, _, rest = environment_key(environment).split(" ", 2)
    return f"{browser} {rest}"


def from_key(key: str) -> Environment | None:
    """The environment that `environment_key` wrote; None for a compiler with a tier switched off."""
    browser, version, system, flags, cores, *arch = key.split()
    if browser.endswith(BASELINE_TIER):
        return None
    simd, relaxed, threads = (flag == "1" for flag in flags)
    return Environment(browser, int(version), system, simd, relaxed, threads, cores, *arch)


def safe_default(kernel: Kernel, features: frozenset[str]) -> str:
    """The capability heuristic: SIMD and unrolled where supported, else unrolled, else plain (never relaxed).

    This is what ONNX Runtime Web and TensorFlow.js do: take the most capable build that the browser loads.
    Of a job nothing says which implementation is the most capable: its reference.
    """
    if kernel.job:
        return kernel.baselines[0]

    def rank(name: str) -> tuple[bool, bool, bool, int, str]:
        parts = kernel.variants[name].optimisations
        extras = sum(part not in ("vectorization", "loopUnrolling", "inlining") for part in parts)
        return "vectorization" in parts, "loopUnrolling" in parts, "inlining" in parts, -extras, name

    runnable = [
        name
        for name, variant in kernel.variants.items()
        if variant.features <= features and "relaxedSimd" not in variant.optimisations
    ]
    return max(runnable, key=rank, default=kernel.baselines[0])


@dataclass(frozen=True)
class Features:
    """Names of the features, fixed at training; each method gives one entity's vector in that order.

    A feature that an entity lacks counts as 0, one that is not named here is ignored: catalogues may grow.
    """

    kernel: tuple[str, ...]
    module: tuple[str, ...]
    optimisations: tuple[str, ...]
    patterns: tuple[str, ...]
    dtypes: tuple[str, ...]
    browsers: tuple[str, ...]

    @classmethod
    def of(cls, frame: Frame) -> Features:
        """The features that these rows have."""
        variants = [v for kernel in frame.kernels if not kernel.job for v in kernel.variants.values()]
        return cls(
            tuple(sorted({name for kernel in frame.kernels for name in kernel.profile})),
            tuple(sorted({name for v in variants for name in v.profile})),
            tuple(sorted({name for v in variants for name in v.optimisations})),
            tuple(sorted({context.base_pattern for context in frame.contexts})),
            tuple(sorted({context.dtype for context in frame.contexts})),
            tuple(sorted({e.browser.removesuffix(BASELINE_TIER) for e in frame.environments})),
        )

    def kernel_vector(self, kernel: Kernel) -> list[float]:
        return [_compress(kernel.profile.get(name, 0)) for name in self.kernel]

    def variant_vector(self, kernel: Kernel, candidate: str, supported: frozenset[str]) -> list[float]:
        """The module's profile, its difference from the scalar module's, optimisations, heuristic, JS."""
        script = candidate in kernel.baselines or candidate not in kernel.variants
        plain = kernel.variants[SCALAR].profile if SCALAR in kernel.variants else {}
        own: Mapping[str, float] = {} if script else kernel.variants[candidate].profile
        values = [_compress(own.get(name, 0)) for name in self.module]
        reference = [_compress(plain.get(name, 0)) for name in self.module]
        difference = (
            [0.0] * len(values) if script else [a - b for a, b in zip(values, reference, strict=True)]
        )
        parts = () if script else kernel.variants[candidate].optimisations
        hot = [float(name in parts) for name in self.optimisations]
        return [
            *values,
            *difference,
            *hot,
            float(candidate == safe_default(kernel, supported)),
            float(script),
        ]

    def context_vector(self, context: Context) -> list[float]:
        size = context.log2_size / 10
        copied = float(context.copied)
        patterns = [float(context.base_pattern == name) for name in self.patterns]
        dtypes = [float(context.dtype == name) for name in self.dtypes]
        return [size, size * size, copied, copied * size, *patterns, *dtypes]

    def call_vector(self, kernel: Kernel, context: Context) -> list[float]:
        """What a call moves: bytes an element, arrays, and ln bytes copied in and out if they are copied."""
        moved, arrays = kernel.moved
        copied = math.log1p(moved * 2.0**context.log2_size) if context.copied else 0.0
        return [moved, float(arrays), copied]

    @staticmethod
    def timing_vector(kernel: Kernel, context: Context, reference_ns: float) -> list[float]:
        """What the reference's time here tells: ln ns an element, ln ns a call, ln ns an element for each
        instruction in the loop (which says how often it runs), and the most that a module can gain beside
        its copies."""
        time = math.log(reference_ns)
        element = time - context.log2_size * math.log(2)
        plain = kernel.variants[SCALAR].profile if SCALAR in kernel.variants else {}
        instructions = max(plain.get("instructionsPerElement", 1.0), 1.0)
        limit = min(most(kernel, context, reference_ns), UNLIMITED)
        return [element, time, element - math.log(instructions), limit]

    def environment_vector(self, environment: Environment) -> list[float]:
        """Of the environment only what makes the engine: with few environments measured, system and cores
        would be learnt as if they made the difference between engines. Their part is in the wide tables."""
        family = environment.browser.removesuffix(BASELINE_TIER)
        browsers = [float(family == name) for name in self.browsers]
        tier = float(environment.browser.endswith(BASELINE_TIER))
        return [*browsers, tier, float(environment.simd), float(environment.relaxed_simd)]


def _compress(value: float) -> float:
    """A signed logarithm: profile features span orders of magnitude."""
    return math.copysign(math.log1p(abs(value)), value)
