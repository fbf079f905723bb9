"""Training: measured rows to a Model. Deep part first (or kept from `init`), then the wide hierarchy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import BITS, COLUMNS, SD_BASE, SHIFTS, TABLE_SHIFT, Artefact, pack
from fleetune.context import Context, Environment
from fleetune.deep import Array, Inputs, Parameters, descend, fresh, output, standardisation, vocabulary_sizes
from fleetune.features import Features, Floats, Frame, Ints, engine_key, environment_key
from fleetune.manifest import BASELINE, Kernel
from fleetune.model import CROSSES, Model
from fleetune.wide import Table, backfit, quantise, tables_of

ARCHITECTURE = "wide-and-deep-1"
MISFIT = 0.05  # variance added to each row's own when the deep part is trained: what features cannot explain
DEEP_ROWS = 60_000  # the deep part is a prior: a sample of rows is enough for it
MAX_ROWS = 400_000  # wide rows kept in the artefact
EPOCHS = 60
# An engine seen in one environment only cannot tell what is the engine's and what the environment's. Then this is
# assumed of the latter (each of its tables), so that what was learnt in the lab carries over to other machines.
ENVIRONMENT_SD = 0.03
REPLICATED = 1.5  # environments per engine from which the data may tell


@dataclass(frozen=True)
class Rows:
    """Measured ln speedups over `js`: a frame, targets (n,) and the variance of each (n,). Picklable."""

    frame: Frame
    target: Floats
    variance: Floats

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def of(cls, cells: Sequence[tuple[Kernel, Context, Environment, str, float, float]]) -> Rows:
        """Rows from (kernel, context, environment, candidate, ln speedup, variance), one by one."""
        frame = Frame.of(cell[:4] for cell in cells)
        return cls(
            frame, np.array([c[4] for c in cells], dtype=float), np.array([c[5] for c in cells], dtype=float)
        )

    def take(self, rows: Ints | NDArray[np.bool_]) -> Rows:
        return Rows(self.frame.take(rows), self.target[rows], self.variance[rows])

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """All rows under one vocabulary."""
        frames = [part.frame for part in parts]
        kernels = {k.signature: k for frame in frames for k in frame.kernels}
        contexts = list(dict.fromkeys(c for frame in frames for c in frame.contexts))
        environments = list(dict.fromkeys(e for frame in frames for e in frame.environments))
        candidates = list(dict.fromkeys(c for frame in frames for c in frame.candidates))
        signatures = list(kernels)

        def column(name: str, plural: str, words: Sequence[Any], of: Any) -> Ints:
            where = {word: i for i, word in enumerate(words)}
            pieces = [
                np.array([where[of(w)] for w in getattr(f, plural)], dtype=np.int64)[getattr(f, name)]
                for f in frames
            ]
            return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

        frame = Frame(
            list(kernels.values()), contexts, environments, candidates,
            column("kernel", "kernels", signatures, lambda k: k.signature),
            column("context", "contexts", contexts, lambda c: c),
            column("environment", "environments", environments, lambda e: e),
            column("candidate", "candidates", candidates, lambda c: c),
        )  # fmt: skip
        return cls(
            frame, np.concatenate([p.target for p in parts]), np.concatenate([p.variance for p in parts])
        )


@dataclass(frozen=True)
class TrainingReport:
    """How a fit went: rows used, losses, whether the deep part was trained, prior sd of every cross."""

    rows: int
    deep: str  # "trained", "kept" or "continued"
    deep_losses: Sequence[float]
    wide_losses: Sequence[float]
    prior_sd: Mapping[str, float]
    heldout_kernel_mae: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def fit(
    rows: Rows,
    *,
    seed: int,
    init: Model | None = None,
    version: int,
    clip: float,
    deep: str = "auto",
    epochs: int = EPOCHS,
    sweeps: int = 12,
    max_rows: int = MAX_ROWS,
) -> tuple[Model, TrainingReport]:
    """Train on measured rows; the same rows, seed and init give the same bytes.

    `deep`: "train" from scratch, "continue" from init for a quarter of the epochs, "keep" init's, "none" for
    the mean of the rows; "auto" keeps init's if there is one, else trains. Vocabularies and wide rows of `init` come first and in the same order, so
    old entries keep their indices and the change between versions stays small.
    """
    scripts = np.array([name == BASELINE for name in rows.frame.candidates], dtype=bool)
    rows = rows.take(~scripts[rows.frame.candidate]) if scripts.any() else rows
    if not len(rows):
        raise ValueError("no rows to train on")
    if deep == "auto" or (init is None and deep != "none"):
        deep = "train" if init is None else "keep"
    features = Features.of(rows.frame) if deep in ("train", "none") or init is None else init.features
    vocabulary = _vocabulary(rows.frame, init)
    codes = _codes(rows.frame, vocabulary)
    inputs = Inputs.of(rows.frame, features, codes)
    parameters, scaling, deep_losses, report = _deep(rows, inputs, vocabulary, init, deep, epochs, seed)
    stored = {name: np.asarray(value).astype("<f2") for name, value in parameters.items()}
    stored |= {name: np.asarray(value).astype("<f4") for name, value in scaling.items()}
    widened = {name: value.astype(np.float64) for name, value in stored.items()}
    stored["range"] = _range(rows.target, init, deep)
    prior = np.clip(output(widened, widened, inputs), *stored["range"].astype(np.float64))

    tables = tables_of(codes, CROSSES)
    if init is not None and init.artefact.crosses == CROSSES:
        for table, tau2 in zip(tables, init.artefact.arrays["tau2"], strict=True):
            table.tau2 = float(tau2)
    if len(np.unique(codes["environment"])) < REPLICATED * len(np.unique(codes["engine"])):
        for table, cross in zip(tables, CROSSES, strict=True):
            if "environment" in cross:
                table.tau2, table.learns = ENVIRONMENT_SD**2, False
    rest = rows.target - prior
    wide_losses = backfit(tables, rest, rows.variance, sweeps=sweeps)
    old = _old_rows(init)
    effects = quantise(tables, rest, rows.variance, old)
    stored |= _row_columns(tables, effects, init, old, max_rows)
    stored["tau2"] = np.array([table.tau2 for table in tables], dtype="<f4")
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


def _deep(
    rows: Rows,
    inputs: Inputs,
    vocabulary: Mapping[str, Sequence[str]],
    init: Model | None,
    deep: str,
    epochs: int,
    seed: int,
) -> tuple[Mapping[str, Array], Mapping[str, Array], list[float], dict[str, float]]:
    """Parameters, standardisation, losses, and the variance left on kernels that training did not see."""
    rng = np.random.default_rng(seed)
    sizes = vocabulary_sizes(vocabulary)
    if deep == "none":
        p = {name: np.zeros_like(value) for name, value in fresh(inputs, sizes, rng).items()}
        p["bias3"] = np.average(rows.target, weights=1 / (rows.variance + MISFIT))
        return p, standardisation(inputs), [], {"unknown2": float(np.var(rows.target)), "floor2": 0.01**2}
    if init is not None and deep != "train":
        a = init.artefact.arrays
        grown = _grown(a, fresh(inputs, sizes, rng), vocabulary, init)
        scaling: Parameters = {name: a[name] for name in a if name.endswith((".mean", ".scale"))}
        left = {"unknown2": float(a["unknown2"]), "floor2": float(a["floor2"])}
        if deep == "keep":
            return grown, scaling, [], left
        sample = _sample(rows, rng)
        weight = _weights(rows.variance[sample])
        p, losses = descend(
            grown, scaling, inputs.take(sample), rows.target[sample], weight, rng=rng,
            epochs=max(1, epochs // 4), batch=_batch(len(sample)), rate=1e-3,
        )  # fmt: skip
        return p, scaling, losses, left
    sample = _sample(rows, rng)
    part, target = inputs.take(sample), rows.target[sample]
    weight = _weights(rows.variance[sample])
    scaling = standardisation(part)
    best, unknown2, mae = _early_stop(part, scaling, target, weight, sizes, epochs, seed)
    p, losses = descend(
        fresh(part, sizes, rng),
        scaling,
        part,
        target,
        weight,
        rng=rng,
        epochs=best,
        batch=_batch(len(sample)),
    )
    return p, scaling, losses, {"unknown2": unknown2, "floor2": 0.01**2, "mae": mae}


def _early_stop(
    inputs: Inputs,
    scaling: Mapping[str, Array],
    target: Floats,
    weight: Floats,
    sizes: Mapping[str, int],
    epochs: int,
    seed: int,
) -> tuple[int, float, float]:
    """Epochs after which kernels held out were predicted best; the variance and MAE left on them."""
    kernels = np.unique(inputs.entries["kernel"])
    rng = np.random.default_rng(seed + 1)
    held = rng.permutation(kernels)[: max(1, len(kernels) // 5)]
    out = np.isin(inputs.entries["kernel"], held)
    if out.all() or len(kernels) < 5:
        return epochs, 0.5, float("nan")
    test = inputs.take(np.flatnonzero(out))
    test = Inputs(test.blocks, test.rows, {**test.entries, "kernel": np.full(len(test), -1)})
    goal = target[out]
    errors: list[tuple[float, float]] = []

    def watch(_epoch: int, p: Parameters) -> bool:
        error = output({n: v.astype(np.float64) for n, v in p.items()}, scaling, test) - goal
        errors.append((float(np.mean(error**2)), float(np.mean(np.abs(error)))))
        return False

    train = np.flatnonzero(~out)
    descend(
        fresh(inputs, sizes, rng), scaling, inputs.take(train), target[train], weight[train],
        rng=rng, epochs=epochs, batch=_batch(len(train)), watch=watch,
    )  # fmt: skip
    smooth = np.convolve([e[0] for e in errors], np.ones(3) / 3, mode="valid") if len(errors) > 3 else None
    best = int(np.argmin(smooth)) + 1 if smooth is not None else len(errors) - 1
    return best + 1, errors[best][0], errors[best][1]


def _range(target: Floats, init: Model | None, deep: str) -> NDArray[Any]:
    """What the deep part may answer: the range of what it was trained on, and a little more."""
    if init is not None and deep in ("keep", "continue"):
        return np.asarray(init.artefact.stored["range"])
    return np.array([target.min() - 0.5, target.max() + 0.5], dtype="<f4")


def _sample(rows: Rows, rng: np.random.Generator) -> Ints:
    count = len(rows)
    return np.arange(count) if count <= DEEP_ROWS else np.sort(rng.choice(count, DEEP_ROWS, replace=False))


def _weights(variance: Floats) -> Floats:
    weight = 1 / (variance + MISFIT)
    return np.asarray(weight / weight.mean())


def _batch(count: int) -> int:
    return 512 if count < 100_000 else 4096


def _vocabulary(frame: Frame, init: Model | None) -> dict[str, tuple[str, ...]]:
    """Old words first, then the new ones sorted."""
    seen = {
        "kernel": {frame.kernels[i].signature for i in np.unique(frame.kernel)},
        "pattern": {frame.contexts[i].pattern for i in np.unique(frame.context)},
        "environment": {environment_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "engine": {engine_key(frame.environments[i]) for i in np.unique(frame.environment)},
        "candidate": {frame.candidates[i] for i in np.unique(frame.candidate)},
    }
    old = init.artefact.vocabulary if init is not None else {}
    return {n: (*old.get(n, ()), *sorted(words - set(old.get(n, ())))) for n, words in seen.items()}


def _codes(frame: Frame, vocabulary: Mapping[str, Sequence[str]]) -> dict[str, Ints]:
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}

    def column(name: str, words: Sequence[str], rows: Ints) -> Ints:
        return np.array([index[name].get(word, -1) for word in words], dtype=np.int64)[rows]

    return {
        "kernel": column("kernel", [k.signature for k in frame.kernels], frame.kernel),
        "pattern": column("pattern", [c.pattern for c in frame.contexts], frame.context),
        "size": np.array([c.log2_size for c in frame.contexts], dtype=np.int64)[frame.context],
        "environment": column(
            "environment", [environment_key(e) for e in frame.environments], frame.environment
        ),
        "engine": column("engine", [engine_key(e) for e in frame.environments], frame.environment),
        "candidate": column("candidate", list(frame.candidates), frame.candidate),
    }


def _grown(
    old: Mapping[str, Floats], start: Parameters, vocabulary: Mapping[str, Sequence[str]], init: Model
) -> Parameters:
    """Old parameters with zero rows for new embedding entries: unknown until trained."""
    grown: Parameters = {}
    for name in start:
        value = old[name]
        field_name = name.removesuffix(".embedding")
        if name.endswith(".embedding") and field_name != "size":
            extra = len(vocabulary[field_name]) - len(init.artefact.vocabulary[field_name])
            value = np.vstack([value, np.zeros((extra, value.shape[1]))])
        grown[name] = value
    return grown


def _old_rows(init: Model | None) -> list[dict[int, int] | None] | None:
    """Value codes by packed key for every table of the previous model, if its tables are the same."""
    if init is None or init.artefact.crosses != CROSSES:
        return None
    old: list[dict[int, int]] = [{} for _ in CROSSES]
    values = init.artefact.stored["row.value"].tolist()
    for key, value in zip(init.artefact.keys.tolist(), values, strict=True):
        old[key >> TABLE_SHIFT][key] = value
    return list(old)


def _row_columns(
    tables: Sequence[Table],
    effects: Sequence[NDArray[np.int16]],
    init: Model | None,
    old: Sequence[Mapping[int, int] | None] | None,
    max_rows: int,
) -> dict[str, NDArray[Any]]:
    """All wide rows as columns: those of `init` first and in its order, then the new ones."""
    keys = np.concatenate([table.keys for table in tables])
    value = np.concatenate(effects)
    variance = np.concatenate([table.variance for table in tables])
    sd = np.clip(np.rint(np.log(variance) / 2 / np.log(SD_BASE)), 0, 255).astype(np.uint8)
    if len(keys) > max_rows:  # the least informative rows go: nearly zero and of the finest tables
        keep = np.sort(
            np.argsort(-(np.abs(value) + 1 - (keys >> TABLE_SHIFT) / 64), kind="stable")[:max_rows]
        )
        keys, value, sd = keys[keep], value[keep], sd[keep]
    if init is not None and old is not None:
        before = init.artefact.keys
        known = np.isin(before, keys)
        order = np.argsort(keys, kind="stable")
        kept = order[np.searchsorted(keys, before[known], sorter=order)]
        fresh = np.flatnonzero(~np.isin(keys, before))
        at = np.concatenate([kept, fresh])
        keys, value, sd = keys[at], value[at], sd[at]
    columns: dict[str, NDArray[Any]] = {"table": keys >> TABLE_SHIFT, "value": value, "sd": sd}
    for name, shift in SHIFTS.items():
        columns[name] = (keys >> shift) & ((1 << BITS[name]) - 1)
    kinds = {"u1": "|u1", "u2": "<u2", "i2": "<i2"}
    return {f"row.{name}": columns[name].astype(kinds[kind]) for name, kind in COLUMNS.items()}
