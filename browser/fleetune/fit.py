"""Training: measured rows to a Model. The deep part (or init's), then the smooth part, then environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetune.artefact import SMOOTH, Artefact, pack
from fleetune.deep import Inputs
from fleetune.features import Features
from fleetune.forward import DeepPart
from fleetune.grid import WideRows, smooth_rows
from fleetune.growth import compact, old_codes, row_columns
from fleetune.manifest import BASELINE
from fleetune.model import CROSSES, Model, codes_of, table_keys
from fleetune.prior import answer_range, deep_part
from fleetune.rows import Rows as Rows
from fleetune.rows import judged, vocabulary_of
from fleetune.wide import backfit, environment_tables, quantise

ARCHITECTURE = "smooth-wide-deep-1"
MAX_ROWS = 400_000  # wide rows kept in the artefact
EPOCHS = 60
SWEEPS = 10


@dataclass(frozen=True)
class TrainingReport:
    """How a fit went: rows used, losses, whether the deep part was trained, prior sd of every cross."""

    rows: int
    deep: str  # "trained", "kept" or "continued"
    deep_losses: Sequence[float]
    wide_losses: Sequence[float]
    prior_sd: Mapping[str, float]


def fit(
    rows: Rows,
    *,
    seed: int,
    init: Model | None = None,
    version: int,
    clip: float,
    deep: str = "auto",
    epochs: int = EPOCHS,
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
    features = (
        Features.of(rows.frame) if deep in ("train", "none") or init is None else init.artefact.features
    )
    vocabulary = vocabulary_of(rows.frame, init.artefact.vocabulary if init is not None else {})
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}
    codes = codes_of(rows.frame, index)
    inputs = Inputs.of(rows.frame, features, codes)
    teaches = ~judged(rows.frame)
    if not teaches.any():
        teaches = ~teaches
    parameters, scaling, deep_losses, left = deep_part(
        rows, inputs, vocabulary, init, deep, epochs, seed, teaches
    )
    stored = compact(parameters, init if deep in ("keep", "continue") else None)
    stored |= {name: np.asarray(value).astype("<f4") for name, value in scaling.items()}
    stored["range"] = answer_range(rows.target, init, deep)
    stored |= {name: np.array(value, dtype="<f4") for name, value in left.items()}

    prior = DeepPart(Artefact(version, clip, features, vocabulary, CROSSES, stored, {}), index)
    old = old_codes(init)
    smooth = smooth_rows(rows, prior, vocabulary, old)
    exact, told = smooth.at(table_keys(codes, SMOOTH))
    rest = rows.target - exact
    tables = environment_tables(codes)
    wide_losses = backfit(tables, rest, rows.variance, sweeps=SWEEPS)
    effects = quantise(tables, exact - told, old)
    own = [
        WideRows(table.keys, code.astype(np.int64), table.variance, table.variance)
        for table, code in zip(tables, effects, strict=True)
    ]
    stored |= row_columns(WideRows.join([smooth.rows, *own]), init, max_rows)
    tau2 = [0.0] * len(SMOOTH) + [table.tau2 for table in tables]
    stored["inflation"] = smooth.inflation.astype("<f4")
    stored["spread2"] = np.array(tau2, dtype="<f4")
    deep_rows = len(rows) if init is None or deep == "train" else init.artefact.notes.get("deepRows", 0)
    notes = {"architecture": ARCHITECTURE, "rows": len(rows), "deepRows": deep_rows, "seed": seed}
    artefact = Artefact(
        version, float(clip), features, vocabulary, CROSSES, dict(sorted(stored.items())), notes
    )
    model = Model.from_bytes(pack(artefact))  # checked, and predicting from the bytes as every browser will
    prior_sd = {
        "×".join(cross): float(t.tau2**0.5) for cross, t in zip(CROSSES[len(SMOOTH) :], tables, strict=True)
    }
    done = {"train": "trained", "keep": "kept", "continue": "continued", "none": "none"}[deep]
    return model, TrainingReport(len(rows), done, deep_losses, wide_losses, prior_sd)
