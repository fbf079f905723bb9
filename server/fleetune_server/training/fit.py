"""Training: measured rows to a Model. The prior (or init's), then the smooth part, then environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import SMOOTH, Artefact, pack
from fleetune.features import Features
from fleetune.manifest import BASELINE
from fleetune.model import CROSSES, Model, codes_of, table_keys
from fleetune.trees import TreePart
from fleetune_server.training.carry_over import old_codes, row_columns
from fleetune_server.training.clips import NEWCOMER, NO_REPORTS, Reports, place_clips
from fleetune_server.training.prior import constant, keeps, kept, train_prior
from fleetune_server.training.rows import Rows as Rows
from fleetune_server.training.rows import kept_out, vocabulary_of
from fleetune_server.training.wide import backfit, environment_tables, quantise
from fleetune_server.training.wide_rows import WideRows, smooth_rows

ARCHITECTURE = "smooth-wide-trees-1"
MAX_ROWS = 300_000  # wide rows kept in the artefact: 15 bytes each, of the 5 MB that may be published
SWEEPS = 10
PRIOR_ROWS = "priorRows"  # note: of how many rows the prior was trained


def _prior(rows: Rows, features: Features, seed: int) -> dict[str, NDArray[Any]]:
    """A new prior, from everything but the contexts that are kept out and jobs, which have no features."""
    f = rows.frame
    readable = ~np.array([kernel.job for kernel in f.kernels], dtype=bool)[f.kernel]
    if not readable.any():
        return constant(rows)
    teaches = readable & ~kept_out(f)
    return train_prior(rows, features, teaches if teaches.any() else readable, seed)


@dataclass(frozen=True)
class TrainingReport:
    """How a fit went: rows used, losses, whether the prior was trained, prior sd of every cross."""

    rows: int
    prior: str  # "trained", "kept" or "none"
    wide_losses: Sequence[float]
    prior_sd: Mapping[str, float]


def fit(
    rows: Rows,
    reports: Reports = NO_REPORTS,
    *,
    seed: int,
    init: Model | None = None,
    version: int,
    clip: float | None = None,
    prior: str = "auto",
    max_rows: int = MAX_ROWS,
) -> tuple[Model, TrainingReport]:
    """Train on measured rows; the same rows, seed and init give the same bytes.

    The clips of the next round follow from the `reports` of each place; `clip` is one for all places instead.

    `prior`: "train" the trees, "keep" those of init (train if it has none), "none" for the mean of the rows;
    "auto" keeps them if it can.
    Vocabularies and wide rows of `init` come first and in the same order, so
    old entries keep their indices and the change between versions stays small.
    """
    scripts = np.array([name == BASELINE for name in rows.frame.candidates], dtype=bool)
    rows = rows.take(~scripts[rows.frame.candidate]) if scripts.any() else rows
    if not len(rows):
        raise ValueError("no rows to train on")
    if prior == "auto":
        prior = "keep"
    if prior == "keep" and not keeps(init):
        prior = "train"
    features = init.artefact.features if init is not None and prior == "keep" else Features.of(rows.frame)
    vocabulary = vocabulary_of(rows.frame, init.artefact.vocabulary if init is not None else {})
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}
    codes = codes_of(rows.frame, index)
    if init is not None and prior == "keep":
        stored = kept(init)
    else:
        stored = _prior(rows, features, seed) if prior == "train" else constant(rows)
    trees = TreePart(Artefact(version, NEWCOMER, features, vocabulary, CROSSES, stored, {}))
    old = old_codes(init)
    smooth = smooth_rows(rows, trees, vocabulary, old)
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
    prior_rows = init.artefact.notes.get(PRIOR_ROWS, 0) if init is not None and prior == "keep" else len(rows)
    notes = {"architecture": ARCHITECTURE, "rows": len(rows), PRIOR_ROWS: prior_rows, "seed": seed}
    artefact = Artefact(
        version, clip or NEWCOMER, features, vocabulary, CROSSES, dict(sorted(stored.items())), notes
    )
    if clip is None:
        usual, clips = place_clips(Model(artefact), rows.frame, reports)
        artefact = replace(artefact, clip=usual, stored=dict(sorted((stored | clips).items())))
    model = Model.from_bytes(pack(artefact))  # checked, and predicting from the bytes as every browser will
    prior_sd = {
        "×".join(cross): float(t.tau2**0.5) for cross, t in zip(CROSSES[len(SMOOTH) :], tables, strict=True)
    }
    done = {"train": "trained", "keep": "kept", "none": "none"}[prior]
    return model, TrainingReport(len(rows), done, wide_losses, prior_sd)
