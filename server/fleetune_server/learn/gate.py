"""Whether a trained model may be published, and why. Pure.

Held-out reports judge it where people are, lab canaries where the truth is known, and a cap on movement where
neither looks: a fleet-wide average hides an attack on one context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fleetune.features import Floats, Frame
from fleetune.fit import Rows
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.privacy import mechanism
from fleetune_server.learn.aggregate import GROUP, place
from fleetune_server.learn.quality import Contexts, chosen_rows, decide
from fleetune_server.store.base import CellSum

ONE_SIDED = 1.645  # 95 %
CANARY_MAE = 0.01
CANARY_REGRET = 0.05
MOVEMENT = 0.3  # ln speedup that a context with a sure prediction may move in one version
UNSURE = 2.0  # standard deviations of the previous prediction that an unsure one may move
SLACK = 1.25  # smoothing may carry a context a little past the cap put on its own reports


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the new model, its figure and limit."""

    name: str
    passed: bool
    figure: float
    limit: float
    reason: str  # one plain sentence


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """All checks; publish only if every one passed."""

    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The failed checks' reasons, or all reasons if none failed."""
        return tuple(check.reason for check in self.checks if check.passed == self.accepted)


def judge(
    model: Model,
    previous: Model | None,
    heldout: Sequence[CellSum],
    lab: Rows,
    manifest: Manifest,
    *,
    improve: bool = False,
    least: int = GROUP,
) -> GateVerdict:
    """Compare a model with its predecessor. `heldout`: reports that neither was trained on.

    With `improve` the held-out error must shrink (one-sided 95 %); otherwise it must not have grown. Fewer
    than `least` reports are not asked: the verdict is published, and what fewer say is little but noise. The
    first model has no predecessor and is published if it predicts at all.
    """
    if previous is None:
        return GateVerdict((Check("first", True, 0.0, 0.0, "first model: nothing to compare with"),))
    checks = [*_reports(model, previous, heldout, manifest, improve, least)]
    if len(lab):
        checks += _canaries(model, previous, lab)
    checks.append(_movement(model, previous, heldout, lab, manifest))
    return GateVerdict(tuple(checks))


def movement_limit(sd: Floats) -> Floats:
    """How far each prediction may move in one version, given the previous model's sd."""
    return np.asarray(np.maximum(MOVEMENT, UNSURE * sd))


def movement(model: Model, previous: Model, frame: Frame) -> Floats:
    """How far each prediction of a frame moved, (n,), as a share of how far it may in one version."""
    old, sd, _ = previous.predict_frame(frame)
    return np.asarray(np.abs(model.predict_frame(frame).mean - old) / movement_limit(sd))


def _reports(
    model: Model, previous: Model, heldout: Sequence[CellSum], manifest: Manifest, improve: bool, least: int
) -> list[Check]:
    """Difference of squared errors on held-out reports: unbiased although every report is noised, because the
    noise has mean 0 and enters it linearly; the sample variance carries the noise into the interval."""
    rows = [row for row in heldout if row.cell.signature in manifest.by_signature]
    count = np.array([row.count for row in rows], dtype=float)
    if count.sum() < max(least, 2):
        return []
    frame = _frame(rows, manifest)
    new, old = model.predict_frame(frame).mean, previous.predict_frame(frame).mean
    scale = np.array([row.cell.clip / (2 * mechanism(row.cell.epsilon).scale) for row in rows])
    base = np.array([row.cell.base_log for row in rows])
    mean = base + scale * np.array([row.total for row in rows]) / count
    square = scale**2 * np.array([row.squares for row in rows]) / count
    spread = np.maximum(square - (mean - base) ** 2, 0.0)  # within-cell variance of single reports
    slope = 2 * (new - old)
    difference = (new - old) * (new + old - 2 * mean)  # per report, mean over the cell
    total = count.sum()
    overall = float((count * difference).sum() / total)
    variance = float((count * (slope**2 * spread + (difference - overall) ** 2)).sum() / total / total)
    low, high = overall - ONE_SIDED * sqrt(variance), overall + ONE_SIDED * sqrt(variance)
    passed = high < 0 if improve else low <= 0
    word = "improved" if high < 0 else "not worse" if low <= 0 else "worse"
    reason = (
        f"squared error on {int(total)} held-out reports {word}: {overall:+.5f} ({low:+.5f} to {high:+.5f})"
    )
    return [Check("heldout", bool(passed), overall, 0.0, reason)]


def _canaries(model: Model, previous: Model, lab: Rows) -> list[Check]:
    contexts = Contexts.of(lab)
    variants = ~contexts.is_script
    error, picked = [], []
    for candidate in (model, previous):
        answer = candidate.predict_frame(contexts.frame)
        error.append(float(np.abs(answer.mean - contexts.truth)[variants].mean()))
        picked.append(chosen_rows(contexts, decide(contexts, answer)))
    worse = error[0] - error[1]
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
            "canary-mae", worse <= CANARY_MAE, worse, CANARY_MAE,
            f"error on lab canaries {error[0]:.4f} after {error[1]:.4f}; it may grow by {CANARY_MAE}",
        ),
        Check(
            "canary-regret", float(rise[at]) <= CANARY_REGRET, float(rise[at]), CANARY_REGRET,
            f"largest sure loss of a lab choice against the previous model: {rise[at]:.1%} ({where}); "
            f"at most {CANARY_REGRET:.0%}",
        ),
    ]  # fmt: skip


def _movement(
    model: Model, previous: Model, heldout: Sequence[CellSum], lab: Rows, manifest: Manifest
) -> Check:
    frames = [lab.frame] if len(lab) else []
    rows = [row for row in heldout if row.cell.signature in manifest.by_signature]
    if rows:
        frames.append(_frame(rows, manifest))
    worst, where = 0.0, "nothing"
    for frame in frames:
        moved = movement(model, previous, frame)
        at = int(np.argmax(moved))
        if moved[at] > worst:
            worst = float(moved[at])
            kernel = frame.kernels[frame.kernel[at]].name
            where = f"{kernel} {frame.candidates[frame.candidate[at]]}"
    reason = f"largest movement of one prediction: {worst:.0%} of its cap ({where}); at most {SLACK:.0%}"
    return Check("movement", worst <= SLACK, worst, SLACK, reason)


def _frame(rows: Sequence[CellSum], manifest: Manifest) -> Frame:
    kernels = manifest.by_signature
    cells = (place(row.cell) for row in rows)
    return Frame.of((kernels[signature], *rest) for signature, *rest in cells)  # type: ignore[misc]
