"""Whether a trained model may be published, and why. Pure.

Held-out reports judge it where people are, lab measurements where the truth is known, and a cap on movement where
neither looks: a fleet-wide average hides an attack on one context. A check that fails names the places (kernel ×
environment) that it fails for, so that training can hold those and publish the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Floats, Frame, Ints
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.aggregate import GROUP, coarsen, place
from fleetune_server.training.clips import Place
from fleetune_server.training.fit import Rows
from fleetune_server.training.quality import Contexts, chosen_rows, decide

ONE_SIDED = 1.645  # 95 %
LAB_ERROR = 0.01
LAB_LOSS = 0.05
MOVEMENT = 0.3  # ln speedup that a context with a sure prediction may move in one version
FRESH = 50  # held-out reports that are asked: the newest rounds that have as many together
UNSURE = 2.0  # standard deviations of the previous prediction that an unsure one may move
HELD_SHARE = 0.25  # of all places, or of the held-out reports: where more are at fault, it is the model
HELD = "held-places"  # the check that says which places are held
NAMED = 5  # held places that a reason names
SLACK = 1.25  # smoothing may carry a context a little past the cap put on its own reports


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the new model, its figure and limit."""

    name: str
    passed: bool
    figure: float
    limit: float
    reason: str  # one plain sentence
    places: tuple[Place, ...] = ()  # that it failed for


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """All checks; publish only if every one passed, or an operator overrules those that did not."""

    checks: tuple[Check, ...]
    overruled: str = ""  # the operator's reason

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def accepted(self) -> bool:
        return self.passed or bool(self.overruled)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The failed checks' reasons, or all reasons if none failed; first of all the operator's, if any."""
        found = tuple(check.reason for check in self.checks if check.passed == self.passed)
        if not self.overruled:
            return found
        return (f"an operator accepted it although the gate refused it: {self.overruled}", *found)


FIRST = GateVerdict((Check("first", True, 0.0, 0.0, "first model: nothing to compare with"),))


def judge(
    model: Model,
    previous: Model | None,
    heldout: Sequence[CellSum],
    lab: Rows,
    manifest: Manifest,
    *,
    improve: bool = False,
    least: int = GROUP,
    measured: bool = True,
    held: Collection[Place] = (),
) -> GateVerdict:
    """Compare a model with its predecessor. `heldout`: reports that neither was trained on.

    With `improve` the held-out error must shrink (one-sided 95 %); otherwise it must not have grown. Fewer
    than `least` reports are not asked: the verdict is published, and what fewer say is little but noise. A `lab`
    that was not `measured` is a guess: it is no truth to judge by, only contexts that may not jump. `held`: places
    that the model did not learn from, and that `heldout` leaves out; they are named. The first model has no
    predecessor and is published if it predicts at all.
    """
    if previous is None:
        return FIRST
    checks = [*_reports(model, previous, heldout, manifest, improve, least)]
    if len(lab) and measured:
        checks += _on_lab(model, previous, lab)
    checks.append(_movement(model, previous, heldout, lab, manifest))
    if held:
        checks.append(_holding(held, manifest))
    return GateVerdict(tuple(checks))


def is_held(cell: Cell, held: Collection[Place]) -> bool:
    """Whether a cell lies in one of these places, or in one that stands for its whole engine."""
    return bool(held) and (
        (cell.signature, cell.environment) in held or (cell.signature, coarsen(cell.environment)) in held
    )


def to_hold(verdict: GateVerdict, places: int) -> set[Place]:
    """The places to hold, of so many, for the failed checks to pass; empty if that would not help or not do."""
    failed = [check for check in verdict.checks if not check.passed]
    found = {one for check in failed for one in check.places}
    blameless = any(not check.places for check in failed)
    return set() if blameless or len(found) > max(1, HELD_SHARE * places) else found


def _holding(held: Collection[Place], manifest: Manifest) -> Check:
    """Says which places keep what the previous version predicts; always passes."""
    known = (one for one in held if one[0] in manifest.by_signature)
    names = sorted(
        f"{manifest.by_signature[one].name} in {e.browser} {e.version or ''}".strip() for one, e in known
    )
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    reason = f"reports not believed, the previous predictions kept: {', '.join(names[:NAMED])}{more}"
    return Check(HELD, True, float(len(held)), 0.0, reason, tuple(held))


def movement_limit(previous: Model, frame: Frame) -> Floats:
    """How far each prediction may move in one version: by its reports' clip, which is wide where the previous
    model knows little, or by some of that model's deviations."""
    unsure = np.maximum(UNSURE * previous.predict_frame(frame).sd, previous.clips(frame))
    return np.asarray(np.maximum(MOVEMENT, unsure))


def movement(model: Model, previous: Model, frame: Frame) -> Floats:
    """How far each prediction of a frame moved, (n,), as a share of how far it may in one version."""
    moved = np.abs(model.predict_frame(frame).mean - previous.predict_frame(frame).mean)
    return np.asarray(moved / movement_limit(previous, frame))


def _reports(
    model: Model, previous: Model, heldout: Sequence[CellSum], manifest: Manifest, improve: bool, least: int
) -> list[Check]:
    """Difference of squared errors on held-out reports: unbiased although every report is noised, because the
    noise has mean 0 and enters it linearly; the sample variance carries the noise into the interval."""
    rows = _fresh([row for row in heldout if row.cell.signature in manifest.by_signature])
    count = np.array([row.count for row in rows], dtype=float)
    if count.sum() < max(least, 2):
        return []
    frame = frame_of(rows, manifest)
    new, old = model.predict_frame(frame).mean, previous.predict_frame(frame).mean
    scale = np.array([row.cell.clip / (2 * mechanism(row.cell.epsilon).scale) for row in rows])
    base = np.array([row.cell.base_log for row in rows])
    mean = base + scale * np.array([row.total for row in rows]) / count
    square = scale**2 * np.array([row.squares for row in rows]) / count
    spread = np.maximum(square - (mean - base) ** 2, 0.0)  # within-cell variance of single reports
    slope = 2 * (new - old)
    difference = (new - old) * (new + old - 2 * mean)  # per report, mean over the cell

    def interval(at: NDArray[np.bool_]) -> tuple[float, float, float]:
        """The mean difference of these rows, and both ends of its interval."""
        total = count[at].sum()
        overall = float((count * difference)[at].sum() / total)
        about = slope**2 * spread + (difference - overall) ** 2
        reach = ONE_SIDED * sqrt(float((count * about)[at].sum())) / float(total)
        return overall, overall - reach, overall + reach

    total = count.sum()
    overall, low, high = interval(np.ones(len(rows), dtype=bool))
    passed = high < 0 if improve else low <= 0
    word = "improved" if high < 0 else "not worse" if low <= 0 else "worse"
    reason = (
        f"squared error on {int(total)} held-out reports {word}: {overall:+.5f} ({low:+.5f} to {high:+.5f})"
    )
    at_fault: list[Place] = []
    if not passed and not improve:
        here = [(row.cell.signature, row.cell.environment) for row in rows]
        rest = np.ones(len(rows), dtype=bool)
        for one in _worst_first(here, count * difference):
            at_fault.append(one)
            rest &= np.array([other != one for other in here])
            if count[rest].sum() < (1 - HELD_SHARE) * total:
                at_fault = []  # too many to be at fault
                break
            if interval(rest)[1] <= 0:
                break
    return [Check("heldout", bool(passed), overall, 0.0, reason, tuple(at_fault))]


def _worst_first(places: Sequence[Place], amount: Floats) -> list[Place]:
    """The places whose amounts add up to more than 0, the largest first."""
    sums: dict[Place, float] = {}
    for one, value in zip(places, amount.tolist(), strict=True):
        sums[one] = sums.get(one, 0.0) + value
    return sorted((one for one in sums if sums[one] > 0), key=lambda one: -sums[one])


def _fresh(rows: Sequence[CellSum]) -> list[CellSum]:
    """The reports of the newest rounds, of as many as have FRESH reports: what was true before would refuse
    every model that learns of a change."""
    reports: dict[int, int] = {}
    for row in rows:
        reports[row.cell.version] = reports.get(row.cell.version, 0) + row.count
    total, oldest = 0, 0
    for version in sorted(reports, reverse=True):
        total, oldest = total + reports[version], version
        if total >= FRESH:
            break
    return [row for row in rows if row.cell.version >= oldest]


def _on_lab(model: Model, previous: Model, lab: Rows) -> list[Check]:
    contexts = Contexts.of(lab)
    variants = ~contexts.is_script
    errors, picked = [], []
    for candidate in (model, previous):
        answer = candidate.predict_frame(contexts.frame)
        errors.append(np.abs(answer.mean - contexts.truth)[variants])
        picked.append(chosen_rows(contexts, decide(contexts, answer)))
    error = [float(each.mean()) for each in errors]
    worse = error[0] - error[1]
    at_fault: list[Place] = []
    if worse > LAB_ERROR:
        here, growth = places_of(contexts.frame, np.flatnonzero(variants)), errors[0] - errors[1]
        left = float(growth.sum())
        for one in _worst_first(here, growth):
            at_fault.append(one)
            left -= float(growth[[other == one for other in here]].sum())
            if left <= LAB_ERROR * len(growth):
                break
    # The lab's own error counts: a choice is only held against the model as far as the lab is sure (95 %).
    noise = np.where(contexts.source >= 0, lab.variance[contexts.source], 0.0)
    lost = contexts.truth[picked[1]] - contexts.truth[picked[0]]
    doubt = ONE_SIDED * np.sqrt(noise[picked[0]] + noise[picked[1]]) * (picked[0] != picked[1])
    rise = 1 - np.exp(-np.maximum(lost - doubt, 0.0))
    at = int(np.argmax(rise))
    frame, row = contexts.frame, contexts.start[at]
    context = frame.contexts[frame.context[row]]
    where = f"{frame.kernels[frame.kernel[row]].name}, {2**context.log2_size:,} elements, {context.pattern}"
    return [
        Check(
            "lab-error", worse <= LAB_ERROR, worse, LAB_ERROR,
            f"error on lab measurements {error[0]:.4f} after {error[1]:.4f}; it may grow by {LAB_ERROR}",
            tuple(at_fault),
        ),
        Check(
            "lab-loss", float(rise[at]) <= LAB_LOSS, float(rise[at]), LAB_LOSS,
            f"largest sure loss of a lab choice against the previous model: {rise[at]:.1%} ({where}); "
            f"at most {LAB_LOSS:.0%}",
            _distinct(places_of(frame, contexts.start[:-1][rise > LAB_LOSS])),
        ),
    ]  # fmt: skip


def _movement(
    model: Model, previous: Model, heldout: Sequence[CellSum], lab: Rows, manifest: Manifest
) -> Check:
    frames = [lab.frame] if len(lab) else []
    rows = [row for row in heldout if row.cell.signature in manifest.by_signature]
    if rows:
        frames.append(frame_of(rows, manifest))
    if _is_of_trees(model) and not _is_of_trees(previous):
        reason = "the previous version is of an earlier kind, so how far predictions moved says nothing"
        return Check("movement", True, 0.0, SLACK, reason)
    worst, where = 0.0, "nothing"
    too_far: list[Place] = []
    for frame in frames:
        moved = movement(model, previous, frame)
        too_far += places_of(frame, np.flatnonzero(moved > SLACK))
        at = int(np.argmax(moved))
        if moved[at] > worst:
            worst = float(moved[at])
            kernel = frame.kernels[frame.kernel[at]].name
            where = f"{kernel} {frame.candidates[frame.candidate[at]]}"
    reason = f"largest movement of one prediction: {worst:.0%} of its cap ({where}); at most {SLACK:.0%}"
    return Check("movement", worst <= SLACK, worst, SLACK, reason, _distinct(too_far))


def places_of(frame: Frame, rows: Ints) -> list[Place]:
    """The place of each of these rows."""
    kernels, environments = frame.kernel[rows].tolist(), frame.environment[rows].tolist()
    return [
        (frame.kernels[k].signature, frame.environments[e])
        for k, e in zip(kernels, environments, strict=True)
    ]


def _distinct(places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(places))


def _is_of_trees(model: Model) -> bool:
    """Whether its prior is boosted trees; until 0.1 it was a network, which other predictions cannot be held to."""
    return "trees.leaf" in model.artefact.stored


def frame_of(rows: Sequence[CellSum], manifest: Manifest) -> Frame:
    """The rows' distinct columns, a row each."""
    kernels = manifest.by_signature
    cells = (place(row.cell) for row in rows)
    return Frame.of((kernels[signature], *rest) for signature, *rest in cells)  # type: ignore[misc]
