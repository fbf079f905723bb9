"""How good predictions and choices are against measured truth. One definition of every metric.

MAE = mean |ln predicted − ln true| · accuracy = 1 − mean |predicted − true| / true · regret = mean over
contexts of 1 − speedup(chosen) / speedup(best) · optimal = the chosen is the measured best (within 3 %:
at most 3 % slower) · geometric and arithmetic mean speedup over `js` · percent of oracle = ratio of
geometric means. All are fractions. A context is one (kernel, context, environment) with every candidate
measured in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetune.choose import Choice, choose, safe_default
from fleetune.features import Floats, Frame, Ints
from fleetune.manifest import BASELINE
from fleetune.model import Answer, Model, Predictions
from fleetune_server.training.fit import Rows

NEAR = 1.03
DRAWS = 200  # of kernels, for the intervals that are published with a model


@dataclass(frozen=True)
class Contexts:
    """Measured contexts: rows sorted by context, `js` (ln speedup 0) first in each; `start` bounds them."""

    frame: Frame
    truth: Floats  # (n,)
    group: Ints  # (n,) context of each row
    start: Ints  # (contexts + 1,)
    source: Ints  # (n,) the row of the original frame; −1 for `js`

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of(cls, rows: Rows) -> Contexts:
        """Group rows (at most one per cell) by context and add `js` to each."""
        frame = rows.frame
        place = (frame.kernel * len(frame.contexts) + frame.context) * len(
            frame.environments
        ) + frame.environment
        distinct, first, inverse = np.unique(place, return_index=True, return_inverse=True)
        names = [BASELINE, *frame.candidates]
        kernel, context, environment = (
            np.concatenate([column[first], column])
            for column in (frame.kernel, frame.context, frame.environment)
        )
        script = np.array([name == BASELINE for name in frame.candidates], dtype=bool)
        if script[frame.candidate].any():
            raise ValueError("rows must not hold js itself")
        candidate = np.concatenate([np.zeros(len(distinct), dtype=np.int64), frame.candidate + 1])
        group = np.concatenate([np.arange(len(distinct)), inverse])
        order = np.argsort(group, kind="stable")
        truth = np.concatenate([np.zeros(len(distinct)), rows.target])
        joined = Frame(
            frame.kernels, frame.contexts, frame.environments, names,
            kernel[order], context[order], environment[order], candidate[order],
        )  # fmt: skip
        group = group[order]
        start = np.searchsorted(group, np.arange(len(distinct) + 1))
        source = np.concatenate([np.full(len(distinct), -1), np.arange(len(frame))])[order]
        return cls(joined, truth[order], group, start, source)

    @property
    def is_script(self) -> NDArray[np.bool_]:
        """Rows of `js`."""
        return np.asarray(self.frame.candidate == 0)

    def kernel_of(self) -> Ints:
        """The kernel index of every context."""
        return self.frame.kernel[self.start[:-1]]

    def best(self, score: Floats | None = None) -> Ints:
        """The row with the highest score (default: the truth) of every context, (contexts,)."""
        score = self.truth if score is None else score
        order = np.lexsort((-np.arange(len(score)), score, self.group))
        return np.asarray(order[self.start[1:] - 1])

    def rows_of(self, name_of: Callable[[int], str]) -> Ints:
        """The row of the candidate that `name_of(context)` names; `js` where it was not measured."""
        chosen = self.start[:-1].copy()
        for i in range(len(self)):
            wanted = name_of(i)
            for row in range(self.start[i], self.start[i + 1]):
                if self.frame.candidates[self.frame.candidate[row]] == wanted:
                    chosen[i] = row
        return chosen

    def heuristic(self) -> Ints:
        """The capability heuristic's row of every context."""
        f = self.frame

        def name(i: int) -> str:
            row = self.start[i]
            return safe_default(f.kernels[f.kernel[row]], f.environments[f.environment[row]].features)

        return self.rows_of(name)


def decide(contexts: Contexts, answer: Answer) -> list[Choice]:
    """What `choose` says in every context, nothing measured yet, given predictions of every row."""
    f = contexts.frame
    decisions = []
    for i in range(len(contexts)):
        part = slice(contexts.start[i], contexts.start[i + 1])
        row = contexts.start[i]
        names = tuple(f.candidates[c] for c in f.candidate[part])
        decisions.append(
            choose(
                f.kernels[f.kernel[row]],
                f.contexts[f.context[row]],
                f.environments[f.environment[row]],
                Predictions(names, answer.mean[part], answer.sd[part], contrast=answer.contrast[part]),
                {},
                (),
            )
        )
    return decisions


def chosen_rows(contexts: Contexts, decisions: Sequence[Choice]) -> Ints:
    """The row of every context's choice."""
    return contexts.rows_of(lambda i: decisions[i].candidate)


def prediction_quality(predicted: Floats, truth: Floats) -> dict[str, float]:
    """mae and accuracy over rows (leave `js` out: it is exact by definition)."""
    error = np.abs(predicted - truth)
    relative = np.abs(np.expm1(predicted - truth))
    return {"mae": float(error.mean()), "accuracy": float(1 - relative.mean())}


def choice_quality(contexts: Contexts, chosen: Ints) -> dict[str, float]:
    """Optimal, optimal_within_3pct, regret, geomean_speedup, mean_speedup, percent_of_oracle."""
    return choice_summary(contexts.truth[chosen], contexts.truth[contexts.best()])


def choice_summary(got: Floats, best: Floats) -> dict[str, float]:
    """The same from ln speedups of the chosen and of the best, (contexts,) each."""
    ratio = np.exp(got - best)
    return {
        "optimal": float(np.mean(got >= best)),
        "optimal_within_3pct": float(np.mean(ratio * NEAR >= 1)),
        "regret": float(np.mean(1 - ratio)),
        "geomean_speedup": float(np.exp(np.mean(got))),
        "mean_speedup": float(np.mean(np.exp(got))),
        "percent_of_oracle": float(np.exp(np.mean(got - best))),
    }


def model_quality(model: Model, rows: Rows) -> dict[str, float]:
    """All metrics of a model on rows that it was not trained on."""
    contexts = Contexts.of(rows)
    answer = model.predict_frame(contexts.frame)
    variants = ~contexts.is_script
    chosen = chosen_rows(contexts, decide(contexts, answer))
    return prediction_quality(answer.mean[variants], contexts.truth[variants]) | choice_quality(
        contexts, chosen
    )


def model_intervals(model: Model, rows: Rows) -> dict[str, tuple[float, float]]:
    """95 % intervals of `model_quality`: whole kernels are drawn, since others might have been measured."""
    contexts = Contexts.of(rows)
    answer = model.predict_frame(contexts.frame)
    variants = np.flatnonzero(~contexts.is_script)
    chosen, best = chosen_rows(contexts, decide(contexts, answer)), contexts.best()
    kernel = contexts.kernel_of()

    def statistic(picked: Ints) -> dict[str, float]:
        return choice_summary(contexts.truth[chosen[picked]], contexts.truth[best[picked]])

    def error(picked: Ints) -> dict[str, float]:
        at = variants[picked]
        return prediction_quality(answer.mean[at], contexts.truth[at])

    choices = bootstrap(statistic, kernel, draws=DRAWS)
    return choices | bootstrap(error, contexts.frame.kernel[variants], draws=DRAWS)


def bootstrap(
    statistic: Callable[[Ints], Mapping[str, float]], groups: Ints, *, draws: int = 400
) -> dict[str, tuple[float, float]]:
    """95 % intervals of a statistic of item indices, by drawing whole groups (kernels) with replacement."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    samples: dict[str, list[float]] = {}
    for _ in range(draws):
        picked = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        for name, value in statistic(picked).items():
            samples.setdefault(name, []).append(value)
    return {
        name: (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975)))
        for name, values in samples.items()
    }
