"""Training: measured rows to a Model. Deep part first (or kept from `init`), then the wide hierarchy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetune.artefact import Artefact, pack
from fleetune.calibrate import corrections, started
from fleetune.deep import Inputs, output
from fleetune.features import Features
from fleetune.growth import old_rows, row_columns
from fleetune.manifest import BASELINE
from fleetune.model import CROSSES, Model
from fleetune.prior import answer_range, deep_part
from fleetune.rows import Rows as Rows
from fleetune.rows import codes_of, judged, vocabulary_of
from fleetune.wide import backfit, quantise

ARCHITECTURE = "wide-and-deep-1"
MAX_ROWS = 400_000  # wide rows kept in the artefact
EPOCHS = 60
SWEEPS, MANY_ROWS = 30, 100_000  # above so many rows a third of the sweeps: time, not quality


@dataclass(frozen=True)
class TrainingReport:
    """How a fit went: rows used, losses, whether the deep part was trained, prior sd of every cross."""

    rows: int
    deep: str  # "trained", "kept" or "continued"
    deep_losses: Sequence[float]
    wide_losses: Sequence[float]
    prior_sd: Mapping[str, float]
    heldout_kernel_mae: float | None = None


def fit(
    rows: Rows,
    *,
    seed: int,
    init: Model | None = None,
    version: int,
    clip: float,
    deep: str = "auto",
    epochs: int = EPOCHS,
    sweeps: int | None = None,
    max_rows: int = MAX_ROWS,
) -> tuple[Model, TrainingReport]:
    """Train on measured rows; the same rows, seed and init give the same bytes.

    `deep`: "train" from scratch, "continue" from init for a quarter of the epochs, "keep" init's, "none" for
    the mean of the rows; "auto" keeps init's if there is one, else trains.
    Vocabularies and wide rows of `init` come first and in the same order, so
    old entries keep their indices and the change between versions stays small.
    """
    scripts = np.array([name == BASELINE for name in rows.frame.candidates], dtype=bool)
    rows = rows.take(~scripts[rows.frame.candidate]) if scripts.any() else rows
    if not len(rows):
        raise ValueError("no rows to train on")
    if deep == "auto" or (init is None and deep != "none"):
        deep = "train" if init is None else "keep"
    sweeps = sweeps or (SWEEPS if len(rows) < MANY_ROWS else SWEEPS // 3)
    features = Features.of(rows.frame) if deep in ("train", "none") or init is None else init.features
    vocabulary = vocabulary_of(rows.frame, init.artefact.vocabulary if init is not None else {})
    codes = codes_of(rows.frame, vocabulary)
    inputs = Inputs.of(rows.frame, features, codes)
    contexts, cells = judged(rows.frame)
    teaches = ~(contexts | cells)
    if not teaches.any():
        teaches = ~teaches
    parameters, scaling, deep_losses, report = deep_part(
        rows, inputs, vocabulary, init, deep, epochs, seed, teaches
    )
    stored = {name: np.asarray(value).astype("<f2") for name, value in parameters.items()}
    stored |= {name: np.asarray(value).astype("<f4") for name, value in scaling.items()}
    widened = {name: value.astype(np.float64) for name, value in stored.items()}
    stored["range"] = answer_range(rows.target, init, deep)
    prior = np.clip(output(widened, widened, inputs), *stored["range"].astype(np.float64))

    rest = rows.target - prior
    factors = corrections(rest, rows.variance, codes, contexts, cells, sweeps)
    tables = started(codes)
    old = old_rows(init)
    wide_losses = backfit(tables, rest, rows.variance, sweeps=sweeps)
    effects = quantise(tables, rest, rows.variance, old)
    stored |= row_columns(tables, effects, init, old, max_rows)
    stored["tau2"] = np.array([table.tau2 for table in tables], dtype="<f4")
    stored["spread2"] = (stored["tau2"] * factors).astype("<f4")
    stored["unknown2"] = np.array(report["unknown2"], dtype="<f4")
    stored["floor2"] = np.array(report["floor2"], dtype="<f4")
    deep_rows = len(rows) if init is None or deep == "train" else init.artefact.notes.get("deepRows", 0)
    notes = {"architecture": ARCHITECTURE, "rows": len(rows), "deepRows": deep_rows, "seed": seed}
    artefact = Artefact(
        version, float(clip), features, vocabulary, CROSSES, dict(sorted(stored.items())), notes
    )
    model = Model.from_bytes(pack(artefact))  # checked, and predicting from the bytes as every browser will
    prior_sd = {"×".join(cross): float(t.tau2**0.5) for cross, t in zip(CROSSES, tables, strict=True)}
    done = {"train": "trained", "keep": "kept", "continue": "continued", "none": "none"}[deep]
    return model, TrainingReport(len(rows), done, deep_losses, wide_losses, prior_sd, report.get("mae"))
