"""How many share: reports per session, from counts that the server has anyway; no session says so itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleetune.rating import wilson

LEAST = 20  # sessions, as for any other group


@dataclass(frozen=True, slots=True)
class Adoption:
    """Reports per session with a 95 % interval; None while there are too few sessions."""

    sessions: int
    reports: int  # accepted, repeats and withdrawn ones left out
    share: float | None
    low: float | None
    high: float | None

    def to_wire(self) -> Mapping[str, Any]:
        return asdict(self)


def estimate(accepted: int, withdrawn: int, sessions: int) -> Adoption:
    """The share of sessions that end in a report, and Wilson's interval.

    Repeats of a packet are not among the `accepted`; withdrawn ones are taken off. A browser may have several
    sessions a day and sends one report, so no less than this share of sessions agreed. More reports than
    sessions (clients without a page) leave nothing to estimate: the share is then None.
    """
    reports = max(0, accepted - withdrawn)
    if sessions < LEAST or reports > sessions:
        return Adoption(sessions, reports, None, None, None)
    return Adoption(sessions, reports, *wilson(reports, sessions))
