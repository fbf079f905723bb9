"""Training rows: measured ln speedups by columns, their vocabulary, and which of them judge uncertainty."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context, Environment
from fleetune.features import Floats, Frame, Ints, engine_key, environment_key
from fleetune.manifest import Kernel

CONTEXTS_JUDGED = 10  # one whole context in ten is kept from the deep part and judges uncertainty,
CELLS_JUDGED = 20  # and one single cell in twenty of the others


@dataclass(frozen=True)
class Rows:
    """Measured ln speedups over `js`: a frame, targets (n,) and the variance of each (n,). Picklable."""

    frame: Frame
    target: Floats
    variance: Floats

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def of(cls, cells: Sequence[tuple[Kernel, Context, Environment, str, float, float]]) -> Rows:
        """Rows from (kernel, context, environment, candidate, ln speedup, variance), one by one."""
        frame = Frame.of(cell[:4] for cell in cells)
        return cls(
            frame, np.array([c[4] for c in cells], dtype=float), np.array([c[5] for c in cells], dtype=float)
        )

    def take(self, rows: Ints | NDArray[np.bool_]) -> Rows:
        return Rows(self.frame.take(rows), self.target[rows], self.variance[rows])

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """All rows under one vocabulary."""
        frames = [part.frame for part in parts]
        kernels = {k.signature: k for frame in frames for k in frame.kernels}
        contexts = list(dict.fromkeys(c for frame in frames for c in frame.contexts))
        environments = list(dict.fromkeys(e for frame in frames for e in frame.environments))
        candidates = list(dict.fromkeys(c for frame in frames for c in frame.candidates))
        signatures = list(kernels)

        def column(name: str, plural: str, words: Sequence[Any], of: Any) -> Ints:
            where = {word: i for i, word in enumerate(words)}
            pieces = [
                np.array([where[of(w)] for w in getattr(f, plural)], dtype=np.int64)[getattr(f, name)]
                for f in frames
            ]
            return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

        frame = Frame(
            list(kernels.values()), contexts, environments, candidates,
            column("kernel", "kernels", signatures, lambda k: k.signature),
            column("context", "contexts", contexts, lambda c: c),
            column("environment", "environments", environments, lambda e: e),
            column("candidate", "candidates", candidates, lambda c: c),
        )  # fmt: skip
        return cls(
            frame, np.concatenate([p.target for p in parts]), np.concatenate([p.variance for p in parts])
        )


def vocabulary_of(frame: Frame, old: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The words of every field: old ones first and in their order, then the new ones sorted."""
    seen = {
        "kernel": {frame.kernels[i].signature for i in np.unique(frame.kernel)},
        "pattern": {frame.contexts[i].pattern for i in np.unique(frame.context)},
        "environment": {environment_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "engine": {engine_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "candidate": {frame.candidates[i] for i in np.unique(frame.candidate)},
    }
    return {n: (*old.get(n, ()), *sorted(words - set(old.get(n, ())))) for n, words in seen.items()}


def codes_of(frame: Frame, vocabulary: Mapping[str, Sequence[str]]) -> dict[str, Ints]:
    """The vocabulary entry of every row by field, (n,) each; −1 where unknown."""
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}

    def column(name: str, words: Sequence[str], rows: Ints) -> Ints:
        return np.array([index[name].get(word, -1) for word in words], dtype=np.int64)[rows]

    return {
        "kernel": column("kernel", [k.signature for k in frame.kernels], frame.kernel),
        "pattern": column("pattern", [c.pattern for c in frame.contexts], frame.context),
        "size": np.array([c.log2_size for c in frame.contexts], dtype=np.int64)[frame.context],
        "environment": column(
            "environment", [environment_key(e) for e in frame.environments], frame.environment
        ),
        "engine": column("engine", [engine_key(e) for e in frame.environments], frame.environment),
        "candidate": column("candidate", list(frame.candidates), frame.candidate),
    }


def judged(frame: Frame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows that judge uncertainty: (those of whole contexts, single cells).

    Decided by hashes, so the same rows in every version: what the deep part never sees, it never has seen.
    """
    words = (
        ([k.signature for k in frame.kernels], frame.kernel),
        ([c.hash for c in frame.contexts], frame.context),
        ([environment_key(e) for e in frame.environments], frame.environment),
        (list(frame.candidates), frame.candidate),
    )
    hashes = [
        np.array([zlib.crc32(w.encode()) for w in many], dtype=np.int64)[column] for many, column in words
    ]
    place = hashes[0] * 31 + hashes[1] * 17 + hashes[2]
    whole = place // 7 % CONTEXTS_JUDGED == 0
    return np.asarray(whole), np.asarray(~whole & ((place + hashes[3] * 13) // 11 % CELLS_JUDGED == 0))
