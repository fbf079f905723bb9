"""What a device's own first measurements add to the public model."""

from __future__ import annotations

import numpy as np

from fleetune.features import Ints
from fleetune.manifest import BASELINE
from fleetune.model import Answer, Model, Predictions
from fleetune.personal import PersonalLayer
from fleetune_server.training.quality import Contexts, choice_summary, chosen_rows, decide

DRAWS = 5


def after_local(model: Model, contexts: Contexts, samples: int, seed: int) -> dict[str, float]:
    """Regret of choices, without further measuring, after `samples` local ones in one environment.

    `regret_after_N_local`: N contexts drawn at random, all candidates measured, regret on the other contexts.
    `regret_after_N_cells`: N single (context, candidate) cells instead. Means over DRAWS draws.
    """
    rng = np.random.default_rng(seed)
    whole, single = [], []
    for _ in range(DRAWS):
        picked = rng.permutation(len(contexts))[:samples]
        rows = np.concatenate([np.arange(contexts.start[i], contexts.start[i + 1]) for i in picked])
        whole.append(_regret(model, contexts, rows, set(picked.tolist())))
        variants = np.flatnonzero(~contexts.is_script)
        rows = rng.choice(variants, samples, replace=False)
        single.append(_regret(model, contexts, rows, set(contexts.group[rows].tolist())))
    return {
        f"regret_after_{samples}_local": float(np.mean(whole)),
        f"regret_after_{samples}_cells": float(np.mean(single)),
    }


def _regret(model: Model, contexts: Contexts, rows: Ints, measured: set[int]) -> float:
    f = contexts.frame
    layer = PersonalLayer()
    environment = f.environments[f.environment[0]]
    layer.bind(model, {kernel.signature: kernel for kernel in f.kernels}, environment)
    for row in rows:
        name = f.candidates[f.candidate[row]]
        if name != BASELINE:
            kernel, context = f.kernels[f.kernel[row]], f.contexts[f.context[row]]
            layer.observe(kernel, context, name, float(contexts.truth[row]), 0.01)
    answer = adjusted(model, layer, contexts)
    chosen = chosen_rows(contexts, decide(contexts, answer))
    rest = np.array([i not in measured for i in range(len(contexts))])
    best = contexts.truth[contexts.best()]
    return choice_summary(contexts.truth[chosen][rest], best[rest])["regret"]


def adjusted(model: Model, layer: PersonalLayer, contexts: Contexts) -> Answer:
    """Predictions of every row of one environment after the personal layer."""
    f = contexts.frame
    mean, sd, contrast = model.predict_frame(f)
    for i in range(len(contexts)):
        part = slice(contexts.start[i], contexts.start[i + 1])
        row = contexts.start[i]
        names = tuple(f.candidates[c] for c in f.candidate[part])
        moved = layer.adjust(
            f.kernels[f.kernel[row]].signature,
            f.contexts[f.context[row]],
            names,
            Predictions(names, mean[part], sd[part], contrast=contrast[part]),
        )
        assert moved.contrast is not None
        mean[part], sd[part], contrast[part] = moved.mean, moved.sd, moved.contrast
    return Answer(mean, sd, contrast)
