"""The model against measured truth and against what people would use instead, split by what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetune.choose import Choice, leading
from fleetune.features import Floats, Ints
from fleetune.fit import fit
from fleetune.manifest import Manifest
from fleetune.model import Answer, Model
from fleetune_server.learn import baselines, splits
from fleetune_server.learn.lab import LabRow
from fleetune_server.learn.local import after_local
from fleetune_server.learn.quality import (
    Contexts,
    bootstrap,
    choice_summary,
    chosen_rows,
    decide,
    prediction_quality,
)
from fleetune_server.learn.rows import lab_rows
from fleetune_server.learn.splits import Fold

SPLITS = ("known_cell", "heldout_cell", "heldout_kernel", "heldout_engine", "rare_cell")
LOCAL = 20
CANDIDATE_MS = 31.0  # one candidate timed to under 3 % error in 92 % of cells (kernels_wasm/lab/README.md)


@dataclass
class Score:
    """One policy's results over the folds of a split, item by item; pooled at the end."""

    got: list[Floats] = field(default_factory=list)  # ln speedup of its choice, by context
    error: list[Floats] = field(default_factory=list)  # predicted − true, by variant row

    def pooled(self, best: Floats, kernels: Ints, row_kernels: Ints, draws: int) -> dict[str, Any]:
        got = np.concatenate(self.got)
        error = np.concatenate(self.error) if self.error else None
        result: dict[str, Any] = choice_summary(got, best)
        intervals = bootstrap(lambda i: choice_summary(got[i], best[i]), kernels, draws=draws)
        if error is not None:
            truth = np.zeros(len(error))
            result |= prediction_quality(error, truth)
            intervals |= bootstrap(
                lambda i: prediction_quality(error[i], truth[i]), row_kernels, draws=draws // 4
            )
        result["interval"] = {name: list(bounds) for name, bounds in intervals.items()}
        return result


def evaluate(
    lab: Sequence[LabRow],
    manifest: Manifest,
    *,
    seed: int = 0,
    names: Iterable[str] = SPLITS,
    boosting: Sequence[str] = (),
    draws: int = 400,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Every split's metrics, the baselines beside them on the same rows, and the retest ceiling.

    Asked is about browsers as people have them; switched-off forms only teach (`by_engine` shows them too).

    All figures are fractions except speedups; `interval` holds 95 % bootstrap bounds over kernels.
    """
    rows = lab_rows(lab, manifest)
    makers: Mapping[str, Callable[[], Iterable[Fold]]] = {
        "known_cell": lambda: splits.known_cell(lab, manifest),
        "heldout_cell": lambda: splits.heldout_cell(rows, seed),
        "heldout_kernel": lambda: splits.heldout_kernel(rows, seed),
        "heldout_engine": lambda: splits.heldout_engine(rows),
        "rare_cell": lambda: splits.rare_cell(rows, seed),
    }
    result: dict[str, Any] = {"cells": len(rows), "contexts": len(Contexts.of(rows))}
    by_split: dict[str, dict[str, Any]] = {}
    for name in names:
        folds = list(makers[name]())
        if not folds:
            progress(f"{name}: not enough lab data")
            continue
        result[name], by_split[name] = _split(name, folds, seed, boosting, draws, progress)
    policies = dict.fromkeys(policy for table in by_split.values() for policy in table)
    result["baselines"] = {
        policy: {name: table[policy] for name, table in by_split.items() if policy in table}
        for policy in policies
    }
    if "known_cell" in result:
        result["retest_ceiling"] = retest(lab, manifest)
        result["by_engine"] = result["known_cell"].pop("by_engine")
    return result


def _split(
    name: str,
    folds: Sequence[Fold],
    seed: int,
    boosting: Sequence[str],
    draws: int,
    progress: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, Any]]:
    scores: dict[str, Score] = {}
    best, kernels, row_kernels, extra = [], [], [], _Extra()
    for number, fold in enumerate(folds):
        progress(f"{name}: fold {number + 1} of {len(folds)}, {len(fold.train)} rows")
        contexts = Contexts.of(splits.of_people(fold.test))
        f, variants = contexts.frame, ~contexts.is_script
        signatures = [kernel.signature for kernel in f.kernels]
        codes = np.array([int(s[:8], 16) for s in signatures], dtype=np.int64)
        best.append(contexts.truth[contexts.best()])
        kernels.append(codes[contexts.kernel_of()])
        row_kernels.append(codes[f.kernel[variants]])

        def add(policy: str, chosen: Ints, predicted: Floats | None = None, c: Contexts = contexts) -> None:
            score = scores.setdefault(policy, Score())
            score.got.append(c.truth[chosen])
            if predicted is not None:
                mask = ~c.is_script
                score.error.append(predicted[mask] - c.truth[mask])

        model, _ = fit(fold.train, seed=seed, version=1, clip=0.5)
        answer = model.predict_frame(f)
        mean, decisions = answer.mean, decide(contexts, answer)
        add("model", chosen_rows(contexts, decisions), mean)
        extra.add(name, fold, contexts, model, answer, decisions, seed)
        if name == "known_cell":
            extra.by_engine(Contexts.of(fold.test), model)
        add("js", contexts.start[:-1])
        add("capability_heuristic", contexts.heuristic())
        add("best_fixed", baselines.best_fixed(fold.train, contexts))
        add("best_per_kernel_hindsight", baselines.best_per_kernel(contexts))
        predicted = baselines.variant_mean(fold.train, f)
        add("variant_mean", contexts.best(predicted), predicted)
        add("exhaustive_local_tuning", contexts.best())
        for library in boosting:
            predicted = baselines.boosted(library, fold.train, f)
            add(library, contexts.best(predicted), predicted)
    pooled = {
        policy: score.pooled(
            np.concatenate(best), np.concatenate(kernels), np.concatenate(row_kernels), draws
        )
        for policy, score in scores.items()
    }
    candidates = len(np.concatenate(row_kernels)) / len(np.concatenate(best)) + 1
    pooled["exhaustive_local_tuning"]["milliseconds_per_context"] = candidates * CANDIDATE_MS
    own = pooled.pop("model")
    return own | extra.figures(np.concatenate(kernels), draws), pooled


@dataclass
class _Extra:
    """What only the model has: confirmation, local samples, calibration, and figures by engine."""

    confirmed: list[Floats] = field(default_factory=list)  # regret-free ln ratio to the best, by context
    shipped: list[Floats] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)  # candidates measured as shipped, by context
    scaled: list[Floats] = field(default_factory=list)  # error ÷ sd
    local: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        split: str,
        fold: Fold,
        contexts: Contexts,
        model: Model,
        answer: Answer,
        decisions: Sequence[Choice],
        seed: int,
    ) -> None:
        best = contexts.truth[contexts.best()]
        rows = chosen_rows(contexts, decisions)
        everyone, chosen = confirm(contexts, answer, rows), contexts.truth[rows]
        sure = np.array([not decision.confirm for decision in decisions])
        self.confirmed.append(everyone - best)
        self.shipped.append(np.where(sure, chosen, everyone) - best)
        self.measured.extend(0 if decision.confirm == () else len(decision.confirm) for decision in decisions)
        variants = ~contexts.is_script
        noise = splits.of_people(fold.test).variance.mean()
        self.scaled.append(((answer.mean - contexts.truth) / np.sqrt(answer.sd**2 + noise))[variants])
        if split == "heldout_engine":
            self.local.append((fold.engine, after_local(model, contexts, LOCAL, seed)))

    def by_engine(self, contexts: Contexts, model: Model) -> None:
        """Figures of every environment in `contexts`, the lab's own too."""
        f = contexts.frame
        answer = model.predict_frame(f)
        best = contexts.truth[contexts.best()]
        chosen = contexts.truth[chosen_rows(contexts, decide(contexts, answer))]
        asked = np.flatnonzero(~contexts.is_script)
        first = contexts.start[:-1]
        where = f.environment[first]
        copied = np.array([c.copied for c in f.contexts])[f.context[first]]
        for number, environment in enumerate(f.environments):
            name = environment.browser + ("" if environment.simd else "-nosimd")
            here = where == number
            for label, mask in (("", here), ("_resident", here & ~copied), ("_copied", here & copied)):
                if mask.any():
                    summary = choice_summary(chosen[mask], best[mask])
                    target = self.engines.setdefault(name, {})
                    if label:
                        target["geomean_speedup" + label] = summary["geomean_speedup"]
                        target["oracle_speedup" + label] = float(np.exp(best[mask].mean()))
                        continue
                    rows = asked[f.environment[asked] == number]
                    target |= summary | {"oracle_speedup": float(np.exp(best[mask].mean()))}
                    target |= prediction_quality(answer.mean[rows], contexts.truth[rows])

    def figures(self, kernels: Ints, draws: int) -> dict[str, Any]:
        everyone, shipped = np.concatenate(self.confirmed), np.concatenate(self.shipped)
        scaled = np.concatenate(self.scaled)

        def oracle(i: Ints) -> dict[str, float]:
            return {"all": float(np.exp(everyone[i].mean())), "unsure": float(np.exp(shipped[i].mean()))}

        values, bounds = oracle(np.arange(len(everyone))), bootstrap(oracle, kernels, draws=draws)
        result: dict[str, Any] = {
            "percent_of_oracle_after_confirm": values["all"],
            "percent_of_oracle_after_confirm_interval": list(bounds["all"]),
            "percent_of_oracle_if_confirmed_when_unsure": values["unsure"],
            "confirmed_share": float(np.mean(np.array(self.measured) > 0)),
            "confirm_milliseconds_per_context": float(np.mean(self.measured)) * CANDIDATE_MS,
            "calibration": {
                "sd_of_scaled_error": float(np.sqrt(np.mean(scaled**2))),
                "within_1_sd": float(np.mean(np.abs(scaled) < 1)),
                "within_90pct": float(np.mean(np.abs(scaled) < 1.645)),
            },
        }
        if self.local:
            names = self.local[0][1]
            result |= {name: float(np.mean([entry[name] for _, entry in self.local])) for name in names}
            result["local_by_engine"] = dict(self.local)
        if self.engines:
            result["by_engine"] = self.engines
        return result


def confirm(contexts: Contexts, answer: Answer, chosen: Ints) -> Floats:
    """ln speedup of the best of the leaders, the heuristic and `js`, by context: after timing them."""
    f, heuristic = contexts.frame, contexts.heuristic()
    got = np.maximum(contexts.truth[heuristic], 0.0)  # js
    for i in range(len(contexts)):
        start, end = contexts.start[i], contexts.start[i + 1]
        names = [f.candidates[c] for c in f.candidate[start:end]]
        mean, contrast = answer.mean[start:end], answer.contrast[start:end]
        first, fallback = int(chosen[i] - start), names[heuristic[i] - start]
        top = leading(f.kernels[f.kernel[start]], names, mean, contrast, first, fallback)
        got[i] = max(got[i], *contexts.truth[start:end][top])
    return got


def retest(lab: Sequence[LabRow], manifest: Manifest) -> dict[str, float]:
    """What a perfect memory of the earlier repeats scores on the last: no predictor can be expected to
    beat it."""
    (fold,) = splits.known_cell(lab, manifest)
    remembered, contexts = Contexts.of(fold.train), Contexts.of(splits.of_people(fold.test))
    f = contexts.frame
    table = {}
    for row in range(len(remembered.truth)):
        g = remembered.frame
        key = (
            g.kernels[g.kernel[row]].signature,
            g.contexts[g.context[row]],
            g.environments[g.environment[row]],
            g.candidates[g.candidate[row]],
        )
        table[key] = remembered.truth[row]
    score = np.array(
        [
            table[
                f.kernels[f.kernel[row]].signature,
                f.contexts[f.context[row]],
                f.environments[f.environment[row]],
                f.candidates[f.candidate[row]],
            ]
            for row in range(len(contexts.truth))
        ]
    )
    variants = ~contexts.is_script
    return choice_summary(
        contexts.truth[contexts.best(score)], contexts.truth[contexts.best()]
    ) | prediction_quality(score[variants], contexts.truth[variants])
