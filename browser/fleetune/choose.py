"""Predictions, local measurements and availability to one candidate, and why."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetune.context import Context, Environment
from fleetune.features import Floats, safe_default
from fleetune.manifest import BASELINE, Kernel
from fleetune.model import Predictions

__all__ = ["Choice", "Measured", "choose", "explain", "safe_default"]

MARGIN = 0.5  # standard deviations of the difference by which a prediction must beat the safe default
NEAR = 0.01  # ln speedup: an expected loss below this is not worth measuring
LEADERS = 3  # candidates confirmed by measuring, beside the safe default and JavaScript
ALIKE = 0.7  # correlation of two variants' errors, per optimisation that only one of them has
NOISE = 0.01  # least relative error of a measurement
INTERVAL = 1.645  # standard deviations of the interval shown (90 %)


@dataclass(frozen=True, slots=True)
class Measured:
    """What this browser measured of one candidate in one context."""

    log_speedup: float
    spread: float  # median ÷ minimum − 1 of the batches


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to run in one context. Speedups are over `js`; low and high bound 90 %."""

    candidate: str
    source: str  # "measured", "personal", "predicted" or "default"
    expected: float
    low: float
    high: float
    why: str
    confirm: tuple[str, ...]  # worth a short interleaved run before relying on it; empty if sure


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
    default is never slower than it. Without measurements the model's best is taken only if it beats the
    safe default by MARGIN standard deviations.
    """
    runnable = set(kernel.candidates(environment.features)) - (set(set_aside) - {BASELINE})
    keep = [i for i, name in enumerate(predictions.candidates) if name in runnable]
    names = [predictions.candidates[i] for i in keep]
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
    else:
        best, default = int(np.argmax(mean)), names.index(fallback)
        if best != default and mean[best] - mean[default] <= MARGIN * field.between(best, default):
            best, source = default, "default"
        else:
            source = "personal" if names[best] in predictions.personal else "predicted"
    confirm = _confirm(kernel, field, best, fallback, measured)
    expected, low, high = (math.exp(mean[best] + z * sd[best]) for z in (0.0, -INTERVAL, INTERVAL))
    why = _why(names[best], source, expected, low, high)
    return Choice(names[best], source, expected, low, high, why, confirm)


def explain(choice: Choice) -> str:
    """Why this candidate, in one plain sentence."""
    return choice.why


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


def _confirm(
    kernel: Kernel, field: _Field, best: int, fallback: str, measured: Mapping[str, Measured]
) -> tuple[str, ...]:
    """The leaders, the safe default and JavaScript, if an unmeasured candidate may well be faster."""
    names = field.names
    gain = [
        expected_gain(field.mean[i] - field.mean[best], field.between(i, best))
        for i, name in enumerate(names)
        if i != best and not (name in measured and names[best] in measured)
    ]
    if not gain or sum(gain) <= NEAR:
        return ()
    leaders = leading(kernel, names, field.mean, field.contrast, best, fallback)
    return tuple(dict.fromkeys([*(names[i] for i in leaders), fallback, BASELINE]))


def leading(
    kernel: Kernel, names: Sequence[str], mean: Floats, contrast: Floats, best: int, fallback: str
) -> list[int]:
    """The LEADERS candidates most worth timing beside `fallback` and JavaScript, `best` first.

    Each next one is that whose expected gain over all taken before is the greatest. Variants err together
    as far as they have the same optimisations, so for a kernel that nobody has measured another build of
    the same idea promises less than a different idea.
    """
    taken = list(dict.fromkeys([best, *(i for i, name in enumerate(names) if name == fallback)]))
    leaders = [i for i in taken if names[i] not in (fallback, BASELINE)]
    left = [i for i, name in enumerate(names) if name != BASELINE and i not in taken]
    ideas = [{name} if name not in kernel.variants else set(kernel.optimisations(name)) for name in names]
    gain = np.min([_gains(ideas, mean, contrast, i) for i in taken], axis=0)
    while left and len(leaders) < LEADERS:
        following = max((gain[i], mean[i], i) for i in left)[2]
        left.remove(following)
        leaders.append(following)
        gain = np.minimum(gain, _gains(ideas, mean, contrast, following))
    return leaders


def _gains(ideas: Sequence[set[str]], mean: Floats, contrast: Floats, over: int) -> Floats:
    """What each candidate may gain over one of them; `ideas` says what each is made of."""
    alike = ALIKE ** np.array([len(ideas[over] ^ idea) for idea in ideas])
    variance = contrast**2 + contrast[over] ** 2 - 2 * alike * contrast * contrast[over]
    pairs = zip(mean - mean[over], np.maximum(variance, 0.0), strict=True)
    return np.array([expected_gain(difference, math.sqrt(v)) for difference, v in pairs])


def expected_gain(difference: float, sd: float) -> float:
    """E[max(0, x)] for x ~ N(difference, sd²): what measuring an alternative may bring, in ln speedup."""
    if sd <= 0:
        return max(0.0, difference)
    z = difference / sd
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return difference * 0.5 * math.erfc(-z / math.sqrt(2)) + sd * density


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
