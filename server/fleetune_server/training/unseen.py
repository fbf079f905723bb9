"""What a call that nobody measured takes from measured sizes: a correction of the smooth part, learned by leaving out.

A Gaussian process goes on flat beyond the sizes that were measured, and a smallest size loses to call overhead and
remainder loops what the next larger one says nothing of. So each measured call (size and data pattern) is left out in
turn, and boosted trees learn the process's error there, for all kernels together, from static features and from how
speedups change between the sizes that are left. This is stacking (Wolpert, "Stacked Generalization", 1992). Its
answers become part of the wide rows of calls that nobody measured; a browser does nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Environment
from fleetune.covariance import Points
from fleetune.features import Features, Floats, Frame, Ints
from fleetune.manifest import Kernel
from fleetune.trees import design
from fleetune_server.training.boost import Trees, boost, nothing
from fleetune_server.training.prior import MOST_ROWS, answer
from fleetune_server.training.smooth import unseen_scale

FAR = 25.0  # log2 of size: the distance to a neighbour that there is none
SEED = 0  # always the same, so that equal rows give equal answers


@dataclass(frozen=True)
class Sizes:
    """One kernel's table of what is known: `mean` (contexts, candidates) is the smooth part's ln speedup for any
    engine, `measured` (contexts,) tells where it comes from a measurement."""

    kernel: Kernel
    points: Points  # measured; its contexts are those of the table
    mean: Floats
    measured: NDArray[np.bool_]

    def features(
        self, features: Features, environment: Environment, context: Ints, candidate: Ints
    ) -> Floats:
        """Feature vectors of cells (n,): static ones, and what neighbouring sizes tell; (n, features)."""
        contexts, names = self.points.contexts, self.points.candidates
        frame = Frame([self.kernel], contexts, [environment], names, *np.zeros((4, 0), dtype=np.int64))
        here = np.zeros(len(context), dtype=np.int64)
        static = design(features, frame, here, context, here, candidate)
        around = {c: self._around(c) for c in np.unique(context).tolist()}
        near = [around[c][v] for c, v in zip(context.tolist(), candidate.tolist(), strict=True)]
        return np.hstack([static, np.array(near).reshape(len(context), -1)])

    def _around(self, context: int) -> Floats:
        """What other sizes tell of a context: log2 distances to the next smaller and larger size; the change of ln
        speedup for each doubling among the larger sizes, among the smaller, and between the two nearest; the same
        less its mean over candidates: (candidates, 8)."""
        here = self.points.contexts[context]
        alike = [
            (other.log2_size - here.log2_size, i)
            for i, other in enumerate(self.points.contexts)
            if self.measured[i] and (other.base_pattern, other.copied) == (here.base_pattern, here.copied)
        ]
        above = sorted(pair for pair in alike if pair[0] > 0)
        below = sorted((pair for pair in alike if pair[0] < 0), reverse=True)
        nearest = [*below[:1], *above[:1]] if below and above else []
        change = np.stack([self._change(pair) for pair in (above[:2], below[:2], nearest)], axis=1)
        gaps = [float(abs(side[0][0])) if side else FAR for side in (below, above)]
        every = np.tile(gaps, (len(change), 1))
        return np.hstack([every, change, change - change.mean(axis=0)])

    def _change(self, pair: Sequence[tuple[int, int]]) -> Floats:
        """ln speedup for each doubling of the size between two contexts (distance, number); 0 without two."""
        if len(pair) < 2:
            return np.zeros(self.mean.shape[1])
        (a, i), (b, j) = pair
        return np.asarray((self.mean[j] - self.mean[i]) / (b - a))


@dataclass(frozen=True)
class Correction:
    """What to add to the smooth part where nobody measured the call, and the factor of its variances there."""

    trees: Trees
    scale: float
    features: Features
    environment: Environment

    @classmethod
    def of(
        cls,
        kernels: Sequence[Sizes],
        left_out: Sequence[tuple[Floats, Floats]],
        features: Features,
        environment: Environment,
    ) -> Correction:
        """Learn from errors (measured − predicted) and deviations of every kernel's points, their calls left out in
        turn. Engines of a cell are averaged: the correction is the same for all. The variances' factor is
        calibrated on errors that trees of other kernels have corrected."""
        x, y, groups = [], [], []
        for sizes, (error, _) in zip(kernels, left_out, strict=True):
            points = sizes.points
            cell = points.context * len(points.candidates) + points.candidate
            _, first, group = np.unique(cell, return_index=True, return_inverse=True)
            x.append(sizes.features(features, environment, points.context[first], points.candidate[first]))
            y.append(np.bincount(group, error) / np.bincount(group))
            groups.append(group)
        ratios = []
        for half in (range(0, len(x), 2), range(1, len(x), 2)):
            others = [i for i in range(len(x)) if i not in half]
            trees = _learn([x[i] for i in others], [y[i] for i in others])
            for i in half:
                error, deviation = left_out[i]
                ratios.append(np.abs(error - answer(trees, x[i])[groups[i]]) / deviation)
        return cls(_learn(x, y), unseen_scale(np.concatenate(ratios)), features, environment)

    def table(self, sizes: Sizes) -> Floats:
        """What to add to each context and candidate; 0 where the call was measured: (contexts, candidates)."""
        added = np.zeros(sizes.mean.shape)
        context, candidate = np.nonzero(np.broadcast_to(~sizes.measured[:, None], added.shape))
        if len(context):
            told = sizes.features(self.features, self.environment, context, candidate)
            added[context, candidate] = answer(self.trees, told)
        return added


def _learn(x: Sequence[Floats], y: Sequence[Floats]) -> Trees:
    """Trees for each kernel's cells; every kernel counts the same. Of no kernels they say nothing."""
    if not x:
        return nothing(0.0)
    weight = np.concatenate([np.full(len(part), 1 / len(part)) for part in y])
    rows = np.arange(len(weight))
    if len(rows) > MOST_ROWS:
        rows = np.random.default_rng(SEED).choice(rows, MOST_ROWS, replace=False)
    return boost(np.vstack(x)[rows], np.concatenate(y)[rows], weight[rows], seed=SEED)
