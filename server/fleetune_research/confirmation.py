"""Which candidate to time next, and when to stop: sequential expected gain, pooled over a kernel's contexts; and
the same played over recorded repeats: what is timed comes from one, what is judged from the others.

No page runs it. A page's benchmark times every candidate of a context: its report is drawn evenly among what was
timed, and a rule that times what promises most would make every report tell of the leaders. An embedding page
without reports times the three that promise most (`confirm_calls.js`).

Input: for every cell (context × candidate) of one kernel the expected ln speedup over the reference and its
standard deviation, and how much the errors of any two cells have in common. Reference cells are known: 0 ± 0.
Output of `next_timing`: the cell of a context whose timing promises the largest gain over the best that is
timed there, or None if none promises more than NEAR. `observe` tells the belief what was timed; a timing in
one context also corrects the expectations of all others, so that a kernel's later contexts need fewer.

The gain is the expected improvement of Bayesian optimisation (Močkus, 1975; Jones, Schonlau & Welch, 1998);
the correction is Gaussian conditioning, one rank-one update for each timing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetune.context import Context, Environment
from fleetune.copying import most
from fleetune.features import Floats, Ints
from fleetune.manifest import BASELINE
from fleetune.model import Answer, Model
from fleetune_server.training.lab import LabRow
from fleetune_server.training.quality import Contexts

NEAR = 0.045  # ln speedup: an expected gain below this is not worth a timing
WIDE = 2.8  # times the predicted deviation: errors on unseen kernels have heavier tails than a Gaussian's
NOISE = 0.01  # least relative error of a timing
MOST = 12  # timings in one context, the reference among them
# Correlation of the errors of two predictions, as measured on kernels left out of the lab data (0.96, 0.85 and 0.43 for
# the last three); WIDE and NEAR were chosen with them, on other divisions of the kernels than those that are reported:
COMMON = 0.5  # between candidates that share no optimisation,
ALIKE = 0.8  # and of the rest, by optimisation that only one of them has;
SIZE = 0.96  # times this by factor of two between sizes,
COPIED = 0.85  # this if only one copies its arrays,
PATTERN = 0.4  # and this if the data patterns differ


def correlation(contexts: Sequence[Context], ideas: Sequence[Collection[str]]) -> Floats:
    """How the errors of cells go together, (n, n); `contexts` and `ideas` (optimisations) are those of
    each."""
    size = np.array([context.log2_size for context in contexts], dtype=float)
    copied = np.array([context.copied for context in contexts])
    pattern = np.array([context.base_pattern for context in contexts])
    words = sorted({word for idea in ideas for word in idea})
    has = np.array([[word in idea for word in words] for idea in ideas], dtype=float).reshape(len(ideas), -1)
    apart = np.abs(has[:, None, :] - has[None, :, :]).sum(axis=2)
    near = SIZE ** np.abs(size[:, None] - size)
    near = near * np.where(copied[:, None] == copied, 1.0, COPIED)
    near = near * np.where(pattern[:, None] == pattern, 1.0, PATTERN)
    return np.asarray(near * (COMMON + (1 - COMMON) * ALIKE**apart))


class Belief:
    """What is expected of each cell of one kernel: `mean` (n,) and `covariance` (n, n) of ln speedups."""

    def __init__(self, mean: Floats, sd: Floats, correlated: Floats) -> None:
        self.mean = np.array(mean, dtype=float)
        self.covariance = np.asarray(correlated * np.outer(sd, sd)) * WIDE**2
        self.timed: set[int] = set()

    def observe(self, cell: int, log_speedup: float, noise: float = NOISE) -> None:
        """Take in one timing, of ln speedup `log_speedup` with standard error `noise`."""
        column = self.covariance[:, cell].copy()
        gain = column / (column[cell] + noise**2)
        self.mean += gain * (log_speedup - self.mean[cell])
        self.covariance -= np.outer(gain, column)
        self.timed.add(cell)

    def next_timing(self, here: Sequence[int]) -> int | None:
        """The cell among `here`, the cells of one context, to time next; None if enough is known."""
        known = [cell for cell in here if cell in self.timed]
        left = [cell for cell in here if cell not in self.timed]
        if not left or len(known) >= MOST:
            return None
        best = max((float(self.mean[cell]) for cell in known), default=-math.inf)
        if not known:
            return max(left, key=lambda cell: (self.mean[cell], -cell))
        gains = {cell: self._gain(cell, best) for cell in left}
        following = max(left, key=lambda cell: (gains[cell], -cell))
        return following if gains[following] > NEAR else None

    def choice(self, here: Sequence[int]) -> int:
        """The best cell of a context: of those that were timed, if two or more were, else of all."""
        known = [cell for cell in here if cell in self.timed]
        return max(known if len(known) > 1 else here, key=lambda cell: (self.mean[cell], -cell))

    def _gain(self, cell: int, best: float) -> float:
        variance = max(float(self.covariance[cell, cell]), 0.0)
        return expected_gain(float(self.mean[cell]) - best, math.sqrt(variance))


def expected_gain(difference: float, sd: float) -> float:
    """E[max(0, x)] for x ~ N(difference, sd²): what timing an alternative may bring, in ln speedup."""
    if sd <= 0:
        return max(0.0, difference)
    z = difference / sd
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return difference * 0.5 * math.erfc(-z / math.sqrt(2)) + sd * density


@dataclass(frozen=True)
class Repeat:
    """What one repeat of the lab timed: ln speedups by candidate and the reference's ns a call, by
    context."""

    speedups: Mapping[tuple[str, Context, Environment], Mapping[str, float]]
    reference_ns: Mapping[tuple[str, Context, Environment], float]

    @classmethod
    def of(cls, lab: Sequence[LabRow], repeat: int) -> Repeat:
        here = [row for row in lab if row.repeat == repeat]
        key = {id(row): (row.signature, row.context, row.environment) for row in here}
        return cls(
            {key[id(row)]: row.log_speedups(np.inf) for row in here},
            {key[id(row)]: row.times[BASELINE] * 1e6 for row in here},
        )


def timed_answer(contexts: Contexts, model: Model, repeat: Repeat) -> Answer:
    """What a page expects that has timed the reference, and nothing else: modules' speedups are at most what
    copying leaves."""
    f = contexts.frame
    places = zip(f.kernel, f.context, f.environment, strict=True)
    times = [
        repeat.reference_ns.get((f.kernels[k].signature, f.contexts[c], f.environments[e]))
        for k, c, e in places
    ]
    answer = model.predict_frame(f, np.array(times, dtype=float))
    mean = answer.mean.copy()
    for i in range(len(contexts)):
        rows = np.arange(contexts.start[i], contexts.start[i + 1])
        kernel = f.kernels[f.kernel[rows[0]]]
        where = kernel.signature, f.contexts[f.context[rows[0]]], f.environments[f.environment[rows[0]]]
        if where in repeat.reference_ns:
            limit = most(kernel, where[1], repeat.reference_ns[where])
            module = np.array([f.candidates[c] in kernel.variants for c in f.candidate[rows]])
            mean[rows[module]] = np.minimum(mean[rows[module]], limit)
    return Answer(mean, answer.sd, answer.contrast)


def confirmed(contexts: Contexts, answer: Answer, repeat: Repeat, seed: int) -> tuple[Ints, Floats]:
    """The row that is chosen in each context once the rule has ended, and how many timings it took, the
    reference
    among them; (contexts,) each. A kernel's contexts come in random order, as a page meets them."""
    f = contexts.frame
    rng = np.random.default_rng(seed)
    chosen, timings = contexts.start[:-1].copy(), np.ones(len(contexts))
    first = contexts.start[:-1]
    place = f.kernel[first] * len(f.environments) + f.environment[first]
    for number in np.unique(place):
        of_place = np.flatnonzero(place == number)
        rows = np.concatenate([np.arange(contexts.start[i], contexts.start[i + 1]) for i in of_place])
        kernel = f.kernels[f.kernel[rows[0]]]
        names = [f.candidates[c] for c in f.candidate[rows]]
        ideas = [(name,) if name in kernel.baselines else kernel.optimisations(name) for name in names]
        made = Belief(
            answer.mean[rows], answer.sd[rows], correlation([f.contexts[c] for c in f.context[rows]], ideas)
        )
        at = {row: cell for cell, row in enumerate(rows.tolist())}
        for i in rng.permutation(of_place):
            span = range(contexts.start[i], contexts.start[i + 1])
            where = kernel.signature, f.contexts[f.context[span[0]]], f.environments[f.environment[span[0]]]
            seen = repeat.speedups.get(where, {})
            # What this repeat could not time is out of the question, and the reference is always timed.
            here = [at[row] for row in span if f.candidates[f.candidate[row]] in seen]
            for cell in here:
                if names[cell] == BASELINE:
                    made.observe(cell, 0.0)
            while (following := made.next_timing(here)) is not None:
                made.observe(following, seen[names[following]])
                timings[i] += 1
            if here:
                chosen[i] = rows[made.choice(here)]
    return chosen, timings
