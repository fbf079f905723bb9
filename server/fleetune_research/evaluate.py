"""The model against measured truth and against what people would use instead, split by what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetune.choose import DEVICES, INTERVAL
from fleetune.features import Floats, Ints
from fleetune.manifest import Manifest
from fleetune.model import Answer, Model
from fleetune_research import baselines, splits
from fleetune_research.confirmation import Repeat, confirmed, timed_answer
from fleetune_research.forged import Forged
from fleetune_research.local import after_local
from fleetune_research.splits import Fold
from fleetune_server.training.fit import fit
from fleetune_server.training.lab import LabRow
from fleetune_server.training.quality import (
    Contexts,
    bootstrap,
    choice_summary,
    chosen_rows,
    decide,
    prediction_quality,
)
from fleetune_server.training.sources import lab_rows

SPLITS = (
    "known_cell",
    "heldout_cell",
    "strict_context",
    "heldout_kernel",
    "forged",
    "heldout_engine",
    "rare_cell",
)
# Of a kernel that nobody knows, a page times the reference before anything else.
NEW = ("heldout_kernel", "forged")
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
    forged: Forged | None = None,
    seeds: Sequence[int] = (0,),
    names: Iterable[str] = SPLITS,
    boosting: Sequence[str] = (),
    draws: int = 400,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Every split's metrics, the baselines beside them on the same rows, and the retest ceiling.

    `forged` kernels are asked in a split of their own and never learned from. They were recorded once, so what is timed
    there is also what judges, and only first choices are told.

    Only ordinary browsers are scored. Browsers with a compiler tier disabled are training data (`by_engine`
    shows them too). Kernels are left out once for every one of `seeds`; the other splits take the first.

    All figures are fractions except speedups; `interval` holds 95 % bootstrap bounds over kernels.
    """
    # What a page would time comes from the last repeat; the others judge, where there are any.
    seed = seeds[0]
    repeats = sorted({row.repeat for row in lab})
    timed = Repeat.of(lab, repeats[-1])
    rows = lab_rows(lab, manifest, repeats=frozenset(repeats[:-1] or repeats))
    others = forged or Forged(manifest, [])
    of_others = Repeat.of(others.lab, 0)
    makers: Mapping[str, Callable[[], Iterable[Fold]]] = {
        "known_cell": lambda: splits.known_cell(lab, manifest),
        "heldout_cell": lambda: splits.heldout_cell(rows, seed),
        "strict_context": lambda: splits.strict_context(rows, seed),
        "heldout_kernel": lambda: (fold for s in seeds for fold in splits.heldout_kernel(rows, s)),
        "forged": lambda: splits.forged(rows, lab_rows(others.lab, others.manifest)),
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
        here = of_others if name == "forged" else timed
        result[name], by_split[name] = _split(name, folds, here, seed, boosting, draws, progress)
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
    timed: Repeat,
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
        answer = timed_answer(contexts, model, timed) if name in NEW else model.predict_frame(f)
        mean, decisions = answer.mean, decide(contexts, answer)
        add("model", chosen_rows(contexts, decisions), mean)
        extra.add(name, fold, contexts, model, answer, timed, seed)
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
    own = pooled.pop("model") | _over(
        scores["model"], scores["capability_heuristic"], np.concatenate(kernels), draws
    )
    more = extra.figures(np.concatenate(kernels), draws)
    return own | ({"calibration": more["calibration"]} if name == "forged" else more), pooled


def _over(model: Score, heuristic: Score, kernels: Ints, draws: int) -> dict[str, Any]:
    """How much faster the model's choices are than the capability heuristic's in the same contexts: geometric
    mean, and its 95 % interval by drawing kernels. Above 1 throughout, the difference is significant."""
    apart = np.concatenate(model.got) - np.concatenate(heuristic.got)

    def over(rows: Ints) -> dict[str, float]:
        return {"over_heuristic": float(np.exp(apart[rows].mean()))}

    bounds = bootstrap(over, kernels, draws=draws)["over_heuristic"]
    return over(np.arange(len(apart))) | {"over_heuristic_interval": list(bounds)}


@dataclass
class _Extra:
    """What only the model has: confirmation, local samples, calibration, and figures by engine."""

    confirmed: list[Floats] = field(
        default_factory=list
    )  # ln of the chosen ÷ the best after the rule, by context
    timings: list[Floats] = field(default_factory=list)  # by context, the reference among them
    scaled: list[Floats] = field(default_factory=list)  # error ÷ the sd of the interval that is shown
    local: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        split: str,
        fold: Fold,
        contexts: Contexts,
        model: Model,
        answer: Answer,
        timed: Repeat,
        seed: int,
    ) -> None:
        best = contexts.truth[contexts.best()]
        rows, timings = confirmed(contexts, answer, timed, seed)
        self.confirmed.append(contexts.truth[rows] - best)
        self.timings.append(timings)
        variants = ~contexts.is_script
        self.scaled.append(((answer.mean - contexts.truth) / np.hypot(answer.sd, DEVICES))[variants])
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
        after, timings = np.concatenate(self.confirmed), np.concatenate(self.timings)
        scaled = np.concatenate(self.scaled)

        def oracle(i: Ints) -> dict[str, float]:
            return {"after": float(np.exp(after[i].mean()))}

        bounds = bootstrap(oracle, kernels, draws=draws)
        result: dict[str, Any] = {
            "percent_of_oracle_after_confirm": oracle(np.arange(len(after)))["after"],
            "percent_of_oracle_after_confirm_interval": list(bounds["after"]),
            "timings_per_context": float(timings.mean()),
            "timings_most": float(timings.max()),
            "confirm_milliseconds_per_context": float(timings.mean()) * CANDIDATE_MS,
            "calibration": {
                "sd_of_scaled_error": float(np.sqrt(np.mean(scaled**2))),
                "within_1_sd": float(np.mean(np.abs(scaled) < 1)),
                "within_90pct": float(np.mean(np.abs(scaled) < INTERVAL)),
            },
        }
        if self.local:
            names = self.local[0][1]
            result |= {name: float(np.mean([entry[name] for _, entry in self.local])) for name in names}
            result["local_by_engine"] = dict(self.local)
        if self.engines:
            result["by_engine"] = self.engines
        return result


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
