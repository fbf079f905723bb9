"""The prior: trees for what nobody has measured, and how far they are off on kernels that they have not
seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Features, Floats, Ints
from fleetune.model import Model
from fleetune.trees import design, timings
from fleetune_server.training.boost import TREES, Trees, boost, nothing
from fleetune_server.training.rows import Rows

FLOOR2 = 0.01**2  # least variance of any prediction: browser launches differ by this much
UNKNOWN2, UNKNOWN_CONTRAST2 = 0.5, 0.25  # of kernels never measured, where too few are known to tell
MOST_ROWS = 20_000  # the prior needs only a sample
FEWEST_KERNELS = 5  # from which some can be left out to see what is unknown of a new one
ROOM = 0.5  # ln speedup beyond what was measured that the prior may answer
TIMED_TREES = 400  # with the reference's time there is more to learn
OF_TREES = ("feature", "threshold", "leaf", "base")
STORED = (*(f"trees.{name}" for name in OF_TREES), "range", "unknown2", "unknown_contrast2", "floor2")
TIMED = (*(f"timed.{name}" for name in OF_TREES), "timed_unknown2", "timed_unknown_contrast2")


def keeps(model: Model | None) -> bool:
    """Whether a model has a prior of this kind, that a later version can keep."""
    return model is not None and all(name in model.artefact.stored for name in STORED)


def kept(model: Model) -> dict[str, NDArray[Any]]:
    """The arrays of a model's prior."""
    stored = model.artefact.stored
    return {name: stored[name] for name in (*STORED, *TIMED) if name in stored}


def constant(rows: Rows) -> dict[str, NDArray[Any]]:
    """A prior that answers the mean of the rows everywhere."""
    base = float(np.average(rows.target, weights=1 / (rows.variance + UNKNOWN2)))
    spread2 = float(np.var(rows.target))
    return _stored(nothing(base), rows.target) | _unknown("", spread2, spread2)


def train_prior(
    rows: Rows, features: Features, teaches: NDArray[np.bool_], seed: int
) -> dict[str, NDArray[Any]]:
    """Fit trees to the rows that may teach, and measure them on kernels left out. A second ensemble, for
    browsers that have timed the reference, learns from rows that say how long it took (the lab's)."""
    rng = np.random.default_rng(seed)
    f = rows.frame
    sample = np.flatnonzero(teaches)
    if len(sample) > MOST_ROWS:
        sample = np.sort(rng.choice(sample, MOST_ROWS, replace=False))
    kernel = f.kernel[sample]
    x = design(features, f, kernel, f.context[sample], f.environment[sample], f.candidate[sample])
    y = rows.target[sample]
    weight = 1 / np.bincount(kernel)[kernel]  # every kernel counts the same: new ones are to be predicted
    taught = rows.take(sample)
    out = rng.permutation(np.unique(kernel))[: len(np.unique(kernel)) // 4]
    stored = _stored(boost(x, y, weight, seed=seed), y)
    stored |= _unknown("", *_left_out(x, y, weight, taught, out, seed, TREES))
    timed = np.isfinite(taught.reference_ns)
    if len(np.unique(kernel[timed])) < FEWEST_KERNELS:
        return stored
    taught, y, weight = taught.take(timed), y[timed], weight[timed]
    x = np.hstack([x[timed], timings(features, taught.frame, taught.reference_ns)])
    stored |= _trees("timed", boost(x, y, weight, seed=seed, trees=TIMED_TREES))
    return stored | _unknown("timed_", *_left_out(x, y, weight, taught, out, seed, TIMED_TREES))


def _left_out(
    x: Floats, y: Floats, weight: Floats, rows: Rows, kernels: Ints, seed: int, trees: int
) -> tuple[float, float]:
    """Mean squared error on kernels left out, and that of differences between the candidates of a context."""
    kernel = rows.frame.kernel
    out = np.isin(kernel, kernels)
    if len(np.unique(kernel)) < FEWEST_KERNELS or not out.any():
        return UNKNOWN2, UNKNOWN_CONTRAST2
    fitted = boost(x[~out], y[~out], weight[~out], seed=seed, trees=trees // 2)
    error = answer(fitted, x[out]) - y[out]
    columns = [column[out] for column in (kernel, rows.frame.context, rows.frame.environment)]
    place = np.unique(np.stack(columns), axis=1, return_inverse=True)[1].reshape(-1)
    apart = error - (np.bincount(place, error) / np.bincount(place))[place]
    own = weight[out] / weight[out].sum()
    return float(own @ error**2), float(own @ apart**2)


def answer(trees: Trees, x: Floats) -> Floats:
    """What trees say for feature vectors, before they are stored: (n,)."""
    value = np.full(len(x), trees.base)
    bit: Ints = 1 << np.arange(trees.feature.shape[1])
    for feature, threshold, leaf in zip(trees.feature, trees.threshold, trees.leaf, strict=True):
        value += leaf[(x[:, feature] > threshold) @ bit]
    return value


def _stored(trees: Trees, target: Floats) -> dict[str, NDArray[Any]]:
    bounds = np.array([target.min() - ROOM, target.max() + ROOM], dtype="<f4")
    return _trees("trees", trees) | {"range": bounds, "floor2": np.array(FLOOR2, dtype="<f4")}


def _trees(name: str, trees: Trees) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.feature": trees.feature.astype("<u2"),
        f"{name}.threshold": trees.threshold.astype("<f4"),
        f"{name}.leaf": trees.leaf.astype("<f2"),
        f"{name}.base": np.array(trees.base, dtype="<f4"),
    }


def _unknown(prefix: str, unknown2: float, contrast2: float) -> dict[str, NDArray[Any]]:
    return {
        f"{prefix}unknown2": np.array(unknown2, dtype="<f4"),
        f"{prefix}unknown_contrast2": np.array(contrast2, dtype="<f4"),
    }
