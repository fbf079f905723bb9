"""Training rows: measured ln speedups by columns, their vocabulary, and which are kept out to judge."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context, Environment
from fleetune.features import Floats, Frame, Ints, engine_key, environment_key, family_key
from fleetune.manifest import Kernel

KEPT_OUT = 10  # one whole context in ten is kept from the prior, so that the model can be judged there


@dataclass(frozen=True)
class Rows:
    """Measured ln speedups over `js`: a frame, targets (n,), the variance of each (n,), and where it is known
    the time of the JavaScript reference, ns a call (n,), else NaN. Picklable."""

    frame: Frame
    target: Floats
    variance: Floats
    reference_ns: Floats = field(default_factory=lambda: np.zeros(0))  # of no rows: known nowhere

    def __post_init__(self) -> None:
        if len(self.reference_ns) != len(self.target):
            object.__setattr__(self, "reference_ns", np.full(len(self.target), np.nan))

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
        return Rows(self.frame.take(rows), self.target[rows], self.variance[rows], self.reference_ns[rows])

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
        columns = [(p.target, p.variance, p.reference_ns) for p in parts]
        return cls(frame, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def vocabulary_of(frame: Frame, old: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The words of every field: old ones first and in their order, then the new ones sorted."""
    seen = {
        "kernel": {frame.kernels[i].signature for i in np.unique(frame.kernel)},
        "pattern": {frame.contexts[i].pattern for i in np.unique(frame.context)}
        | {c.pattern for i in np.unique(frame.kernel) for _, _, _, c in frame.kernels[i].contexts()},
        "environment": {environment_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "engine": {engine_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "family": {family_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "candidate": {frame.candidates[i] for i in np.unique(frame.candidate)}
        | {name for i in np.unique(frame.kernel) for name in frame.kernels[i].variants},
    }
    return {n: (*old.get(n, ()), *sorted(words - set(old.get(n, ())))) for n, words in seen.items()}


def kept_out(frame: Frame) -> NDArray[np.bool_]:
    """Rows of contexts (kernel, context, environment) that the prior never sees; the same in every
    version."""
    words = (
        ([k.signature for k in frame.kernels], frame.kernel),
        ([c.hash for c in frame.contexts], frame.context),
        ([environment_key(e) for e in frame.environments], frame.environment),
    )
    hashes = [
        np.array([zlib.crc32(word.encode()) for word in many], dtype=np.int64)[column]
        for many, column in words
    ]
    return np.asarray((hashes[0] * 31 + hashes[1] * 17 + hashes[2]) // 7 % KEPT_OUT == 0)
