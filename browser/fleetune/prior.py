"""The deep part as the prior: trained until kernels that it does not see are predicted best, or kept and
grown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.deep import Array, Inputs, Parameters, descend, fresh, output, standardisation, vocabulary_sizes
from fleetune.features import Floats, Ints
from fleetune.model import Model
from fleetune.rows import Rows

FLOOR2 = 0.01**2  # least variance of any prediction: browser launches differ by this much
MISFIT = 0.05  # variance added to each row's own when the deep part is trained: what features cannot explain
DEEP_ROWS = 60_000  # the deep part is a prior: a sample of rows is enough for it
ENOUGH = 16_000  # rows from which the deep part takes fewer epochs
LEAST_EPOCHS = 12


def deep_part(
    rows: Rows,
    inputs: Inputs,
    vocabulary: Mapping[str, Sequence[str]],
    init: Model | None,
    deep: str,
    epochs: int,
    seed: int,
    teaches: NDArray[np.bool_],
) -> tuple[Mapping[str, Array], Mapping[str, Array], list[float], dict[str, float]]:
    """Parameters, standardisation, losses, and the variance left on kernels that training did not see."""
    rng = np.random.default_rng(seed)
    sizes = vocabulary_sizes(vocabulary)
    if deep == "none":
        p = {name: np.zeros_like(value) for name, value in fresh(inputs, sizes, rng).items()}
        p["bias3"] = np.array(np.average(rows.target, weights=1 / (rows.variance + MISFIT)))
        spread2 = float(np.var(rows.target))
        left = {"unknown2": spread2, "unknown_contrast2": spread2, "floor2": FLOOR2}
        return p, standardisation(inputs), [], left
    if init is not None and deep != "train":
        a = init.artefact.arrays
        grown = _grown(a, fresh(inputs, sizes, rng), vocabulary, init)
        scaling: Parameters = {name: a[name] for name in a if name.endswith((".mean", ".scale"))}
        left = {name: float(a[name]) for name in ("unknown2", "unknown_contrast2", "floor2")}
        if deep == "keep":
            return grown, scaling, [], left
        sample = _sample(teaches, rng)
        weight = _weights(rows.variance[sample])
        p, losses = descend(
            grown, scaling, inputs.take(sample), rows.target[sample], weight, rng=rng,
            epochs=max(1, epochs // 4), batch=_batch(len(sample)), rate=1e-3,
        )  # fmt: skip
        return p, scaling, losses, left
    sample = _sample(teaches, rng)
    epochs = _epochs(epochs, len(sample))
    part, target = inputs.take(sample), rows.target[sample]
    weight = _weights(rows.variance[sample])
    scaling = standardisation(part)
    best, unknown2, contrast2 = _early_stop(part, scaling, target, weight, sizes, epochs, seed)
    p, losses = descend(
        fresh(part, sizes, rng),
        scaling,
        part,
        target,
        weight,
        rng=rng,
        epochs=best,
        batch=_batch(len(sample)),
    )
    return p, scaling, losses, {
        "unknown2": unknown2, "unknown_contrast2": contrast2, "floor2": FLOOR2,
    }  # fmt: skip


def _early_stop(
    inputs: Inputs,
    scaling: Mapping[str, Array],
    target: Floats,
    weight: Floats,
    sizes: Mapping[str, int],
    epochs: int,
    seed: int,
) -> tuple[int, float, float]:
    """Epochs after which differences between candidates of kernels held out were predicted best.

    With it the mean squared error left on these kernels, and that of the differences.
    """
    kernels = np.unique(inputs.rows["kernel"])
    rng = np.random.default_rng(seed + 1)
    held = rng.permutation(kernels)[: max(1, len(kernels) // 5)]
    out = np.isin(inputs.rows["kernel"], held)
    if out.all() or len(kernels) < 5:
        return epochs, 0.5, 0.25
    test = inputs.take(np.flatnonzero(out))
    goal = target[out]
    columns = [test.rows[name] for name in ("kernel", "context", "environment")]
    place = np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].reshape(-1)
    count = np.bincount(place)
    errors: list[tuple[float, float]] = []

    def watch(_epoch: int, p: Parameters) -> bool:
        error = output({n: v.astype(np.float64) for n, v in p.items()}, scaling, test) - goal
        apart = error - (np.bincount(place, error) / count)[place]
        errors.append((float(np.mean(error**2)), float(np.mean(apart**2))))
        return False

    train = np.flatnonzero(~out)
    descend(
        fresh(inputs, sizes, rng), scaling, inputs.take(train), target[train], weight[train],
        rng=rng, epochs=epochs, batch=_batch(len(train)), watch=watch,
    )  # fmt: skip
    smooth = np.convolve([e[1] for e in errors], np.ones(3) / 3, mode="valid") if len(errors) > 3 else None
    best = int(np.argmin(smooth)) + 1 if smooth is not None else len(errors) - 1
    return best + 1, errors[best][0], errors[best][1]


def answer_range(target: Floats, init: Model | None, deep: str) -> NDArray[Any]:
    """What the deep part may answer: the range of what it was trained on, and a little more."""
    if init is not None and deep in ("keep", "continue"):
        return np.asarray(init.artefact.stored["range"])
    return np.array([target.min() - 0.5, target.max() + 0.5], dtype="<f4")


def _sample(teaches: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    rows = np.flatnonzero(teaches)
    return rows if len(rows) <= DEEP_ROWS else np.sort(rng.choice(rows, DEEP_ROWS, replace=False))


def _weights(variance: Floats) -> Floats:
    weight = 1 / (variance + MISFIT)
    return np.asarray(weight / weight.mean())


def _epochs(most: int, count: int) -> int:
    """More rows need fewer passes: about as many steps as ENOUGH rows take, so that time grows slowly."""
    return min(most, max(LEAST_EPOCHS, most * ENOUGH // count))


def _batch(count: int) -> int:
    return 512 if count < 100_000 else 4096


def _grown(
    old: Mapping[str, Floats], start: Parameters, vocabulary: Mapping[str, Sequence[str]], init: Model
) -> Parameters:
    """Old parameters with zero rows for new embedding entries: unknown until trained."""
    grown: Parameters = {}
    for name in start:
        value = old[name]
        field_name = name.removesuffix(".embedding")
        if name.endswith(".embedding") and field_name != "size":
            extra = len(vocabulary[field_name]) - len(init.artefact.vocabulary[field_name])
            value = np.vstack([value, np.zeros((extra, value.shape[1]))])
        grown[name] = value
    return grown
