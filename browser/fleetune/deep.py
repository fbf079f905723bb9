"""Training of the deep part: two ReLU layers over static features and embeddings, by hand-written gradients.

Shapes: n rows, f inputs, h1 and h2 hidden units. Loss: weighted mean of squared errors / 2 plus an L2 prior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import BLOCKS, EMBEDDED, SIZES
from fleetune.features import Features, Frame, Ints

Array = NDArray[np.floating[Any]]
Parameters = dict[str, Array]
WIDTHS = {"candidate": 6, "size": 8, "engine": 6}
HIDDEN = (64, 32)
FORGET = 0.5  # how often training hides an embedding, so that the features alone must carry unseen entries
HIDDEN_FIELDS = ("candidate", "engine")


@dataclass(frozen=True)
class Inputs:
    """Static feature vectors by distinct entity, and each row's entity and vocabulary entry."""

    blocks: Mapping[str, Array]  # (entities, features), not yet standardised
    rows: Mapping[str, Ints]  # (n,) into the block of the same name
    entries: Mapping[str, Ints]  # (n,) vocabulary entries of the embeddings, −1 where unknown

    @classmethod
    def of(cls, frame: Frame, features: Features, codes: Mapping[str, Ints]) -> Inputs:
        """The inputs of a frame's rows; `codes` as from Model.codes."""
        supported = [environment.features for environment in frame.environments]
        kinds = sorted(set(supported), key=sorted)
        kind = np.array([kinds.index(s) for s in supported], dtype=np.int64)[frame.environment]
        width = len(frame.candidates)
        pair, variant = np.unique(
            (frame.kernel * width + frame.candidate) * len(kinds) + kind, return_inverse=True
        )
        variants = [
            features.variant_vector(
                frame.kernels[p // len(kinds) // width],
                frame.candidates[p // len(kinds) % width],
                kinds[p % len(kinds)],
            )
            for p in pair.tolist()
        ]
        vectors: dict[str, Sequence[Sequence[float]]] = {
            "kernel": [features.kernel_vector(kernel) for kernel in frame.kernels],
            "variant": variants,
            "context": [features.context_vector(context) for context in frame.contexts],
            "environment": [features.environment_vector(e) for e in frame.environments],
        }
        blocks = {name: np.array(vectors[name], dtype=np.float32) for name in BLOCKS}
        rows = {
            "kernel": frame.kernel,
            "variant": variant.astype(np.int64),
            "context": frame.context,
            "environment": frame.environment,
        }
        return cls(blocks, rows, {name: codes[name] for name in EMBEDDED})

    def take(self, rows: Ints) -> Inputs:
        return Inputs(
            self.blocks,
            {name: column[rows] for name, column in self.rows.items()},
            {name: column[rows] for name, column in self.entries.items()},
        )

    def __len__(self) -> int:
        return len(self.rows["kernel"])


def standardisation(inputs: Inputs) -> Parameters:
    """Mean and 1/sd of every feature over the rows; a constant feature gets scale 0."""
    scaling: Parameters = {}
    for name, block in inputs.blocks.items():
        share = np.bincount(inputs.rows[name], minlength=len(block)) / max(len(inputs), 1)
        mean = share @ block
        sd = np.sqrt(share @ (block - mean) ** 2)
        scaling[f"{name}.mean"] = mean
        scaling[f"{name}.scale"] = np.where(sd > 1e-6, 1 / np.maximum(sd, 1e-6), 0.0)
    return scaling


def fresh(inputs: Inputs, sizes: Mapping[str, int], rng: np.random.Generator) -> Parameters:
    """He-initialised weights; `sizes` is the number of vocabulary entries of each embedding."""
    fan = sum(block.shape[1] for block in inputs.blocks.values()) / 2
    first, second = HIDDEN
    p: Parameters = {"bias1": np.zeros(first), "bias2": np.zeros(second), "bias3": np.zeros(())}
    for name, block in inputs.blocks.items():
        p[f"{name}.weight"] = rng.normal(0, (1 / fan) ** 0.5, (block.shape[1], first))
    for name in EMBEDDED:
        p[f"{name}.embedding"] = rng.normal(0, 0.1, (sizes[name], WIDTHS[name]))
        p[f"{name}.project"] = rng.normal(0, (1 / fan) ** 0.5, (WIDTHS[name], first))
    p["weight2"] = rng.normal(0, (2 / first) ** 0.5, (first, second))
    p["weight3"] = rng.normal(0, (1 / second) ** 0.5, second)
    return p


def gradients(
    p: Mapping[str, Array],
    scaling: Mapping[str, Array],
    batch: Inputs,
    target: Array,
    weight: Array,
    masks: Mapping[str, Array],
) -> tuple[float, Parameters]:
    """Loss Σ weight·(prediction − target)² / 2 and its gradient by every parameter, backward beside forward.

    `masks[name]` (n,) is 0 where a row's embedding is hidden.
    """
    xs = {
        name: ((batch.blocks[name] - scaling[f"{name}.mean"]) * scaling[f"{name}.scale"])[batch.rows[name]]
        for name in BLOCKS
    }  # (n, f)
    masked = {
        name: masks[name] * (batch.entries[name] >= 0) if name in masks else batch.entries[name] >= 0
        for name in EMBEDDED
    }
    es = {
        name: p[f"{name}.embedding"][np.maximum(batch.entries[name], 0)]
        * masked[name][:, None].astype(target.dtype)
        for name in EMBEDDED
    }  # (n, width)
    pre1 = p["bias1"] + sum(xs[name] @ p[f"{name}.weight"] for name in BLOCKS)
    pre1 = pre1 + sum(es[name] @ p[f"{name}.project"] for name in EMBEDDED)  # (n, h1)
    hidden1 = np.maximum(pre1, 0)
    hidden2 = np.maximum(hidden1 @ p["weight2"] + p["bias2"], 0)  # (n, h2)
    error = hidden2 @ p["weight3"] + p["bias3"] - target  # (n,)
    loss = float((weight * error * error).sum() / 2)

    g: Parameters = {}
    by_output = weight * error  # (n,)
    g["weight3"], g["bias3"] = hidden2.T @ by_output, by_output.sum()
    by_hidden2 = np.outer(by_output, p["weight3"]) * (hidden2 > 0)  # (n, h2)
    g["weight2"], g["bias2"] = hidden1.T @ by_hidden2, by_hidden2.sum(axis=0)
    by_hidden1 = (by_hidden2 @ p["weight2"].T) * (hidden1 > 0)  # (n, h1)
    g["bias1"] = by_hidden1.sum(axis=0)
    for name in BLOCKS:
        g[f"{name}.weight"] = xs[name].T @ by_hidden1
    for name in EMBEDDED:
        g[f"{name}.project"] = es[name].T @ by_hidden1
        by_entry = (by_hidden1 @ p[f"{name}.project"].T) * masked[name][:, None].astype(target.dtype)
        g[f"{name}.embedding"] = np.zeros_like(p[f"{name}.embedding"])
        np.add.at(g[f"{name}.embedding"], np.maximum(batch.entries[name], 0), by_entry)
    return loss, g


def output(p: Mapping[str, Array], scaling: Mapping[str, Array], inputs: Inputs) -> Array:
    """The deep part's prediction of every row, (n,)."""
    first = p["bias1"]
    for name in BLOCKS:
        block = (inputs.blocks[name] - scaling[f"{name}.mean"]) * scaling[f"{name}.scale"]
        first = first + (block @ p[f"{name}.weight"])[inputs.rows[name]]
    for name in EMBEDDED:
        share = np.vstack([p[f"{name}.embedding"] @ p[f"{name}.project"], np.zeros((1, HIDDEN[0]))])
        first = first + share[inputs.entries[name]]  # −1 is the last row: nothing
    second = np.maximum(np.maximum(first, 0) @ p["weight2"] + p["bias2"], 0)
    return np.asarray(second @ p["weight3"] + p["bias3"])


def descend(
    initial: Mapping[str, Array],
    scaling: Mapping[str, Array],
    inputs: Inputs,
    target: Array,
    weight: Array,
    *,
    rng: np.random.Generator,
    epochs: int,
    batch: int = 512,
    rate: float = 4e-3,
    decay: float = 1e-3,
    forget: float = FORGET,
    watch: Callable[[int, Parameters], bool] | None = None,
) -> tuple[Parameters, list[float]]:
    """Adam with decoupled decay (Loshchilov & Hutter 2019) and a cosine schedule; the loss of every epoch.

    `weight` (n,) averages 1. `watch(epoch, parameters)` may stop early by answering True.
    """
    p = {name: np.asarray(value, dtype=np.float32) for name, value in initial.items()}
    scaling = {name: np.asarray(value, dtype=np.float32) for name, value in scaling.items()}
    target, weight = target.astype(np.float32), weight.astype(np.float32)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    count = len(inputs)
    steps = max(1, -(-count // batch)) * epochs
    step, losses = 0, []
    for epoch in range(epochs):
        order = rng.permutation(count)
        total = 0.0
        for start in range(0, count, batch):
            rows = order[start : start + batch]
            part = inputs.take(rows)
            masks = {name: (rng.random(len(rows)) >= forget).astype(np.float32) for name in HIDDEN_FIELDS}
            loss, g = gradients(p, scaling, part, target[rows], weight[rows] / np.float32(len(rows)), masks)
            total += loss * len(rows)
            step += 1
            pace = rate * 0.5 * (1 + np.cos(np.pi * step / steps)) + rate * 0.01
            for name, value in g.items():
                first[name] += 0.1 * (value - first[name])
                second[name] += 0.001 * (value * value - second[name])
                move = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
                shrink = 0.0 if name.startswith("bias") else decay
                p[name] = (p[name] - pace * (move + shrink * p[name])).astype(np.float32)
        losses.append(total / max(count, 1))
        if watch is not None and watch(epoch, p):
            break
    return p, losses


def vocabulary_sizes(vocabulary: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many entries each embedding has."""
    return {name: SIZES + 1 if name == "size" else len(vocabulary[name]) for name in EMBEDDED}
