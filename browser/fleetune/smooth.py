"""The smooth part: one Gaussian process per kernel over (size, pattern, engine, candidate).

On real measurements this beat everything else that was tried on contexts left out (two engines, mean absolute
error of ln speedup: this 0.085, LightGBM 0.111, wide & deep random effects 0.165): neighbouring sizes,
variants that share optimisations and engines of one family tell much about one another. The posterior is
exact (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.25–2.26), worked out
where the model is trained and written into the artefact as rows, so a browser only looks up. HYPER was
fitted by marginal likelihood on ten kernels of the lab data and is fixed; the roughness (0.011 and 0.005
there) is set higher, so that a cell keeps what was measured in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context
from fleetune.features import Floats, Ints
from fleetune.manifest import BASELINE, SCALAR

# Standard deviations of ln speedup, by what two cells must be near in to share them.
HYPER: Mapping[str, float] = {
    "kernel": 0.51,  # everything of the kernel
    "script": 1.15,  # size and pattern: how fast JavaScript is
    "script_engine": 0.27,  # the same by engine
    "candidate": 0.42,  # candidate
    "candidate_size": 0.55,  # candidate, size and pattern
    "candidate_engine": 0.05,  # candidate and engine
    "candidate_size_engine": 0.10,  # all four
    "context": 0.02,  # roughness: exactly this context and engine
    "cell": 0.03,  # exactly this cell
}
SIZE_SCALE = 21.5  # of exp(−|Δ log2 size| / scale)
OPTIMISATION_SCALE = 1.43  # of exp(−number of differing optimisations / scale)
OTHER_COPIED, OTHER_PATTERN, OTHER_IN_FAMILY = 0.84, 0.22, 0.5  # correlations
OUTLIER = 25.0  # squared error ÷ variance beyond which one row counts no more
INFLATION = (0.5, 6.0)  # bounds of the correction of variances
NONE = -1  # an engine or family about which nothing is known


@dataclass(frozen=True)
class Points:
    """Places in a kernel's space, (n,) each; `engine` and `family` are NONE for what is generic."""

    contexts: Sequence[Context]
    candidates: Sequence[str]
    context: Ints
    candidate: Ints
    engine: Ints
    family: Ints

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class Terms:
    """The covariance between two sets of points, split into what all candidates share and the rest."""

    shared: Floats  # (n, m)
    own: Floats  # (n, m)

    @property
    def total(self) -> Floats:
        return np.asarray(self.shared + self.own)


def covariance(a: Points, b: Points, hyper: Mapping[str, float] = HYPER) -> Terms:
    """Prior covariance of ln speedups at `a` (n,) and `b` (m,), which share contexts and candidates."""
    near, same = _contexts(a.contexts)
    ks = near[np.ix_(a.context, b.context)]
    exact = same[np.ix_(a.context, b.context)]
    kv = _candidates(a.candidates)[np.ix_(a.candidate, b.candidate)]
    one = (a.engine[:, None] == b.engine[None, :]) & (a.engine[:, None] != NONE)
    family = (a.family[:, None] == b.family[None, :]) & (a.family[:, None] != NONE)
    kg = np.where(one, 1.0, np.where(family, OTHER_IN_FAMILY, 0.0))
    h = {name: sd * sd for name, sd in hyper.items()}
    shared = h["kernel"] + ks * (h["script"] + h["script_engine"] * kg) + exact * one * h["context"]
    own = h["candidate"] + h["candidate_engine"] * kg
    own = kv * (own + ks * (h["candidate_size"] + h["candidate_size_engine"] * kg))
    own = own + exact * one * h["cell"] * (a.candidate[:, None] == b.candidate[None, :])
    return Terms(np.asarray(shared), np.asarray(own))


def prior_variance(points: Points, hyper: Mapping[str, float] = HYPER) -> Floats:
    """The diagonal of `covariance(points, points)`, (n,)."""
    h = {name: sd * sd for name, sd in hyper.items()}
    always = h["kernel"] + h["script"] + h["candidate"] + h["candidate_size"]
    engine = h["script_engine"] + h["candidate_engine"] + h["candidate_size_engine"]
    known = np.where(points.engine != NONE, 1.0, 0.0)
    return np.asarray(always + engine * (points.family != NONE) + known * (h["context"] + h["cell"]))


@dataclass(frozen=True)
class Posterior:
    """What a kernel's rows say: solve once, ask for any points of the same space."""

    points: Points
    weights: Floats  # (n,) K⁻¹ (y − mean)
    inverse_root: Floats  # (n, n) L⁻¹, K = L Lᵀ
    inflation: float  # by which variances must grow to cover what leaving out whole contexts shows

    @classmethod
    def of(cls, points: Points, residual: Floats, variance: Floats) -> Posterior:
        """Condition on residuals (n,) with noise variances (n,)."""
        gram = covariance(points, points).total
        gram[np.diag_indices(len(points))] += variance
        root = np.linalg.cholesky(gram)
        inverse_root = np.linalg.solve(root, np.eye(len(points)))
        weights = inverse_root.T @ (inverse_root @ residual)
        return cls(points, weights, inverse_root, _inflation(points, weights, inverse_root))

    def surprise(self, residual: Floats) -> float:
        """residualᵀ K⁻¹ residual: which of two means explains the rows better (less is better)."""
        half = self.inverse_root @ residual
        return float(half @ half)

    def at(self, points: Points) -> tuple[Floats, Floats, Floats]:
        """Posterior mean, variance, and variance of the part that candidates do not share, (m,) each; the
        variances without inflation.

        The last is of each point against the mean of the points with its context and engine.
        """
        cross = covariance(points, self.points).total  # (m, n)
        mean = cross @ self.weights
        explained = cross @ self.inverse_root.T  # (m, n)
        variance = np.maximum(prior_variance(points) - np.einsum("ij,ij->i", explained, explained), 1e-6)
        contrast = variance.copy()
        place = (points.context * 4096 + points.engine + 1) * 4096 + points.family + 1
        order = np.argsort(place, kind="stable")
        bounds = np.flatnonzero(np.diff(place[order], prepend=-1, append=-1))
        near = _candidates(points.candidates)
        for start, stop in pairwise(bounds.tolist()):
            rows = order[start:stop]
            names = points.candidate[rows]
            prior = _own(points.engine[rows[0]], points.family[rows[0]]) * near[np.ix_(names, names)]
            block = prior - explained[rows] @ explained[rows].T  # what all share drops out of differences
            average = block.mean(axis=1)
            contrast[rows] = np.maximum(np.diag(block) - 2 * average + average.mean(), 1e-6)
        return mean, variance, contrast


def _inflation(points: Points, weights: Floats, inverse_root: Floats) -> float:
    """Mean squared error ÷ promised variance when each context, or each cell, is left out: the larger.

    In closed form: the error of a block b is (K⁻¹_bb)⁻¹ (K⁻¹y)_b and its covariance (K⁻¹_bb)⁻¹.
    """
    place = points.context * 4096 + points.engine
    ratios: list[float] = []
    for number in np.unique(place):
        rows = np.flatnonzero(place == number)
        columns = inverse_root[:, rows]
        block = np.linalg.inv(columns.T @ columns)
        error = block @ weights[rows]
        ratios.extend((error**2 / np.diag(block)).tolist())
    cells = weights**2 / np.einsum("ij,ij->j", inverse_root, inverse_root)
    contexts = np.mean(np.minimum(ratios, OUTLIER))
    return float(np.clip(max(contexts, np.mean(np.minimum(cells, OUTLIER))), *INFLATION))


def _own(engine: int, family: int) -> float:
    """The prior variance of what one candidate does not share, in one context."""
    known = HYPER["candidate_engine"] ** 2 + HYPER["candidate_size_engine"] ** 2
    always = HYPER["candidate"] ** 2 + HYPER["candidate_size"] ** 2
    return always + known * (family != NONE) + HYPER["cell"] ** 2 * (engine != NONE)


def _contexts(contexts: Sequence[Context]) -> tuple[Floats, NDArray[np.bool_]]:
    """Nearness of contexts in [0, 1], and which are the same."""
    size = np.array([c.log2_size for c in contexts], dtype=float)
    copied = np.array([c.copied for c in contexts])
    pattern = np.array([c.base_pattern for c in contexts])
    near = np.exp(-np.abs(size[:, None] - size[None, :]) / SIZE_SCALE)
    near = near * np.where(copied[:, None] == copied[None, :], 1.0, OTHER_COPIED)
    near = near * np.where(pattern[:, None] == pattern[None, :], 1.0, OTHER_PATTERN)
    return near, np.asarray(near >= 1.0)


def _candidates(names: Sequence[str]) -> Floats:
    """Nearness of candidates: by the optimisations that they do not share; a script is far from every
    module."""
    sets = [
        frozenset(("script", "other", name)) if name.startswith(BASELINE) else _parts(name) for name in names
    ]
    distance = np.array([[len(a ^ b) for b in sets] for a in sets], dtype=float).reshape(len(sets), len(sets))
    return np.asarray(np.exp(-distance / OPTIMISATION_SCALE))


def _parts(name: str) -> frozenset[str]:
    return frozenset() if name == SCALAR else frozenset(name.split("+"))
