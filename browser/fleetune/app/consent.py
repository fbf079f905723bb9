"""The consent gate: nothing about this browser leaves it unless this module says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetune.app.platform import Platform
from fleetune.privacy import DEFAULT_EPSILON, EPSILONS

KEY = "consent"  # written by the page alone; absent = undecided
MAX_PER_DAY = 10

REASONS: Mapping[str, str] = {
    "gpc": "This browser sends the Global Privacy Control signal, so telemetry stays off.",
    "undecided": "Telemetry is off until you choose.",
    "off": "Telemetry is off.",
    "revised": "The privacy policy has changed since you agreed, so you are asked again.",
    "raised": "More would be sent than you agreed to, so you are asked again.",
    "malformed": "The stored choice cannot be read, so you are asked again.",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How much a person agreed to: the ε of one report, and reports a day."""

    epsilon: float = DEFAULT_EPSILON
    per_day: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether telemetry may leave, why not (a key of REASONS), and on which terms it may."""

    ok: bool
    reason: str | None
    terms: Terms | None

    @property
    def message(self) -> str:
        """The reason in words; empty if allowed."""
        return REASONS[self.reason] if self.reason else ""


def allowed(record: object, gpc: bool, revision: int, wanted: Terms | None = None) -> Verdict:
    """The verdict on the stored `record` under policy `revision`; anything not plainly a yes is a no.

    `wanted` are terms that the page would like: more noise-free or more frequent than was agreed needs a new
    yes. Without it the terms are the agreed ones.
    """
    if gpc:
        return _no("gpc")
    if record is None:
        return _no("undecided")
    if not isinstance(record, Mapping):
        return _no("malformed")
    if record.get("choice") != "on":
        return _no("off" if record.get("choice") == "off" else "malformed")
    if type(record.get("revision")) is not int or record["revision"] != revision:
        return _no("revised")
    agreed = _terms(record)
    if agreed is None:
        return _no("malformed")
    if wanted and (wanted.epsilon > agreed.epsilon or wanted.per_day > agreed.per_day):
        return _no("raised")
    return Verdict(True, None, wanted or agreed)


async def ask(platform: Platform, revision: int, wanted: Terms | None = None) -> Verdict:
    """`allowed` on what is stored this moment: never cached, because any tab may have changed it."""
    return allowed(await platform.store.get(KEY), platform.privacy_signal(), revision, wanted)


def _terms(record: Mapping[str, object]) -> Terms | None:
    epsilon, per_day = record.get("epsilon"), record.get("perDay")
    if type(epsilon) not in (int, float) or type(per_day) is not int:
        return None
    assert isinstance(epsilon, (int, float))
    if not (epsilon in EPSILONS and 1 <= per_day <= MAX_PER_DAY):
        return None
    return Terms(float(epsilon), per_day)


def _no(reason: str) -> Verdict:
    return Verdict(False, reason, None)
