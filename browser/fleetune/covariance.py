"""How much two places of a kernel tell about one another: the covariance of ln speedups over (size, pattern,
engine, candidate).

Neighbouring sizes, variants that share optimisations and engines of one family tell much about one another.
The server smooths with it (`fleetune_server.training.smooth`), a device learns from its own timings with it
(`personal.py`). HYPER was fitted by marginal likelihood on ten kernels of the lab data and is fixed; the
roughness (0.011 and 0.005 there) is set higher, so that a cell keeps what was measured in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    kv = nearness(a.candidates)[np.ix_(a.candidate, b.candidate)]
    one = (a.engine[:, None] == b.engine[None, :]) & (a.engine[:, None] != NONE)
    family = (a.family[:, None] == b.family[None, :]) & (a.family[:, None] != NONE)
    kg = np.where(one, 1.0, np.where(family, OTHER_IN_FAMILY, 0.0))
    h = {name: sd * sd for name, sd in hyper.items()}
    shared = h["kernel"] + ks * (h["script"] + h["script_engine"] * kg) + exact * one * h["context"]
    own = h["candidate"] + h["candidate_engine"] * kg
    own = kv * (own + ks * (h["candidate_size"] + h["candidate_size_engine"] * kg))
    own = own + exact * one * h["cell"] * (a.candidate[:, None] == b.candidate[None, :])
    return Terms(np.asarray(shared), np.asarray(own))


def _contexts(contexts: Sequence[Context]) -> tuple[Floats, NDArray[np.bool_]]:
    """Nearness of contexts in [0, 1], and which are the same."""
    size = np.array([c.log2_size for c in contexts], dtype=float)
    copied = np.array([c.copied for c in contexts])
    pattern = np.array([c.base_pattern for c in contexts])
    near = np.exp(-np.abs(size[:, None] - size[None, :]) / SIZE_SCALE)
    near = near * np.where(copied[:, None] == copied[None, :], 1.0, OTHER_COPIED)
    near = near * np.where(pattern[:, None] == pattern[None, :], 1.0, OTHER_PATTERN)
    return near, np.asarray(near >= 1.0)


def nearness(names: Sequence[str]) -> Floats:
    """Nearness of candidates: by the optimisations that they do not share; a script is far from every
    module."""
    sets = [
        frozenset(("script", "other", name)) if name.startswith(BASELINE) else _parts(name) for name in names
    ]
    distance = np.array([[len(a ^ b) for b in sets] for a in sets], dtype=float).reshape(len(sets), len(sets))
    return np.asarray(np.exp(-distance / OPTIMISATION_SCALE))


def _parts(name: str) -> frozenset[str]:
    return frozenset() if name == SCALAR else frozenset(name.split("+"))
