"""What people would use instead: each predicts or picks on the same rows as the model."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Features, Floats, Frame, Ints, engine_key, safe_default
from fleetune.manifest import BASELINE
from fleetune_server.training.fit import Rows
from fleetune_server.training.quality import Contexts

Matrix = NDArray[np.float64]


def pick_by_name(contexts: Contexts, names: Mapping[int, str] | str) -> Ints:
    """One fixed candidate (overall, or by kernel index); the capability heuristic where it cannot run."""
    f = contexts.frame

    def wanted(i: int) -> str:
        row = contexts.start[i]
        kernel = f.kernels[f.kernel[row]]
        features = f.environments[f.environment[row]].features
        name = names if isinstance(names, str) else names.get(int(f.kernel[row]), "")
        return name if name in kernel.candidates(features) else safe_default(kernel, features)

    return contexts.rows_of(wanted)


def fixed_picks(contexts: Contexts) -> dict[str, Ints]:
    """Every candidate name as the one choice for all."""
    return {name: pick_by_name(contexts, name) for name in contexts.frame.candidates}


def best_per_kernel(contexts: Contexts) -> Ints:
    """For each kernel the one candidate that is best in hindsight over these very contexts."""
    fixed = fixed_picks(contexts)
    kernels = contexts.kernel_of()
    best: dict[int, str] = {}
    for kernel in np.unique(kernels):
        here = kernels == kernel
        scores = {name: contexts.truth[rows[here]].mean() for name, rows in fixed.items()}
        best[int(kernel)] = max(scores, key=lambda name: scores[name])
    return pick_by_name(contexts, best)


def best_fixed(train: Rows, contexts: Contexts) -> Ints:
    """The one candidate that was best over the training rows."""
    seen = Contexts.of(train)
    scores = {name: seen.truth[rows].mean() for name, rows in fixed_picks(seen).items()}
    return pick_by_name(contexts, max(scores, key=lambda name: scores[name]))


def variant_mean(train: Rows, frame: Frame) -> Floats:
    """Predict each candidate's mean ln speedup over the training rows; the overall mean if it is new."""
    means = {
        train.frame.candidates[c]: float(train.target[train.frame.candidate == c].mean())
        for c in np.unique(train.frame.candidate)
    }
    overall = float(train.target.mean())
    by_name = np.array([0.0 if n == BASELINE else means.get(n, overall) for n in frame.candidates])
    return by_name[frame.candidate]


def design(features: Features, words: Mapping[str, Mapping[str, int]], frame: Frame) -> Matrix:
    """The model's own features, plus kernel, engine and candidate as numbers (NaN if new), (n, features)."""
    pairs: dict[tuple[int, int, int], list[float]] = {}
    for key in set(
        zip(frame.kernel.tolist(), frame.candidate.tolist(), frame.environment.tolist(), strict=True)
    ):
        kernel, candidate, environment = key
        pairs[key] = features.variant_vector(
            frame.kernels[kernel], frame.candidates[candidate], frame.environments[environment].features
        )
    rows = zip(frame.kernel.tolist(), frame.candidate.tolist(), frame.environment.tolist(), strict=True)
    nan = float("nan")
    coded = [
        np.array([words["kernel"].get(k.signature, nan) for k in frame.kernels])[frame.kernel],
        np.array([words["engine"].get(engine_key(e), nan) for e in frame.environments])[frame.environment],
        np.array([words["candidate"].get(c, nan) for c in frame.candidates])[frame.candidate],
    ]
    return np.hstack(
        [
            np.array([features.kernel_vector(k) for k in frame.kernels])[frame.kernel],
            np.array([pairs[row] for row in rows]),
            np.array([features.context_vector(c) for c in frame.contexts])[frame.context],
            np.array([features.environment_vector(e) for e in frame.environments])[frame.environment],
            np.column_stack(coded),
        ]
    )


def lightgbm(x: Matrix, y: Floats, test: Matrix) -> Floats:
    """LightGBM on the same features; the last three are categories."""
    from lightgbm import LGBMRegressor

    columns = list(range(x.shape[1] - 3, x.shape[1]))
    model = LGBMRegressor(
        n_estimators=600, learning_rate=0.05, num_leaves=63, min_child_samples=10, n_jobs=1, verbose=-1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about categories given by position
        model.fit(x, y, categorical_feature=columns)
        return np.asarray(model.predict(test), dtype=np.float64)


def sklearn_boosting(x: Matrix, y: Floats, test: Matrix) -> Floats:
    """scikit-learn's histogram gradient boosting on the same features."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    columns = list(range(x.shape[1] - 3, x.shape[1]))
    model = HistGradientBoostingRegressor(
        max_iter=400, learning_rate=0.08, max_leaf_nodes=63, categorical_features=columns, random_state=0
    )
    model.fit(x, y)
    return np.asarray(model.predict(test), dtype=np.float64)


BOOSTING: Mapping[str, tuple[str, Callable[[Matrix, Floats, Matrix], Floats]]] = {
    "lightgbm": ("lightgbm", lightgbm),
    "sklearn_boosting": ("sklearn", sklearn_boosting),
}


def available() -> list[str]:
    """The boosting baselines whose library is installed (development extras)."""
    return [name for name, (module, _) in BOOSTING.items() if importlib.util.find_spec(module)]


def boosted(name: str, train: Rows, frame: Frame) -> Floats:
    """ln speedups predicted for every row of `frame` by a boosting library trained on `train`; 0 for `js`."""
    f = train.frame
    words = {
        "kernel": {f.kernels[i].signature: n for n, i in enumerate(np.unique(f.kernel))},
        "engine": {k: n for n, k in enumerate(sorted({engine_key(e) for e in f.environments}))},
        "candidate": {f.candidates[i]: n for n, i in enumerate(np.unique(f.candidate))},
    }
    features = Features.of(f)
    predicted = BOOSTING[name][1](design(features, words, f), train.target, design(features, words, frame))
    script = np.array([candidate == BASELINE for candidate in frame.candidates])[frame.candidate]
    return np.where(script, 0.0, predicted)
