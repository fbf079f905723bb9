"""The prior for what was never measured: boosted symmetric trees over static features, read from the
artefact.

Every level of a tree asks one question, `feature > threshold`; the answers are the bits of a leaf's number.
So all trees are a few numpy operations. `fleetune_server.training.boost` fits them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetune.artefact import Artefact
from fleetune.context import Context, Environment
from fleetune.features import Features, Floats, Frame, Ints, engine_key
from fleetune.manifest import Kernel

CHUNK = 2_048  # rows evaluated at once


@dataclass
class TreePart:
    """Predicts ln speedups of what was never measured, from static features."""

    artefact: Artefact
    _variants: dict[tuple[str, str, frozenset[str]], list[float]] = field(default_factory=dict, repr=False)

    def context(
        self, kernel: Kernel, context: Context, environment: Environment, candidates: Sequence[str]
    ) -> Floats:
        """ln speedups of the candidates in one context, (candidates,)."""
        return self.rows(Frame.of((kernel, context, environment, name) for name in candidates))

    def timed_rows(self, frame: Frame, reference_ns: Floats) -> Floats:
        """Like `rows` where the reference takes `reference_ns` a call, (n,)."""
        columns = (frame.kernel, frame.context, frame.environment, frame.candidate)
        static = design(self.artefact.features, frame, *columns)
        return self.answer(np.hstack([static, timings(self.artefact.features, frame, reference_ns)]), "timed")

    def rows(self, frame: Frame) -> Floats:
        """The trees' ln speedup of every row, (n,). Rows that differ in nothing that is a feature are asked
        once. A job has no profile that a tree could read: 0."""
        return without_jobs(frame, self._rows)

    def _rows(self, frame: Frame) -> Floats:
        engines = [engine_key(environment) for environment in frame.environments]
        engine = np.array([engines.index(key) for key in engines], dtype=np.int64)[frame.environment]
        code = frame.kernel * len(frame.contexts) + frame.context
        code = (code * len(engines) + engine) * len(frame.candidates) + frame.candidate
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        columns = (column[first] for column in (frame.kernel, frame.context, engine, frame.candidate))
        return self.answer(design(self.artefact.features, frame, *columns))[inverse]

    def answer(self, x: Floats, ensemble: str = "trees") -> Floats:
        """What an ensemble says for feature vectors (n, features): (n,)."""
        a = self.artefact.arrays
        feature = self.artefact.stored[f"{ensemble}.feature"].astype(np.int64)
        value = np.zeros(len(x))
        for start in range(0, len(x), CHUNK):
            part = slice(start, start + CHUNK)
            bits = x[part][:, feature] > a[f"{ensemble}.threshold"]  # (n, trees, depth)
            leaf = bits @ (1 << np.arange(feature.shape[1]))
            value[part] = a[f"{ensemble}.leaf"][np.arange(len(feature)), leaf].sum(axis=1)
        return np.asarray(np.clip(a[f"{ensemble}.base"] + value, *a["range"]))


def without_jobs(frame: Frame, ask: Callable[[Frame], Floats]) -> Floats:
    """What `ask` says for the rows of a frame (n,); 0 for jobs, which have no profile that it could read."""
    job = np.array([kernel.job for kernel in frame.kernels], dtype=bool)[frame.kernel]
    value = np.zeros(len(frame))
    if not job.all():
        value[~job] = ask(frame.take(~job))
    return value


def timings(features: Features, frame: Frame, reference_ns: Floats) -> Floats:
    """What the reference's time (n,) adds to the feature vectors of a frame's rows, (n, 4)."""
    rows = list(zip(frame.kernel.tolist(), frame.context.tolist(), reference_ns.tolist(), strict=True))
    vectors = {
        (k, c, ns): features.timing_vector(frame.kernels[k], frame.contexts[c], ns) for k, c, ns in set(rows)
    }
    return np.array([vectors[row] for row in rows], dtype=float).reshape(len(rows), -1)


def design(
    features: Features, frame: Frame, kernel: Ints, context: Ints, environment: Ints, candidate: Ints
) -> Floats:
    """The feature vectors of rows given by their entries in a frame, (n, features)."""
    supported = [e.features for e in frame.environments]
    pairs: dict[tuple[int, int, frozenset[str]], int] = {}
    vectors: list[list[float]] = []
    variant = np.zeros(len(kernel), dtype=np.int64)
    for row, (k, v, e) in enumerate(
        zip(kernel.tolist(), candidate.tolist(), environment.tolist(), strict=True)
    ):
        key = k, v, supported[e]
        if key not in pairs:
            pairs[key] = len(vectors)
            vectors.append(features.variant_vector(frame.kernels[k], frame.candidates[v], supported[e]))
        variant[row] = pairs[key]
    calls, of_call = np.unique(np.stack([kernel, context]), axis=1, return_inverse=True)
    call = [features.call_vector(frame.kernels[k], frame.contexts[c]) for k, c in calls.T.tolist()]

    def block(entities: Sequence[Sequence[float]], rows: Ints) -> Floats:
        return np.array(entities, dtype=float).reshape(len(entities), -1)[rows]

    return np.hstack(
        [
            block([features.kernel_vector(k) for k in frame.kernels], kernel),
            block(vectors, variant),
            block([features.context_vector(c) for c in frame.contexts], context),
            block([features.environment_vector(e) for e in frame.environments], environment),
            block(call, of_call.reshape(-1)),
        ]
    )
