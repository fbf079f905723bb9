"""Whether a candidate that a share of the clients tried chooses worse than the stable version. Pure.

Both versions are judged by the same evidence: the reports made with the candidate, which neither was
trained on. What is compared is regret, and in a difference of regrets the unknown best drops out: it is the
mean over reported contexts of ln speedup(stable's choice) − ln speedup(candidate's choice). A report tells
of one variant of its context, drawn uniformly among those measured there, so the doubly robust estimator of
off-policy evaluation applies (Dudík, Langford & Li, "Doubly Robust Policy Evaluation and Learning", 2011):
the candidate's predictions are the control variate, and the decoded residuals correct them.

Residuals are clipped around the candidate's own predictions, so a candidate that is far off would vouch for
itself. Where the two versions differ by d, more than the clip c, residuals therefore count d / c times: then
the estimate is unbiased both if the candidate is right and if the stable version is. The noise, enlarged as
much, is in the interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

from fleetune.choose import choose
from fleetune.context import Context, Environment
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import GROUP, coarsen
from fleetune_server.training.clips import Place
from fleetune_server.training.gate import Check, GateVerdict

DOUBT = 0.01  # chance that a harmless candidate is withdrawn, per check


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """Everything that one judgement needs; picklable."""

    manifest: Mapping[str, Any]  # the catalogue's raw JSON
    stable: bytes
    candidate: bytes
    rows: Sequence[CellSum]  # reports made with the candidate
    least: int = GROUP  # reports below which a figure is not published, nor a decision made on it


@dataclass(frozen=True, slots=True)
class _Score:
    """A figure of many reports added up: their number, Σ, Σ², and a floor of the variance."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    noise: float = 0.0  # Σ of the privacy mechanism's own variance

    @classmethod
    def of(cls, row: CellSum, constant: float, slope: float) -> _Score:
        """The figure constant + slope · residual, residual in ln speedup, of every report of a row."""
        noise = mechanism(row.cell.epsilon)
        unit = row.cell.clip / (2 * noise.scale)
        total, squares = slope * unit * row.total, (slope * unit) ** 2 * row.squares
        return cls(
            row.count,
            row.count * constant + total,
            row.count * constant**2 + 2 * constant * total + squares,
            row.count * (slope * row.cell.clip) ** 2 * float(noise.variance(0.0)),
        )

    @classmethod
    def sum(cls, scores: Iterable[_Score]) -> _Score:
        columns = zip(*((s.count, s.total, s.squares, s.noise) for s in scores), strict=True)
        return cls(*map(sum, columns))

    @property
    def mean(self) -> float:
        return self.total / self.count

    def low(self, z: float) -> float:
        """The mean less z of its deviations; a few reports that happen to agree are no certainty."""
        seen = max(self.squares - self.total**2 / self.count, 0.0)
        return self.mean - z * sqrt(max(seen, self.noise)) / self.count


class _Context(NamedTuple):
    """What both versions say in one context: ln speedups by candidate, and their choices."""

    stable: Mapping[str, float]
    candidate: Mapping[str, float]
    old: str
    new: str


def judge_trial(request: TrialRequest) -> GateVerdict:
    """The candidate is withdrawn if a check fails: more regret in all or in one place, or a larger error."""
    manifest = Manifest.load(request.manifest)
    stable, candidate = Model.from_bytes(request.stable), Model.from_bytes(request.candidate)
    contexts: dict[tuple[str, Context, Environment], _Context] = {}
    losses: dict[Place, list[_Score]] = {}
    errors: list[_Score] = []
    for row in request.rows:
        cell = row.cell
        kernel = manifest.by_signature.get(cell.signature)
        if kernel is None or not row.count:
            continue
        key = cell.signature, cell.context, cell.environment
        context = contexts.get(key)
        if context is None:
            context = contexts[key] = _said(kernel, cell.context, cell.environment, stable, candidate)
        losses.setdefault((cell.signature, cell.environment), []).append(_loss(row, kernel, context))
        errors.append(_error(row, context))
    count = sum(score.count for score in errors)
    if count < request.least:
        reason = f"{count} reports: with fewer than {request.least} nothing is said"
        return GateVerdict((Check("reported", True, float(count), float(request.least), reason),))
    return GateVerdict((*_regret(losses, manifest, request.least), _larger(errors)))


def _places(losses: Mapping[Place, Sequence[_Score]], least: int) -> dict[Place, _Score]:
    """What may be told of by name: kernels by browser and version, small groups by browser alone, and what
    is too small even then not at all."""
    fine = {place: _Score.sum(scores) for place, scores in losses.items()}
    coarse: dict[Place, list[_Score]] = {}
    for (signature, environment), score in fine.items():
        if score.count < least:
            coarse.setdefault((signature, coarsen(environment)), []).append(score)
    merged = {place: _Score.sum(scores) for place, scores in coarse.items()}
    return {place: score for place, score in [*fine.items(), *merged.items()] if score.count >= least}


def _said(
    kernel: Kernel, context: Context, environment: Environment, stable: Model, candidate: Model
) -> _Context:
    names = kernel.candidates(environment.features)
    before, after = (m.predict(kernel, context, environment, names) for m in (stable, candidate))
    old, new = (choose(kernel, context, environment, p, {}, ()).candidate for p in (before, after))
    by_name = [dict(zip(names, p.mean.tolist(), strict=True)) for p in (before, after)]
    return _Context(by_name[0], by_name[1], old, new)


def _loss(row: CellSum, kernel: Kernel, said: _Context) -> _Score:
    """ln speedup that the candidate's choice loses against the stable version's."""
    cell = row.cell
    if said.old == said.new:
        return _Score(row.count)
    gap = said.candidate[said.old] - said.candidate[said.new]
    # The inverse of the chance that a report of this context is of this variant; `js` is never reported.
    weight = sum(name != BASELINE for name in kernel.candidates(cell.environment.features))
    sign = (cell.candidate == said.old) - (cell.candidate == said.new)
    apart = abs(said.stable[cell.candidate] - said.candidate[cell.candidate])
    return _Score.of(row, gap, sign * weight * max(1.0, apart / cell.clip))


def _error(row: CellSum, said: _Context) -> _Score:
    """Squared error of the candidate less that of the stable version, both seen through the clip."""
    cell = row.cell
    apart = said.stable[cell.candidate] - said.candidate[cell.candidate]
    apart = max(-cell.clip, min(cell.clip, apart))
    return _Score.of(row, -(apart**2), 2 * apart)  # r² − (r − apart)²


def _regret(losses: Mapping[Place, Sequence[_Score]], manifest: Manifest, least: int) -> list[Check]:
    overall = _Score.sum(score for scores in losses.values() for score in scores)
    z = NormalDist().inv_cdf(1 - DOUBT)
    low = overall.low(z)
    reason = (
        f"regret against the stable version in {overall.count} reports: {overall.mean:+.2%} "
        f"({low:+.2%} to {2 * overall.mean - low:+.2%})"
    )
    checks = [Check("reported-regret", low <= 0, overall.mean, 0.0, reason)]
    places = _places(losses, least)
    if not places:
        return checks
    # The place where it is surest; the more places, the surer one of them must be (Bonferroni).
    strict = NormalDist().inv_cdf(1 - DOUBT / len(places))
    (signature, environment), worst = max(places.items(), key=lambda item: item[1].low(strict))
    kernel = manifest.by_signature[signature].name
    low, where = worst.low(strict), f"{kernel} in {environment.browser} {environment.version or ''}".strip()
    reason = f"largest sure regret in one place: {low:+.2%} ({where}, {worst.count} reports)"
    surely = tuple(place for place, score in places.items() if score.low(strict) > 0)
    checks.append(Check("reported-regret-place", low <= 0, low, 0.0, reason, surely))
    return checks


def _larger(errors: Sequence[_Score]) -> Check:
    score, z = _Score.sum(errors), NormalDist().inv_cdf(1 - DOUBT)
    low, high = score.low(z), 2 * score.mean - score.low(z)
    reason = f"squared error against the stable version's: {score.mean:+.5f} ({low:+.5f} to {high:+.5f})"
    return Check("reported-error", low <= 0, score.mean, 0.0, reason)
