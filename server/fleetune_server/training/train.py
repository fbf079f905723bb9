"""Lab rows and aggregates to the next model: pure, picklable, run in a spawned process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Frame
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import fit_environments, place, roll_up
from fleetune_server.training.clips import Place, Reports
from fleetune_server.training.doubts import Suspicion, over_reported, suspicions
from fleetune_server.training.estimates import Estimates, combine
from fleetune_server.training.fit import ARCHITECTURE, PRIOR_ROWS, Rows, TrainingReport, fit
from fleetune_server.training.gate import (
    SLACK,
    GateVerdict,
    frame_of,
    is_held,
    judge,
    movement,
    movement_limit,
    places_of,
    to_hold,
)
from fleetune_server.training.quality import model_intervals, model_quality
from fleetune_server.training.rounds import CellKey
from fleetune_server.training.rows import kept_out
from fleetune_server.training.sources import report_rows

COVERED = 10  # reports from which a cell counts as covered
LAB_DEVICE = 0.05  # how far one lab machine may be from the fleet's mean in a cell (ln speedup)
PART_OF_THE_WAY = 0.5
HOLDS = 3  # times that more places may be held before the model as a whole is refused
LAB_REPORTS = 50  # reports in a cell at which its lab row has lost half of its privilege


@dataclass(frozen=True)
class TrainRequest:
    """Everything that one training needs; picklable."""

    manifest: Mapping[str, Any]  # the catalogue's raw JSON
    lab: Rows  # public measurements
    aggregates: Sequence[CellSum]  # folded + a snapshot of pending reports, held-out ones marked
    previous: bytes | None  # the artefact of the last published version
    version: int  # of the model to make
    seed: int = 0
    group: int = 20  # reports below which a (signature, environment) group is rolled up
    figures: bool = True  # whether to measure quality on lab contexts kept out, by a second fit
    # Places whose reports are not believed from the start; None: hold none.
    held: Collection[Place] | None = ()
    measured: bool = True  # False: `lab` is the capability heuristic's guess, which judges nothing


@dataclass(frozen=True)
class TrainResult:
    """The artefact, what the API says about it, and whether it may be published."""

    model: bytes
    metadata: Mapping[str, Any]  # trainedOn, sampleCount, trainingLoss, architecture, clip, metrics
    verdict: GateVerdict
    seconds: float = 0.0
    suspicions: Sequence[Suspicion] = ()
    held_back: int = 0  # cells whose reports ask for more than one version may move


def train(request: TrainRequest) -> TrainResult:
    """Train, measure and judge the next version; ValueError if there is nothing to learn from."""
    started = time.perf_counter()
    manifest = Manifest.load(request.manifest)
    previous = Model.from_bytes(request.previous) if request.previous else None
    known = [row for row in request.aggregates if row.cell.signature in manifest.by_signature]
    known = roll_up(known, request.group)  # the gate's share too: its verdict is published
    known = fit_environments(known, previous.artefact.vocabulary["environment"] if previous else ())
    crowded = over_reported(known)
    held = frozenset(request.held or ()) if previous else frozenset()
    learned = _learn(request, manifest, previous, known, crowded, held)
    tries = HOLDS if previous and request.held is not None else 0
    while tries and not learned.verdict.accepted:
        more = held | to_hold(learned.verdict, len(_places(known, request.lab)))
        if more == held:
            break
        held, tries = more, tries - 1
        learned = _learn(request, manifest, previous, known, crowded, held)
    model, report, reports, verdict = learned.model, learned.report, learned.reports, learned.verdict
    training = [row for row in known if not row.heldout]
    out = kept_out(request.lab.frame)
    metrics: dict[str, Any] = {"coverage": coverage(training)} if request.measured else {}
    if out.any() and request.figures and request.measured:
        rest = Rows.join([request.lab.take(~out), reports])
        shadow = fit(rest, seed=request.seed, init=model, version=request.version)[0]
        metrics |= model_quality(shadow, request.lab.take(out))
        metrics["intervals"] = model_intervals(shadow, request.lab.take(out))
        metrics["contexts"] = "lab contexts kept out of the model that these figures describe"
    metrics["reports"] = report_quality(model, learned.heldout, manifest)
    samples = sum(row.count for row in training)
    metadata = {
        "trainedOn": {
            "labRows": len(request.lab) if request.measured else 0,
            "reports": samples,
            "cells": len(reports),
            "kernels": len({row.cell.signature for row in training} | _signatures(request.lab)),
            "environments": len(model.artefact.vocabulary["environment"]),
            "heldPlaces": len(held),
        },
        "sampleCount": samples,
        "trainingLoss": report.wide_losses[-1],
        "architecture": ARCHITECTURE,
        "prior": report.prior,
        "clip": model.clip,
        "metrics": metrics,
        "gate": list(verdict.reasons),
    }
    seconds = time.perf_counter() - started
    suspicious = suspicions(known, crowded)
    return TrainResult(model.to_bytes(), metadata, verdict, seconds, suspicious, learned.held_back)


@dataclass(frozen=True)
class _Learned:
    """One model with its verdict, and what it was made from."""

    model: Model
    report: TrainingReport
    reports: Rows  # as far as the model was let follow them
    held_back: int  # of them, those that say more
    heldout: Sequence[CellSum]
    verdict: GateVerdict


def _learn(
    request: TrainRequest,
    manifest: Manifest,
    previous: Model | None,
    known: Sequence[CellSum],
    crowded: NDArray[np.bool_],
    held: frozenset[Place],
) -> _Learned:
    """The boldest model that the gate accepts, or the last one that it refused; `held` places stay as they are."""
    aside = [is_held(row.cell, held) for row in known]
    training = [row for row, out in zip(known, aside, strict=True) if not row.heldout and not out]
    judges = zip(known, aside, crowded, strict=True)  # what training doubts does not judge it
    heldout = [row for row, out, doubted in judges if row.heldout and not out and not doubted]
    estimates = combine(training, reference=_expected(previous, training, manifest))
    told = report_rows(estimates, manifest)
    asked = Reports.of(training, estimates)
    kept = _kept([row for row, out in zip(known, aside, strict=True) if out], previous, manifest)

    in_reach = _within_reach(told, previous, 1.0)
    held_back = int((in_reach.target != told.target).sum())

    def attempt(prior: str, yielding: float, followed: Rows = in_reach) -> _Learned:
        reports = Rows.join([followed, *kept])
        rows = Rows.join([_lab(request.lab, estimates, yielding), reports])
        model, report = fit(
            rows, asked, seed=request.seed, init=previous, version=request.version, prior=prior
        )
        verdict = judge(
            model, previous, heldout, request.lab, manifest,
            least=request.group, measured=request.measured, held=held,
        )  # fmt: skip
        return _Learned(model, report, reports, held_back, heldout, verdict)

    for prior, yielding in _attempts(previous, len(request.lab) + len(told)):
        learned = attempt(prior, yielding)
        if learned.verdict.accepted:
            return learned
    if _uncharted(learned.model, previous, told, request.lab, learned.verdict):
        return attempt("keep", 0.0, _within_reach(told, previous, PART_OF_THE_WAY))
    return learned


def _kept(rows: Sequence[CellSum], previous: Model | None, manifest: Manifest) -> list[Rows]:
    """What the previous model predicts for the cells of held places, as sure as it was."""
    if previous is None or not rows:
        return []
    frame = frame_of(list({place(row.cell): row for row in rows}.values()), manifest)
    answer = previous.predict_frame(frame)
    return [Rows(frame, answer.mean, answer.sd**2)]


def _places(known: Sequence[CellSum], lab: Rows) -> set[Place]:
    """All places that anything is known of."""
    reported = {(row.cell.signature, row.cell.environment) for row in known}
    return reported | set(places_of(lab.frame, np.arange(len(lab))))


def coverage(rows: Sequence[CellSum]) -> float:
    """Share of reports (traffic) in cells with at least COVERED reports; 0 without reports."""
    counts = Counter[object]()
    for row in rows:
        counts[place(row.cell)] += row.count
    return sum(count for count in counts.values() if count >= COVERED) / max(counts.total(), 1)


def report_quality(model: Model, heldout: Sequence[CellSum], manifest: Manifest) -> dict[str, float | int]:
    """Error on held-out reports with the privacy noise taken out: interval, not a bare number.

    The mean square of (decoded − predicted) minus the mechanism's variance estimates the model's own squared
    error without bias; `mae` is its root times √(2/π), as for normal errors. 95 % interval from the reports.
    """
    rows = [row for row in heldout if row.cell.signature in manifest.by_signature]
    count = np.array([row.count for row in rows], dtype=float)
    if count.sum() < 30:
        return {"count": int(count.sum())}
    predicted = model.predict_frame(frame_of(rows, manifest)).mean
    shift = predicted - np.array([row.cell.base_log for row in rows])
    scale = np.array([row.cell.clip / (2 * mechanism(row.cell.epsilon).scale) for row in rows])
    clip = np.array([row.cell.clip for row in rows])
    mean = scale * np.array([row.total for row in rows]) / count
    square = scale**2 * np.array([row.squares for row in rows]) / count
    noise = np.array(
        [
            mechanism(row.cell.epsilon).variance(part / row.cell.clip)
            for row, part in zip(rows, shift.tolist(), strict=True)
        ]
    )
    noise = clip**2 * noise  # at the prediction: at the observed value it would follow the noise itself
    excess = square - 2 * shift * mean + shift**2 - noise  # mean per report of a cell
    total = count.sum()
    estimate = float((count * excess).sum() / total)
    deviation = float(np.sqrt((count * (2 * noise**2 + (excess - estimate) ** 2)).sum()) / total)
    to_mae = (2 / np.pi) ** 0.5
    low, middle, high = (to_mae * max(estimate + z * deviation, 0.0) ** 0.5 for z in (-1.96, 0.0, 1.96))
    return {"count": int(total), "mae": middle, "maeLow": low, "maeHigh": high, "accuracy": 1 - middle}


def _attempts(previous: Model | None, rows: int) -> list[tuple[str, float]]:
    """(what to do with the prior, how far the lab yields to reports), boldest first.

    A new prior may move what is unsure too far for the gate: then the old one stays. Reports that
    contradict the lab may move its cells too fast: then those cells keep to the lab for now, and
    everything else goes on.
    """
    if previous is None:
        return [("train", 1.0)]
    renew = rows >= 2 * int(previous.artefact.notes.get(PRIOR_ROWS, 0))
    return [*([("train", 1.0)] if renew else []), ("keep", 1.0), ("keep", 0.3), ("keep", 0.0)]


def _uncharted(model: Model, previous: Model | None, told: Rows, lab: Rows, verdict: GateVerdict) -> bool:
    """Whether a model was refused only because kernels that the lab does not have moved too far.

    What many cells share can carry one of them past its cap; then all go only part of the way.
    """
    if previous is None or {check.name for check in verdict.checks if not check.passed} != {"movement"}:
        return False
    if len(lab) and (movement(model, previous, lab.frame) > SLACK).any():
        return False
    f = told.frame
    charted = np.isin([kernel.signature for kernel in f.kernels], list(_signatures(lab)))[f.kernel]
    return not (movement(model, previous, f)[charted] > SLACK).any()


def _within_reach(rows: Rows, previous: Model | None, reach: float) -> Rows:
    """Estimates from reports, none further from the previous model than `reach` times what a context may
    move in one version."""
    if previous is None or not len(rows):
        return rows
    mean = previous.predict_frame(rows.frame).mean
    limit = reach * movement_limit(previous, rows.frame)
    target = np.clip(rows.target, mean - limit, mean + limit)
    # What was held back is not known to be there: else the next version would hold on to it.
    return Rows(rows.frame, target, rows.variance + (rows.target - target) ** 2)


def _lab(lab: Rows, estimates: Estimates, yielding: float) -> Rows:
    """Lab rows; where reports tell of the same cell, the lab is one machine among many and yields to them."""
    reports = dict(zip(estimates.cells, estimates.count.tolist(), strict=True))
    f = lab.frame
    count = np.array(
        [
            reports.get((f.kernels[k].signature, f.contexts[c], f.environments[e], f.candidates[v]), 0)
            for k, c, e, v in zip(f.kernel, f.context, f.environment, f.candidate, strict=True)
        ],
        dtype=float,
    )
    return replace(lab, variance=lab.variance + yielding * LAB_DEVICE**2 * count / (count + LAB_REPORTS))


def _expected(previous: Model | None, rows: Sequence[CellSum], manifest: Manifest) -> dict[CellKey, float]:
    """What the previous model predicts for every reported cell."""
    if previous is None or not rows:
        return {}
    cells = list(dict.fromkeys(place(row.cell) for row in rows))
    kernels = manifest.by_signature
    mean = previous.predict_frame(Frame.of((kernels[cell[0]], *cell[1:]) for cell in cells)).mean
    return dict(zip(cells, mean.tolist(), strict=True))


def _signatures(rows: Rows) -> set[str]:
    return {rows.frame.kernels[i].signature for i in np.unique(rows.frame.kernel)}
