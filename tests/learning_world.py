"""A small fleet for tests: a synthetic catalogue, a lab of two engines, reports of three."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_research.fleet.simulate import draw_many, fold_symbols
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.fit import Rows
from fleetune_server.training.train import TrainRequest, TrainResult, train

MANIFEST = catalogue(6)
LAB = measured(MANIFEST, ENGINES[:2])
FLEET = measured(MANIFEST, ENGINES[:3], noise=0.0)


@cache
def first() -> TrainResult:
    """Version 1, from the lab alone."""
    return train(TrainRequest(MANIFEST.raw, LAB, [], None, 1))


def reports(model: Model, count: int, seed: int, fleet: Rows = FLEET, heldout: float = 0.1) -> list[CellSum]:
    """Privatised reports of random cells against a model, folded."""
    rng = np.random.default_rng(seed)
    base = model.predict_frame(fleet.frame)[0]
    cells = rng.integers(0, len(fleet), count)
    clips = model.clips(fleet.frame)
    residual = (fleet.target[cells] + rng.normal(0, 0.03, count) - base[cells]) / clips[cells]
    symbols = draw_many(mechanism(2.0), residual, rng)
    out = rng.random(count) < heldout
    f, sums = fleet.frame, []
    for share, mask in ((False, ~out), (True, out)):
        n, total, squares = fold_symbols(cells[mask], symbols[mask], len(fleet))
        for i in np.flatnonzero(n).tolist():
            cell = Cell(
                f.kernels[f.kernel[i]].signature,
                f.contexts[f.context[i]],
                f.environments[f.environment[i]],
                f.candidates[f.candidate[i]],
                model.version,
                2.0,
                float(clips[i]),
                float(base[i]),
            )
            sums.append(CellSum(cell, share, int(n[i]), int(total[i]), int(squares[i])))
    return sums
