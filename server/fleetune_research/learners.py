"""Learners compared on kernels that they have not seen, and how much each further kernel teaches the shipped one.

Every learner gets the same rows, the same features (the time of the JavaScript reference among them) and the same
cap on what a copied call can gain, and chooses the candidate that it expects to be fastest. Kernels are left out in
groups, as in `evaluate --split heldout_kernel`; every kernel weighs the same in training and in the figures.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.copying import most
from fleetune.features import Features, Floats, Ints
from fleetune.trees import design, timings
from fleetune_research import baselines, splits
from fleetune_research.confirmation import Repeat
from fleetune_server.training.boost import boost
from fleetune_server.training.prior import TIMED_TREES, answer
from fleetune_server.training.quality import Contexts, bootstrap
from fleetune_server.training.rows import Rows, kept_out

TIMING = 4  # features, the last ones, that tell of the reference's time
RIDGE = 100.0  # rows of mean weight
NEIGHBOURS = 15
SHIPPED, HEURISTIC = "trees_timed", "capability_heuristic"
WITH_FORGED = "trees_timed, forged kernels learned too"
CURVE = (3, 6, 12, 24)  # kernels to learn from


@dataclass(frozen=True)
class Task:
    """Features and ln speedups to learn from, each with a weight, and the features to answer for."""

    x: Floats
    y: Floats
    weight: Floats
    asked: Floats
    seed: int


def ridge(task: Task) -> Floats:
    """Linear regression on standardised features."""
    middle, spread = task.x.mean(axis=0), task.x.std(axis=0)
    useful = spread > 0
    x, asked = (((m - middle) / np.where(useful, spread, 1))[:, useful] for m in (task.x, task.asked))
    weight = task.weight / task.weight.mean()
    base = float(np.average(task.y, weights=weight))
    gram = (x * weight[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
    return np.asarray(base + asked @ np.linalg.solve(gram, (x * weight[:, None]).T @ (task.y - base)))


def nearest(task: Task) -> Floats:
    """The mean of the nearest rows in standardised features, weighted by nearness."""
    from sklearn.neighbors import KNeighborsRegressor

    spread = np.where(task.x.std(axis=0) > 0, task.x.std(axis=0), np.inf)
    model = KNeighborsRegressor(NEIGHBOURS, weights="distance", algorithm="brute", n_jobs=1)
    return np.asarray(model.fit(task.x / spread, task.y).predict(task.asked / spread))


def forest(task: Task) -> Floats:
    """A random forest."""
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        60, min_samples_leaf=5, max_features=0.3, max_samples=0.5, n_jobs=1, random_state=task.seed
    )
    model.fit(task.x, task.y, task.weight / task.weight.mean())
    return np.asarray(model.predict(task.asked))


def lightgbm(task: Task) -> Floats:
    """LightGBM, shrunk and sampled like the shipped trees."""
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(
        n_estimators=300, learning_rate=0.05, num_leaves=31, min_child_samples=20, reg_lambda=20.0,
        subsample=0.5, subsample_freq=1, colsample_bytree=0.3, n_jobs=1, verbose=-1, random_state=task.seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about names of features
        model.fit(task.x, task.y, sample_weight=task.weight / task.weight.mean())
        return np.asarray(model.predict(task.asked), dtype=np.float64)


def trees_timed(task: Task) -> Floats:
    """The ensemble that ships to pages, which have timed the reference."""
    fitted = boost(task.x, task.y, task.weight, seed=task.seed, trees=TIMED_TREES)
    return answer(fitted, task.asked)


def trees(task: Task) -> Floats:
    """The ensemble that ships for whoever has not timed the reference."""
    fitted = boost(task.x[:, :-TIMING], task.y, task.weight, seed=task.seed)
    return answer(fitted, task.asked[:, :-TIMING])


LEARNERS: Mapping[str, Callable[[Task], Floats]] = {
    "ridge": ridge,
    "nearest_neighbours": nearest,
    "random_forest": forest,
    "lightgbm": lightgbm,
    "trees": trees,
    SHIPPED: trees_timed,
}


@dataclass
class Played:
    """What one learner's choices brought, fold after fold, by context."""

    loss: list[Floats] = field(default_factory=list)  # ln of the chosen ÷ the best
    error: list[Floats] = field(default_factory=list)  # mean |ln predicted − ln true| over the candidates

    def by_kernel(self, kernels: Ints) -> dict[str, Floats]:
        """Means over the contexts of each kernel."""
        loss, of = np.concatenate(self.loss), np.unique(kernels, return_inverse=True)[1]
        columns = {"loss": loss, "regret": 1 - np.exp(loss)}
        if self.error:
            columns["mae"] = np.concatenate(self.error)
        return {name: np.bincount(of, column) / np.bincount(of) for name, column in columns.items()}


def compare(
    rows: Rows,
    timed: Repeat,
    *,
    forged: Rows | None = None,
    seeds: Sequence[int],
    learners: Mapping[str, Callable[[Task], Floats]] = LEARNERS,
    curve: Sequence[int] = CURVE,
    draws: int = 1000,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Every learner's figures with 95 % bounds by drawing kernels, and the shipped one's learning curve.

    With `forged` rows the shipped learner is also taught by them. `timed` says how long the reference takes where the
    learners are asked; `rows` judge, and come from other repeats.
    """
    features = Features.of(Rows.join([rows, forged]).frame if forged else rows.frame)
    more = _design(features, forged) if forged else None
    played: dict[str, Played] = {}
    kernels: list[Ints] = []
    for seed in seeds:
        folds = list(splits.heldout_kernel(rows, seed))
        for number, fold in enumerate(folds):
            progress(f"seed {seed}: fold {number + 1} of {len(folds)}")
            train = fold.train.take(~kept_out(fold.train.frame))
            contexts = Contexts.of(splits.of_people(fold.test))
            kernels.append(contexts.kernel_of())
            _note(played, HEURISTIC, contexts, contexts.heuristic())
            test = _timed(splits.of_people(fold.test), contexts, timed)
            x, asked = _design(features, train), _design(features, test)
            cap = _most(test)
            task = Task(x, train.target, _weights(train), asked, seed)
            predicted = {name: learner(task) for name, learner in learners.items()}
            if forged and more is not None:
                y = np.concatenate([train.target, forged.target])
                weight = np.concatenate([_weights(train), _weights(forged)])
                predicted[WITH_FORGED] = trees_timed(Task(np.vstack([x, more]), y, weight, asked, seed))
            predicted["variant_mean"] = baselines.variant_mean(train, contexts.frame)
            for count in curve:
                few = np.isin(train.frame.kernel, _some(train, count, seed))
                if not few.all():
                    part = Task(x[few], train.target[few], _weights(train.take(few)), asked, seed)
                    predicted[f"{SHIPPED} {count}"] = trees_timed(part)
            for name, value in predicted.items():
                answered = np.where(contexts.is_script, 0.0, np.minimum(value, cap))
                _note(played, name, contexts, contexts.best(answered), answered)
    return _figures(played, np.concatenate(kernels), len(np.unique(rows.frame.kernel)), curve, draws)


def _figures(
    played: Mapping[str, Played], kernels: Ints, count: int, curve: Sequence[int], draws: int
) -> dict[str, Any]:
    means = {name: result.by_kernel(kernels) for name, result in played.items()}
    every = np.arange(len(np.unique(kernels)))

    def figures(name: str) -> dict[str, Any]:
        own = means[name]

        def statistic(picked: Ints) -> dict[str, float]:
            told = {"percent_of_oracle": float(np.exp(own["loss"][picked].mean()))}
            told |= {key: float(own[key][picked].mean()) for key in ("regret", "mae") if key in own}
            for other, key in ((HEURISTIC, "over_heuristic"), (SHIPPED, "of_shipped")):
                if other in means and name != other:
                    apart = own["loss"] - means[other]["loss"]
                    told[key] = float(np.exp(apart[picked].mean()))
            return told

        bounds = bootstrap(statistic, every, draws=draws)
        return statistic(every) | {"interval": {key: list(pair) for key, pair in bounds.items()}}

    steps = {number: f"{SHIPPED} {number}" for number in curve}
    learned = {number: figures(name) for number, name in steps.items() if name in means}
    result = {name: figures(name) for name in means if name not in steps.values()}
    if SHIPPED in result:
        learned[count - splits.KERNEL_GROUP] = result[SHIPPED]
    return {"kernels": count, "contexts": len(kernels), "learners": result, "learning_curve": learned}


def _note(
    played: dict[str, Played], name: str, contexts: Contexts, chosen: Ints, answered: Floats | None = None
) -> None:
    own = played.setdefault(name, Played())
    own.loss.append(contexts.truth[chosen] - contexts.truth[contexts.best()])
    if answered is not None:
        error = np.abs(answered - contexts.truth)
        candidates = np.maximum(np.bincount(contexts.group) - 1, 1)
        own.error.append(np.bincount(contexts.group, error) / candidates)


def _timed(rows: Rows, contexts: Contexts, repeat: Repeat) -> Rows:
    """The rows of `contexts`, the reference's among them, each with the reference's time in `repeat`, or where that
    has none in what it is judged by."""
    known = np.zeros(len(contexts))
    ordinary = contexts.source >= 0
    known[contexts.group[ordinary]] = rows.reference_ns[contexts.source[ordinary]]
    f, first = contexts.frame, contexts.start[:-1]
    for i, (k, c, e) in enumerate(zip(f.kernel[first], f.context[first], f.environment[first], strict=True)):
        place = f.kernels[k].signature, f.contexts[c], f.environments[e]
        known[i] = repeat.reference_ns.get(place, known[i])
    variance = np.zeros(len(contexts.truth))
    return Rows(f, contexts.truth, variance, known[contexts.group])


def _design(features: Features, rows: Rows) -> Floats:
    f = rows.frame
    static = design(features, f, f.kernel, f.context, f.environment, f.candidate)
    return np.hstack([static, timings(features, f, rows.reference_ns)])


def _most(rows: Rows) -> Floats:
    """The ln speedup that each row cannot exceed, for its copies; scripts copy nothing."""
    f = rows.frame
    columns = zip(f.kernel, f.context, f.candidate, rows.reference_ns, strict=True)
    return np.array(
        [
            most(f.kernels[k], f.contexts[c], ns) if f.candidates[v] in f.kernels[k].variants else np.inf
            for k, c, v, ns in columns
        ]
    )


def _weights(rows: Rows) -> Floats:
    """Every kernel weighs the same."""
    return np.asarray(1 / np.bincount(rows.frame.kernel)[rows.frame.kernel])


def _some(rows: Rows, count: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(np.unique(rows.frame.kernel))[:count]
