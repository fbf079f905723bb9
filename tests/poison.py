"""Attackers of the small fleet: forged reports with legal values, about one variant of a kernel or all alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.learning_world import FLEET, LAB, MANIFEST, reports

from fleetune.features import Ints
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_research.fleet.simulate import draw_many, fold_symbols
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.aggregate import merge
from fleetune_server.training.estimates import combine
from fleetune_server.training.fit import Rows, fit
from fleetune_server.training.quality import Contexts, choice_summary, chosen_rows, decide
from fleetune_server.training.sources import report_rows

KERNEL, ENVIRONMENT = 2, 2  # an environment that the lab did not measure: where only reports defend


def target(variant: str, whole: bool, environment: int = ENVIRONMENT) -> Ints:
    """The cells of a variant in the attacked place: in every context, or in one."""
    f = FLEET.frame
    here = (f.kernel == KERNEL) & (f.environment == environment)
    cells = np.flatnonzero(here & (f.candidate == f.candidates.index(variant)))
    return cells if whole else cells[:1]


def forged(model: Model, count: int, cells: Ints, seed: int, shaped: bool) -> list[CellSum]:
    """`count` reports that these cells are as fast as can be said: the largest legal value every time, or
    `shaped` by the mechanism like honest ones, so that nothing shows in their scatter."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(cells, count)
    symbols = draw_many(mechanism(2.0), np.ones(count), rng) if shaped else np.full(count, 63, np.uint8)
    return _sums(model, chosen, symbols, rng)


def even(model: Model, count: int, environment: int, seed: int) -> list[CellSum]:
    """`count` reports spread evenly over the cells of the kernel in an environment, with genuine noise: the best
    variant of each context is said to be slow, every other fast, by 0.8 of the clip."""
    rng = np.random.default_rng(seed)
    f = FLEET.frame
    cells = np.flatnonzero((f.kernel == KERNEL) & (f.environment == environment))
    best: dict[int, int] = {}
    for cell in cells.tolist():
        known = best.setdefault(int(f.context[cell]), cell)
        if FLEET.target[cell] > FLEET.target[known]:
            best[int(f.context[cell])] = cell
    chosen = rng.choice(cells, count)
    said = np.where(np.isin(chosen, list(best.values())), -0.8, 0.8)
    return _sums(model, chosen, draw_many(mechanism(2.0), said, rng), rng)


def _sums(model: Model, chosen: Ints, symbols: NDArray[np.uint8], rng: np.random.Generator) -> list[CellSum]:
    """Reports of these cells of the fleet, folded; a tenth held out, as the server draws."""
    base, f, clips = model.predict_frame(FLEET.frame).mean, FLEET.frame, model.clips(FLEET.frame)
    out = rng.random(len(chosen)) < 0.1
    sums = []
    for heldout, mask in ((False, ~out), (True, out)):
        n, total, squares = fold_symbols(chosen[mask], symbols[mask], len(FLEET))
        for i in np.flatnonzero(n).tolist():
            place = (
                f.kernels[f.kernel[i]].signature,
                f.contexts[f.context[i]],
                f.environments[f.environment[i]],
                f.candidates[f.candidate[i]],
            )
            cell = Cell(*place, model.version, 2.0, float(clips[i]), float(base[i]))
            sums.append(CellSum(cell, heldout, int(n[i]), int(total[i]), int(squares[i])))
    return sums


def attacked(
    model: Model, share: float, cells: Ints, seed: int, shaped: bool, count: int = 10_000
) -> list[CellSum]:
    """A round's reports of a fleet of which this share attacks."""
    few = round(count * share)
    return merge([*reports(model, count - few, seed), *forged(model, few, cells, seed + 1000, shaped)])


def unguarded(sums: list[CellSum], previous: Model) -> Model:
    """A retrain that believes every report."""
    plain = [row for row in sums if not row.heldout]
    believing = combine(plain, doubt=False)
    rows = Rows.join([LAB, report_rows(believing, MANIFEST)])
    return fit(rows, seed=0, init=previous, version=previous.version + 1, clip=0.35)[0]


def regret(model: Model, environment: int = ENVIRONMENT) -> float:
    """Mean loss of the model's choices in the attacked place, against the truth."""
    f = FLEET.frame
    here = FLEET.take((f.kernel == KERNEL) & (f.environment == environment))
    contexts = Contexts.of(here)
    chosen = chosen_rows(contexts, decide(contexts, model.predict_frame(contexts.frame)))
    return choice_summary(contexts.truth[chosen], contexts.truth[contexts.best()])["regret"]
