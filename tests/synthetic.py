"""A synthetic fleet over a catalogue: ln speedups that follow the variants' optimisations, with noise.

The truth of a cell is additive in (optimisation, kernel, engine, size) plus interactions, all drawn from
a seed: enough structure to learn, and known exactly, so that tests can compare against it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fleetune.context import Context, Environment
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune_server.training.fit import Rows

ENGINES = (
    Environment("chromium", 156, "linux", True, True, False, "2-3"),
    Environment("firefox", 153, "linux", True, True, False, "2-3"),
    Environment("webkit", 18, "linux", True, False, False, "4-7"),
    Environment("chromium", 156, "linux", False, False, False, "2-3"),
)
GAIN = {"vectorization": 0.9, "loopUnrolling": 0.25, "inlining": 0.3, "relaxedSimd": 0.1, "tiling": 0.3}


VARIANTS = (
    (),
    ("inlining",),
    ("inlining", "loopUnrolling"),
    ("inlining", "vectorization"),
    ("inlining", "loopUnrolling", "vectorization"),
    ("inlining", "relaxedSimd", "vectorization"),
)


def catalogue(kernels: int = 8, sizes: Sequence[int] = (16, 256, 4096, 65536)) -> Manifest:
    """Kernels with made-up profiles that differ, each with the same six variants."""
    return Manifest.load(
        {
            "schema": 1,
            "bundles": {},
            "kernels": [_kernel(number, sizes) for number in range(kernels)],
        }
    )


def _kernel(number: int, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "name": f"kernel{number}",
        "family": "test",
        "summary": "",
        "dtype": "f32" if number % 2 else "u8",
        "params": [],
        "returns": None,
        "sizes": list(sizes),
        "patterns": ["random"],
        "copied": True,
        "tolerance": {"relative": 0.0, "absolute": 0.0},
        "dataEnd": 0,
        "baselines": ["js"],
        "profile": {"loads": 3 * number, "loopDepth": 1 + number % 3},
        "profileSignature": f"{number:032x}",
        "variants": [
            {
                "name": "+".join(parts) or "scalar",
                "optimisations": list(parts),
                "features": ["simd", "relaxedSimd"][: 2 if "relaxedSimd" in parts else 1]
                if "vectorization" in parts
                else [],
                "bundle": "base",
                "offset": 0,
                "size": 1,
                "sha256": "",
                "profile": {"instructions": 20.0 - 2 * len(parts) + number},
            }
            for parts in VARIANTS
        ],
    }


def _effect(scale: float, *words: object) -> float:
    """A normal deviate that is the same for the same words."""
    return float(np.random.default_rng(zlib.crc32(repr(words).encode())).normal(0, scale))


def truth(kernel: Kernel, context: Context, environment: Environment, candidate: str) -> float:
    """The ln speedup over `js` of one cell."""
    if candidate == BASELINE:
        return 0.0
    value = _effect(0.5, kernel.name) + _effect(0.2, kernel.name, environment.browser)
    value -= 0.8 * context.copied * max(0.0, 1 - context.log2_size / 20)
    for part in kernel.optimisations(candidate):
        value += GAIN.get(part, 0.15) * min(1.0, context.log2_size / 10)
        value += _effect(0.25, kernel.name, part) + _effect(0.1, environment.browser, part)
        value += _effect(0.1, kernel.name, environment.browser, part)
    return value + _effect(0.06, kernel.name, context, environment.browser, candidate)


def measured(
    manifest: Manifest, environments: Sequence[Environment] = ENGINES, *, noise: float = 0.02, seed: int = 0
) -> Rows:
    """Every cell of the catalogue in these environments, measured once with log-normal noise."""
    rng = np.random.default_rng(seed)
    cells = [
        (
            kernel,
            context,
            environment,
            name,
            truth(kernel, context, environment, name) + rng.normal(0, noise),
            noise**2,
        )
        for environment in environments
        for kernel in manifest.kernels.values()
        for _size, _pattern, _copied, context in kernel.contexts()
        for name in kernel.candidates(environment.features)
        if name != BASELINE
    ]
    return Rows.of(cells)
