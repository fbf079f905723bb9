"""Gradient boosting of symmetric trees, for kernels and cells that nobody has measured.

A symmetric tree asks the same question in every node of a level (Prokhorenkova et al., "CatBoost: Unbiased
Boosting
with Categorical Features", 2018), so it is a table of 2^DEPTH values and a browser evaluates all trees in a
few numpy
operations (`fleetune.trees`). Squared error; every kernel has the same weight, however many rows it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Floats, Ints

DEPTH = 5
TREES = 200
RATE = 0.06
RIDGE = 20.0  # of leaf values, in rows of mean weight
ROWS, COLUMNS = 0.5, 0.3  # shares that each tree sees
BINS = 32


@dataclass(frozen=True)
class Trees:
    """`feature`, `threshold` (trees, DEPTH); `leaf` (trees, 2^DEPTH); a row's answer is base + Σ its
    leaves."""

    base: float
    feature: Ints
    threshold: Floats
    leaf: Floats


def nothing(base: float) -> Trees:
    """No trees at all: `base` everywhere."""
    none = np.zeros((0, DEPTH))
    return Trees(base, none.astype(np.int64), none, np.zeros((0, 1 << DEPTH)))


def boost(x: Floats, y: Floats, weight: Floats, *, seed: int, trees: int = TREES) -> Trees:
    """Fit `y` (n,) from features `x` (n, features) with weights (n,)."""
    rng = np.random.default_rng(seed)
    weight = weight / weight.mean()
    binned, edges = _binned(x)
    base = float(np.average(y, weights=weight))
    residual = y - base
    feature = np.zeros((trees, DEPTH), dtype=np.int64)
    threshold = np.zeros((trees, DEPTH))
    leaf = np.zeros((trees, 1 << DEPTH))
    useful = np.flatnonzero([len(e) > 0 for e in edges])
    for number in range(trees):
        rows = np.flatnonzero(rng.random(len(y)) < ROWS)
        columns = rng.choice(useful, max(1, round(COLUMNS * len(useful))), replace=False)
        place = np.zeros(len(y), dtype=np.int64)
        w, g = weight[rows], (weight * residual)[rows]
        part = binned[columns][:, rows]
        sums = _sums(part, np.zeros(len(rows), dtype=np.int64), w, g, 1)
        for level in range(DEPTH):
            best, split = _question(sums)
            column = columns[best]
            feature[number, level] = column
            split = min(split, len(edges[column]) - 1)
            threshold[number, level] = edges[column][split]
            yes = binned[column] > split
            if level < DEPTH - 1:  # the answer that fewer rows give is summed, the other's are the rest
                said = yes[rows]
                few = 2 * np.count_nonzero(said) <= len(rows)
                some = np.flatnonzero(said == few)
                counted = _sums(part[:, some], place[rows[some]], w[some], g[some], 1 << level)
                sides = [sums - counted, counted] if few else [counted, sums - counted]
                sums = np.concatenate(sides, axis=2)
            place |= yes.astype(np.int64) << level
        total = np.bincount(place[rows], w, 1 << DEPTH)
        leaf[number] = RATE * np.bincount(place[rows], g, 1 << DEPTH) / (total + RIDGE)
        residual = residual - leaf[number][place]
    return Trees(base, feature, threshold, leaf)


def _binned(x: Floats) -> tuple[NDArray[np.uint8], list[Floats]]:
    """Every feature by at most BINS − 1 thresholds at its quantiles: numbers of bins (features, n), and the
    thresholds."""
    binned = np.zeros(x.shape[::-1], dtype=np.uint8)
    edges = []
    for column in range(x.shape[1]):
        values = np.unique(x[:, column])
        middle = (values[1:] + values[:-1]) / 2
        if len(middle) >= BINS:
            middle = np.unique(np.quantile(middle, np.linspace(0, 1, BINS - 1)))
        middle = middle.astype(np.float32).astype(np.float64)  # as the artefact keeps them
        binned[column] = np.searchsorted(middle, x[:, column], side="left")
        edges.append(middle)
    return binned, edges


def _sums(binned: NDArray[np.uint8], place: Ints, weight: Floats, gradient: Floats, nodes: int) -> Floats:
    """The weights and gradients of `binned` (columns, n) by column, node and bin: (2, columns, nodes, BINS)."""
    sums = np.empty((2, len(binned), nodes * BINS))
    node = place * BINS
    for column, bins in enumerate(binned):  # all at once would copy weights and gradients for each
        cell = node + bins
        sums[0, column] = np.bincount(cell, weight, nodes * BINS)
        sums[1, column] = np.bincount(cell, gradient, nodes * BINS)
    return sums.reshape(2, len(binned), nodes, BINS)


def _question(sums: Floats) -> tuple[int, int]:
    """The column and threshold whose question, put in all nodes, leaves the least squared error."""
    w, g = sums.cumsum(axis=3)
    right_w, right_g = w[:, :, -1:] - w, g[:, :, -1:] - g
    score = (g**2 / (w + RIDGE) + right_g**2 / (right_w + RIDGE)).sum(axis=1)[:, :-1]  # (columns, BINS − 1)
    best, split = np.unravel_index(int(np.argmax(score)), score.shape)
    return int(best), int(split)
