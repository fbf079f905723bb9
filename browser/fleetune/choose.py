"""Predictions, local measurements and availability to one candidate, and why."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fleetune.context import Context, Environment
from fleetune.copying import most
from fleetune.features import Floats, safe_default
from fleetune.manifest import BASELINE, Kernel
from fleetune.model import Predictions
from fleetune.stats import clear

__all__ = ["Choice", "Measured", "capped", "choose", "explain", "safe_default"]

# Standard deviations of the difference by which a prediction must beat the safe default. More of them gave up
# more than they saved on kernels left out (evaluate --split heldout_kernel).
MARGIN = 0.05
NOISE = 0.01  # least relative error of a measurement
INTERVAL = 1.645  # standard deviations of the interval shown (90 %)
NOTHING_KNOWN = "Nobody has reported anything of this job, so nothing is known and its reference runs."
DEVICES = (
    0.07  # ln speedup by which one device differs from the browsers like it, in intervals of predictions
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What this browser measured of one candidate in one context."""

    log_speedup: float
    spread: float  # median ÷ minimum − 1 of the batches
    error: float = 0.0  # standard error of its time, relative


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to run in one context. Speedups are over `js`; low and high bound 90 %."""

    candidate: str
    source: str  # "measured", "personal", "predicted" or "default"
    expected: float
    low: float
    high: float
    why: str


def choose(
    kernel: Kernel,
    context: Context,
    environment: Environment,
    predictions: Predictions,
    measured: Mapping[str, Measured],
    set_aside: Collection[str],
) -> Choice:
    """Local measurement > personal layer > model with margin > safe default; `js` can always be chosen.

    Two or more measured candidates decide among themselves: so a choice that was measured beside the safe
    default is never slower than it, and 3 % faster if it is another one. Without measurements the model's best is
    taken only if it beats the safe default by MARGIN standard deviations.
    """
    runnable = set(kernel.candidates(environment.features)) - (set(set_aside) - {BASELINE})
    keep = [i for i, name in enumerate(predictions.candidates) if name in runnable]
    names = [predictions.candidates[i] for i in keep]
    if predictions.unknown and len(measured) < 2:
        return Choice(BASELINE, "default", 1.0, 1.0, 1.0, NOTHING_KNOWN)
    apart = predictions.sd if predictions.contrast is None else predictions.contrast
    mean, sd, contrast = predictions.mean[keep].copy(), predictions.sd[keep].copy(), apart[keep].copy()
    for i, name in enumerate(names):
        if name in measured and name != BASELINE:
            mean[i] = measured[name].log_speedup
            sd[i] = contrast[i] = max(measured[name].spread, NOISE)
    field = _Field(names, mean, sd, contrast)
    fallback = _fallback(kernel, environment, names)
    known = [i for i, name in enumerate(names) if name in measured]
    if len(known) >= 2:
        best, source = max(known, key=lambda i: mean[i]), "measured"
        default = names.index(fallback)
        if default in known and not _displaces(
            mean[best] - mean[default], *(measured[names[i]] for i in (best, default))
        ):
            best = default
    else:
        best, default = int(np.argmax(mean)), names.index(fallback)
        if best != default and mean[best] - mean[default] <= MARGIN * field.between(best, default):
            best, source = default, "default"
        else:
            source = "personal" if names[best] in predictions.personal else "predicted"
    here = (
        sd[best]
        if source in ("measured", "personal") or names[best] == BASELINE
        else math.hypot(sd[best], DEVICES)
    )
    expected, low, high = (math.exp(mean[best] + z * here) for z in (0.0, -INTERVAL, INTERVAL))
    why = _why(names[best], source, expected, low, high)
    if kernel.job:
        why = why.replace("JavaScript", "the reference")
    return Choice(names[best], source, expected, low, high, why)


def capped(kernel: Kernel, context: Context, predictions: Predictions, reference_ns: float) -> Predictions:
    """The predictions with every module's at most what the copies leave."""
    limit = most(kernel, context, reference_ns)
    module = np.array([name in kernel.variants for name in predictions.candidates], dtype=bool)
    return replace(predictions, mean=np.where(module, np.minimum(predictions.mean, limit), predictions.mean))


def explain(choice: Choice) -> str:
    """Why this candidate, in one plain sentence."""
    return choice.why


def _displaces(ahead: float, best: Measured, default: Measured) -> bool:
    """Whether one that is `ahead` (ln) of the safe default takes its place: as fleetune.rounds says."""
    ratio = math.exp(ahead)
    return clear(ratio, ratio * math.hypot(best.error, default.error))


def _fallback(kernel: Kernel, environment: Environment, names: list[str]) -> str:
    """The safe default among what is left: the heuristic's, else another variant, else JavaScript."""
    best = safe_default(kernel, environment.features)
    if best in names:
        return best
    left = [name for name in names if name in kernel.variants and "relaxedSimd" not in name]
    return max(left, key=lambda name: (len(kernel.optimisations(name)), name), default=BASELINE)


@dataclass(frozen=True)
class _Field:
    """Candidates that can run here, with what is expected of them."""

    names: list[str]
    mean: Floats
    sd: Floats
    contrast: Floats

    def between(self, a: int, b: int) -> float:
        """The sd of the difference of two: what candidates share drops out, except against JavaScript."""
        spread = self.sd if BASELINE in (self.names[a], self.names[b]) else self.contrast
        return math.hypot(spread[a], spread[b])


def _why(name: str, source: str, expected: float, low: float, high: float) -> str:
    times = f"{expected:.1f}× as fast as JavaScript" if expected >= 1.05 else "about as fast as JavaScript"
    between = f"between {low:.1f}× and {high:.1f}×"
    if name == BASELINE:
        return {
            "measured": "Measured here: JavaScript itself is the fastest in this context.",
            "default": "Nothing promises to beat JavaScript in this context, so JavaScript runs.",
        }.get(source, "Predicted: JavaScript itself is the fastest in this context.")
    return {
        "measured": f"Measured here: {name} is {times}, and nothing that was timed beside it is faster.",
        "personal": f"Your earlier measurements and everyone's say that {name} is {times} ({between}).",
        "predicted": f"Browsers like this one say that {name} is {times} ({between}).",
        "default": f"Not sure enough about this context, so the safe default {name} runs, likely {times}.",
    }[source]
