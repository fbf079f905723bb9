"""One-tap answers to "was this choice good?", as randomised response with an ε of their own.

The wire is {"v", "kind", "good", "privacy": {"mechanism", "epsilon"}, "timestamp", "nonce"} and nothing else:
no kernel, context, environment or model. With probability e^ε / (1 + e^ε) the answer is the true one, else
its opposite (Warner, JASA 1965), decided by one integer below a fixed denominator: the claim is exact.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from fleetune import strict
from fleetune.packet import DAY, MAX_TIMESTAMP
from fleetune.privacy import WORD, Entropy, PrivacyError, exp_below, system_entropy, uniform_below
from fleetune.strict import PacketError

FEEDBACK_VERSION = 1
KIND = "satisfaction"
EPSILON = 1.0
MAX_BYTES = 256

_NONCE = re.compile(r"[0-9a-f]{32}")
_FIELDS = frozenset(("v", "kind", "good", "privacy", "timestamp", "nonce"))
_PRIVACY = frozenset(("mechanism", "epsilon"))


@lru_cache(maxsize=16)
def truthful(epsilon: float) -> int:
    """How many of 2^32 answers are the true one: rounded down, so that the ratio is at most e^ε exactly."""
    if not 0 < epsilon <= 8:
        raise PrivacyError(f"epsilon must be above 0 and at most 8, not {epsilon!r}")
    growth = exp_below(Fraction(epsilon))
    return math.floor(WORD * growth / (1 + growth))


@dataclass(frozen=True, slots=True)
class Feedback:
    """One randomised answer."""

    good: bool  # after randomisation
    epsilon: float
    timestamp: int  # seconds; the start of the UTC day
    nonce: str

    def to_wire(self) -> dict[str, Any]:
        """The answer as JSON-able values."""
        epsilon = int(self.epsilon) if self.epsilon.is_integer() else self.epsilon
        return {
            "v": FEEDBACK_VERSION,
            "kind": KIND,
            "good": self.good,
            "privacy": {"mechanism": "randomisedResponse", "epsilon": epsilon},
            "timestamp": self.timestamp,
            "nonce": self.nonce,
        }


def build(good: bool, day: int, epsilon: float = EPSILON, entropy: Entropy = system_entropy) -> Feedback:
    """Randomise one answer; `day` counts UTC days since 1970."""
    kept = uniform_below(WORD, entropy) < truthful(epsilon)
    return Feedback(good == kept, float(epsilon), day * DAY, entropy(16).hex())


def encode(feedback: Feedback) -> bytes:
    """The exact bytes on the wire."""
    return json.dumps(feedback.to_wire(), separators=(",", ":")).encode()


def check(wire: object) -> Feedback:
    """The answer that a parsed JSON value holds; PacketError if anything at all is wrong with it."""
    top = strict.keyed(wire, _FIELDS, "feedback")
    if type(top["v"]) is not int:
        raise PacketError("wrong-type", "v")
    if top["v"] != FEEDBACK_VERSION:
        raise PacketError("unknown-version", "v")
    strict.word(top, "kind", (KIND,))
    if type(top["good"]) is not bool:
        raise PacketError("wrong-type", "good")
    privacy = strict.keyed(top["privacy"], _PRIVACY, "privacy")
    strict.word(privacy, "mechanism", ("randomisedResponse",))
    epsilon = strict.real(privacy, "epsilon", EPSILON, EPSILON)
    timestamp = strict.integer(top, "timestamp", 0, MAX_TIMESTAMP)
    if timestamp % DAY:
        raise PacketError("not-a-day", "timestamp")
    return Feedback(top["good"], epsilon, timestamp, strict.match(top, "nonce", _NONCE))


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """The share of good choices, debiased, with a 95 % interval; None while there are too few answers."""

    answers: int
    share: float | None
    low: float | None
    high: float | None

    def to_wire(self) -> Mapping[str, Any]:
        return {"answers": self.answers, "share": self.share, "low": self.low, "high": self.high}


def wilson(count: int, of: int) -> tuple[float, float, float]:
    """The share `count / of` and its 95 % interval (Wilson, JASA 22, 1927); `of` is positive."""
    z2, share = 1.959964**2, count / of
    centre = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * of)) / of) / (1 + z2 / of)
    return share, centre - half, centre + half


def estimate(good: int, answers: int, epsilon: float = EPSILON, least: int = 20) -> Satisfaction:
    """Undo the randomisation of `good` of `answers`: (share - q) / (p - q), and of Wilson's interval.

    The share is left unclamped (an unbiased estimate may lie beyond [0, 1]); fewer than `least` answers are
    not published.
    """
    if not 0 <= good <= answers:
        raise ValueError(f"{good} good of {answers} answers")
    if answers < least:
        return Satisfaction(answers, None, None, None)
    p = truthful(epsilon) / WORD
    debiased = [(x - (1 - p)) / (2 * p - 1) for x in wilson(good, answers)]
    return Satisfaction(answers, *debiased)
