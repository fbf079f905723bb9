"""How many share: reports per session, from counts that the server has anyway; no session says so itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Z = 1.959964  # 95 %
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
        return {
            "sessions": self.sessions,
            "reports": self.reports,
            "share": self.share,
            "low": self.low,
            "high": self.high,
        }


def estimate(accepted: int, withdrawn: int, sessions: int) -> Adoption:
    """The share of sessions that end in a report, and Wilson's interval (1927).

    Repeats of a packet are not among the `accepted`; withdrawn ones are taken off. A browser may have several
    sessions a day and sends one report, so no less than this share of sessions agreed. More reports than
    sessions (clients without a page) leave nothing to estimate: the share is then None.
    """
    reports = max(0, accepted - withdrawn)
    if sessions < LEAST or reports > sessions:
        return Adoption(sessions, reports, None, None, None)
    share = reports / sessions
    centre = (share + Z**2 / (2 * sessions)) / (1 + Z**2 / sessions)
    half = Z * math.sqrt(share * (1 - share) / sessions + Z**2 / (4 * sessions**2)) / (1 + Z**2 / sessions)
    return Adoption(sessions, reports, share, centre - half, centre + half)
