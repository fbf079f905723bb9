"""The whole loop in process: devices report, reports are folded, models trained and judged, choices scored.

The parts are the real ones (mechanism, fold, train, gate, choose); only the draw of symbols is vectorised
(`draw_many`, from the exact probability table of the mechanism), so that ten million reports take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Context, Environment
from fleetune.features import Floats, Ints
from fleetune.manifest import Manifest
from fleetune.model import Answer, Model
from fleetune.privacy import SYMBOLS, Mechanism, mechanism
from fleetune_research.fleet.world import World
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.clips import CLIPS
from fleetune_server.training.fit import Rows
from fleetune_server.training.quality import Contexts, chosen_rows, decide
from fleetune_server.training.train import TrainRequest, train

HELDOUT = 0.1
COVERED = 10
DEVICES = 4  # whose own regret is scored
Progress = Callable[[str], None]
Attack = Callable[[Ints, NDArray[np.uint8], np.random.Generator], tuple[Ints, NDArray[np.uint8]]]


def draw_many(noise: Mechanism, residual: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One symbol for each residual in [-1, 1], distributed as `Mechanism.draw`, from a simulator's
    generator."""
    position = (np.clip(residual, -1, 1) + 1) / 2 * (noise.starts - 1)
    start = np.floor(position).astype(np.int64)
    start += rng.random(len(residual)) < position - start
    inside = rng.random(len(residual)) < float(noise.p_in)
    within = start + rng.integers(0, noise.window, len(residual))
    pick = rng.integers(0, noise.n - noise.window, len(residual))
    outside = np.where(pick < start, pick, pick + noise.window)
    return np.where(inside, within, outside).astype(np.uint8)


def fold_symbols(cell: Ints, symbol: NDArray[np.uint8], cells: int) -> tuple[Ints, Ints, Ints]:
    """(n, Σ, Σ²) per cell of reports given as columns: `cell` (reports,) in [0, cells), `symbol` (reports,).

    One pass of `np.bincount`; float64 sums of these small integers are exact up to 2^53.
    """
    centred = 2.0 * symbol - (SYMBOLS - 1)
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, weights=centred, minlength=cells)
    squares = np.bincount(cell, weights=centred * centred, minlength=cells)
    return count.astype(np.int64), total.astype(np.int64), squares.astype(np.int64)


@dataclass
class Fleet:
    """One simulated fleet and its server: call `round` with the number of reports of each round."""

    world: World
    manifest: Manifest
    lab: Rows  # public rows that the server starts from; may be empty
    epsilon: float = 2.0
    seed: int = 0
    attack: Attack | None = None
    model: Model | None = None
    version: int = 0
    reports: int = 0
    sums: list[CellSum] = field(default_factory=list)
    count: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # reports by cell so far
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.count = np.zeros(len(self.world.frame), dtype=np.int64)
        if len(self.lab):
            self._train()

    def round(self, reports: int, weights: Floats | None = None) -> None:
        """`reports` measurements of random cells, privatised against the current model, folded; then
        training."""
        traffic = self.world.traffic if weights is None else weights
        cells = self.rng.choice(len(traffic), reports, p=traffic)
        base, clip = self._base()
        noise = mechanism(self.epsilon)
        residual = (self.world.measure(cells, self.rng) - base[cells]) / clip[cells]
        symbols = draw_many(noise, residual, self.rng)
        if self.attack is not None:
            cells, symbols = self.attack(cells, symbols, self.rng)
        self._fold(cells, symbols, base, clip)
        self.reports += reports
        self.count += np.bincount(cells, minlength=len(self.count))
        self._train()

    def grow(self, world: World) -> None:
        """Go on in a larger world; cells known before keep their counts."""
        known = {self._cell(i): n for i, n in enumerate(self.count.tolist())}
        self.world = world
        self.count = np.array([known.get(self._cell(i), 0) for i in range(len(world.frame))], dtype=np.int64)

    def predictions(self) -> tuple[Answer, Contexts]:
        """The current model's answer for every row of the world's contexts."""
        contexts = self.world.contexts()
        if self.model is None:
            nothing = np.zeros(len(contexts.truth))
            return Answer(nothing, nothing + 1, nothing + 1), contexts
        return self.model.predict_frame(contexts.frame), contexts

    def score(self, only: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Quality against the world's truth, weighted by traffic; `only` masks the world's cells."""
        answer, contexts = self.predictions()
        variants = ~contexts.is_script
        order = contexts.source[~contexts.is_script]
        traffic, count = self.world.traffic[order], self.count[order]
        chosen = chosen_rows(contexts, decide(contexts, answer))
        error = answer.mean[variants] - contexts.truth[variants]
        keep = np.ones(len(order), dtype=bool) if only is None else only[order]
        weight = traffic * keep
        weight = weight / weight.sum()
        by_context = np.bincount(contexts.group[variants], weight, len(contexts)).astype(np.float64)
        rare = (count < COVERED) & keep
        quality = choice_weighted(contexts.truth[chosen], contexts.truth[contexts.best()], by_context)
        return {
            "device_regret": self._device_regret(contexts, chosen, by_context),
            "reports": float(self.reports),
            "mae": float(weight @ np.abs(error)),
            "accuracy": float(1 - weight @ np.abs(np.expm1(error))),
            **quality,
            "coverage": float(traffic[count >= COVERED].sum()),
            "rare_cells": float(rare.mean()),
            "rare_accuracy": float(1 - np.abs(np.expm1(error[rare])).mean()) if rare.any() else float("nan"),
        }

    def _device_regret(self, contexts: Contexts, chosen: Ints, weight: Floats) -> float:
        """What the fleet's choices lose on single devices, that have measured nothing, against each one's own best."""
        rng = np.random.default_rng(self.seed)  # the same devices at every score
        lost = []
        for _ in range(DEVICES):
            own = np.append(self.world.device(rng), 0.0)[contexts.source]  # the source of `js` is −1
            lost.append(choice_weighted(own[chosen], own[contexts.best(own)], weight)["regret"])
        return float(np.mean(lost))

    def _base(self) -> tuple[Floats, Floats]:
        """Base prediction and clip of every cell; before the first model 0 and the widest."""
        f = self.world.frame
        if self.model is None:
            return np.zeros(len(f)), np.full(len(f), CLIPS[0])
        return self.model.predict_frame(f).mean, self.model.clips(f)

    def _cell(self, i: int) -> tuple[str, Context, Environment, str]:
        f = self.world.frame
        return (
            f.kernels[f.kernel[i]].signature,
            f.contexts[f.context[i]],
            f.environments[f.environment[i]],
            f.candidates[f.candidate[i]],
        )

    def _fold(self, cells: Ints, symbols: NDArray[np.uint8], base: Floats, clip: Floats) -> None:
        out = self.rng.random(len(cells)) < HELDOUT
        for heldout, mask in ((False, ~out), (True, out)):
            count, total, squares = fold_symbols(cells[mask], symbols[mask], len(base))
            for i in np.flatnonzero(count).tolist():
                where = self._cell(i)
                cell = Cell(*where, self.version, self.epsilon, float(clip[i]), float(base[i]))
                self.sums.append(CellSum(cell, heldout, int(count[i]), int(total[i]), int(squares[i])))

    def _train(self) -> None:
        result = train(
            TrainRequest(
                self.manifest.raw,
                self.lab,
                self.sums,
                self.model.to_bytes() if self.model else None,
                self.version + 1,
                seed=self.seed,
                group=5,
                figures=False,
            )
        )
        self.seconds += result.seconds
        if result.verdict.accepted:
            self.model, self.version = Model.from_bytes(result.model), self.version + 1
        else:
            self.refused.append(f"{self.reports} reports: {'; '.join(result.verdict.reasons)}")


def choice_weighted(got: Floats, best: Floats, weight: Floats) -> dict[str, float]:
    """As `choice_summary`, weighted by traffic."""
    weight = weight / weight.sum()
    ratio = np.exp(got - best)
    return {
        "optimal": float(weight @ (got >= best)),
        "optimal_within_3pct": float(weight @ (ratio * 1.03 >= 1)),
        "regret": float(weight @ (1 - ratio)),
        "geomean_speedup": float(np.exp(weight @ got)),
        "mean_speedup": float(weight @ np.exp(got)),
        "percent_of_oracle": float(np.exp(weight @ (got - best))),
    }


def original_scheme(world: World, reports: int, seed: int, epsilon: float = 0.1) -> dict[str, float]:
    """The scheme first proposed: Laplace noise of scale 1/ε on raw speedups, clamped at 1.0, cell means.

    A cell without reports is predicted 1.0. Scored like ours.
    """
    rng = np.random.default_rng(seed)
    cells = rng.choice(len(world.traffic), reports, p=world.traffic)
    noisy = np.exp(world.measure(cells, rng)) + rng.laplace(0, 1 / epsilon, reports)
    value = np.maximum(noisy, 1.0)
    count = np.bincount(cells, minlength=len(world.truth))
    mean = np.bincount(cells, value, len(world.truth)) / np.maximum(count, 1)
    predicted = np.log(np.where(count > 0, np.maximum(mean, 1.0), 1.0))
    contexts = world.contexts()
    score = np.zeros(len(contexts.truth))
    order = contexts.source[~contexts.is_script]
    variants = ~contexts.is_script
    score[variants] = predicted[order]
    chosen = contexts.best(score)
    error = score[variants] - contexts.truth[variants]
    weight = world.traffic[order]
    by_context = np.bincount(contexts.group[variants], weight, len(contexts)).astype(np.float64)
    return {
        "reports": float(reports),
        "mae": float(weight @ np.abs(error)),
        "accuracy": float(1 - weight @ np.abs(np.expm1(error))),
        "accuracy_median": float(1 - np.median(np.abs(np.expm1(error)))),
        **choice_weighted(contexts.truth[chosen], contexts.truth[contexts.best()], by_context),
    }


def schedule(total: int, start: int = 250) -> list[int]:
    """Report counts at which the simulated server trains: about two a factor of five, ending at `total`.

    A real server trains every 1,000 reports; quality at a given total hardly depends on it, time does.
    """
    points, at = [], start
    while at < total:
        points.append(at)
        at = int(at * 2.5)
    return [*points, total]


def run(fleet: Fleet, milestones: Sequence[int], progress: Progress) -> list[dict[str, float]]:
    """Rounds up to each milestone; the score at every training."""
    curve = [fleet.score()] if fleet.model is not None else []
    for point in sorted({*schedule(max(milestones)), *milestones}):
        if point > fleet.reports:
            fleet.round(point - fleet.reports)
            curve.append(fleet.score())
            progress(
                f"{fleet.reports:>9} reports: accuracy {curve[-1]['accuracy']:.1%},"
                f" MAE {curve[-1]['mae']:.4f}, regret {curve[-1]['regret']:.2%}, version {fleet.version}"
            )
    return curve
