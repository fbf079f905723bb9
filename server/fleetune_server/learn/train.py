"""Lab rows and aggregates to the next model: pure, picklable, run in a spawned process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetune.features import environment_key
from fleetune.fit import ARCHITECTURE, Rows, TrainingReport, fit
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune.rows import judged
from fleetune_server.learn.aggregate import Estimates, combine, roll_up
from fleetune_server.learn.evenness import crowded
from fleetune_server.learn.gate import SLACK, GateVerdict, judge, movement, movement_limit
from fleetune_server.learn.quality import model_intervals, model_quality
from fleetune_server.learn.rows import report_rows
from fleetune_server.store.base import CellSum

NEW_ENVIRONMENTS = 0.05  # share of reports from unknown environments at which the clip starts over
COVERED = 10  # reports from which a cell counts as covered
# By the number of rounds of reports so far. Narrower would be less noise, but let what is peculiar to one
# device show through in each of its packets: tests/test_linkability.py says where that becomes too much.
CLIPS = (0.5, 0.35, 0.25, 0.2)
LAB_DEVICE = 0.05  # how far one lab machine may be from the fleet's mean in a cell (ln speedup)
PART_OF_THE_WAY = 0.5
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
    clips: Sequence[float] = CLIPS


@dataclass(frozen=True)
class TrainResult:
    """The artefact, what the API says about it, and whether it may be published."""

    model: bytes
    metadata: Mapping[str, Any]  # trainedOn, sampleCount, trainingLoss, architecture, clip, metrics
    verdict: GateVerdict
    seconds: float = 0.0


def train(request: TrainRequest) -> TrainResult:
    """Train, measure and judge the next version; ValueError if there is nothing to learn from."""
    started = time.perf_counter()
    manifest = Manifest.load(request.manifest)
    previous = Model.from_bytes(request.previous) if request.previous else None
    known = [row for row in request.aggregates if row.cell.signature in manifest.by_signature]
    known = roll_up(known, request.group)  # the gate's share too: its verdict is published
    training = [row for row in known if not row.heldout]
    judges = zip(known, crowded(known), strict=True)  # what training does not believe does not judge it
    heldout = [row for row, forged in judges if row.heldout and not forged]
    estimates = combine(training)
    told = report_rows(estimates, manifest)
    clip = _clip(request, training, previous)

    def attempt(deep: str, yielding: float, reach: float) -> tuple[Model, TrainingReport, Rows, GateVerdict]:
        reports = _within_reach(told, previous, reach)
        rows = Rows.join([_lab(request.lab, estimates, yielding), reports])
        model, report = fit(
            rows, seed=request.seed, init=previous, version=request.version, clip=clip, deep=deep
        )
        return (
            model,
            report,
            reports,
            judge(model, previous, heldout, request.lab, manifest, least=request.group),
        )

    for deep, yielding in _attempts(previous, len(request.lab) + len(told)):
        model, report, reports, verdict = attempt(deep, yielding, 1.0)
        if verdict.accepted:
            break
    if _uncharted(model, previous, told, request.lab, verdict):
        model, report, reports, verdict = attempt("keep", 0.0, PART_OF_THE_WAY)
    out = judged(request.lab.frame)
    metrics: dict[str, Any] = {"coverage": coverage(training)}
    if out.any():
        rest = Rows.join([request.lab.take(~out), reports])
        shadow = fit(rest, seed=request.seed, init=model, version=request.version, clip=clip)[0]
        metrics |= model_quality(shadow, request.lab.take(out))
        metrics["intervals"] = model_intervals(shadow, request.lab.take(out))
        metrics["contexts"] = "lab contexts kept out of the model that these figures describe"
    metrics["reports"] = report_quality(model, heldout, manifest)
    samples = sum(row.count for row in training)
    metadata = {
        "trainedOn": {
            "labRows": len(request.lab),
            "reports": samples,
            "cells": len(reports),
            "kernels": len({row.cell.signature for row in training} | _signatures(request.lab)),
            "environments": len(model.artefact.vocabulary["environment"]),
        },
        "sampleCount": samples,
        "trainingLoss": report.wide_losses[-1],
        "architecture": ARCHITECTURE,
        "deep": report.deep,
        "clip": model.clip,
        "metrics": metrics,
        "gate": list(verdict.reasons),
    }
    return TrainResult(model.to_bytes(), metadata, verdict, time.perf_counter() - started)


def coverage(rows: Sequence[CellSum]) -> float:
    """Share of reports (traffic) in cells with at least COVERED reports; 0 without reports."""
    if not rows:
        return 0.0
    count = combine(rows).count
    return float(count[count >= COVERED].sum() / count.sum())


def report_quality(model: Model, heldout: Sequence[CellSum], manifest: Manifest) -> dict[str, float | int]:
    """Error on held-out reports with the privacy noise taken out: interval, not a bare number.

    The mean square of (decoded − predicted) minus the mechanism's variance estimates the model's own squared
    error without bias; `mae` is its root times √(2/π), as for normal errors. 95 % interval from the reports.
    """
    rows = [row for row in heldout if row.cell.signature in manifest.by_signature]
    count = np.array([row.count for row in rows], dtype=float)
    if count.sum() < 30:
        return {"count": int(count.sum())}
    parts = []
    for row in rows:
        kernel = manifest.by_signature[row.cell.signature]
        cell = row.cell
        predicted = model.predict(kernel, cell.context, cell.environment, (cell.candidate,)).mean[0]
        parts.append(float(predicted) - cell.base_log)
    shift = np.array(parts)
    scale = np.array([row.cell.clip / (2 * mechanism(row.cell.epsilon).scale) for row in rows])
    clip = np.array([row.cell.clip for row in rows])
    mean = scale * np.array([row.total for row in rows]) / count
    square = scale**2 * np.array([row.squares for row in rows]) / count
    noise = np.array(
        [
            mechanism(row.cell.epsilon).variance(part / row.cell.clip)
            for row, part in zip(rows, parts, strict=True)
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
    """(what to do with the deep part, how far the lab yields to reports), boldest first.

    A new deep part may move what is unsure too far for the gate: then the old one stays. Reports that
    contradict the lab may move its cells too fast: then those cells keep to the lab for now, and
    everything else goes on.
    """
    if previous is None:
        return [("train", 1.0)]
    renew = rows >= 2 * int(previous.artefact.notes.get("deepRows", 0))
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
    mean, sd, _ = previous.predict_frame(rows.frame)
    limit = reach * movement_limit(sd)
    return Rows(rows.frame, np.clip(rows.target, mean - limit, mean + limit), rows.variance)


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
    return Rows(f, lab.target, lab.variance + yielding * LAB_DEVICE**2 * count / (count + LAB_REPORTS))


def _clip(request: TrainRequest, training: Sequence[CellSum], previous: Model | None) -> float:
    """The clip of the next round: the schedule by rounds of reports, started over when new environments
    appear."""
    rounds = len({row.cell.version for row in training})
    if previous is not None and training:
        known = set(previous.artefact.vocabulary["environment"])
        new = sum(row.count for row in training if environment_key(row.cell.environment) not in known)
        if new > NEW_ENVIRONMENTS * sum(row.count for row in training):
            rounds = 0
    return request.clips[min(rounds, len(request.clips) - 1)]


def _signatures(rows: Rows) -> set[str]:
    return {rows.frame.kernels[i].signature for i in np.unique(rows.frame.kernel)}
