"""Figures for the dashboard: how much had come in at which hour, how many browsers report, how many share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from fleetune.rating import wilson
from fleetune_server.common.logs import Condition
from fleetune_server.publish.library import Library
from fleetune_server.store.base import Store, StoreError, VersionRecord

log = logging.getLogger(__name__)
HOURS, VERSIONS = "history/hours", "history/versions"  # store keys
HOUR = 3600
DAY = 24 * HOUR
TURN_SECONDS = 60.0
KEPT = 24 * 90  # hours
KEPT_VERSIONS = 1000  # whose figures stay after their files are gone
LEAST_SESSIONS = 20  # sessions, as for any other group


class History:
    """Totals by hour, newest last: {"at", "reports", "version"}. One process of a fleet writes it."""

    def __init__(self, store: Store, library: Library) -> None:
        self.store = store
        self.library = library

    async def run(self) -> None:
        """Until cancelled: note the totals of the hour. What cannot be written is written next time."""
        unwritten = Condition(log, "history not written")
        while True:
            try:
                if await self.store.lead():
                    await self.note(time.time())
            except StoreError as error:
                unwritten.holds(str(error), logging.WARNING)
            else:
                unwritten.ended("history written again")
            await asyncio.sleep(TURN_SECONDS)

    async def note(self, now: float) -> None:
        """Put down this hour's totals; an hour has one entry, and one in which nothing changed has none."""
        await self._note_versions()
        hours = await self.hours()
        entry = {
            "at": int(now // HOUR * HOUR),
            "reports": (await self.store.counts()).reports,
            "version": self.library.version,
        }
        if hours and hours[-1] | {"at": 0} == entry | {"at": 0}:
            return
        earlier = [hour for hour in hours if hour["at"] < entry["at"]]
        await self.store.put(HOURS, [*earlier, entry][-KEPT:])

    async def _note_versions(self) -> None:
        known = await self.versions()
        seen = {version["version"] for version in known}
        fresh = [summary(record) for record in self.library.records.values() if record.version not in seen]
        if fresh:
            await self.store.put(VERSIONS, [*known, *fresh][-KEPT_VERSIONS:])

    async def versions(self) -> list[dict[str, Any]]:
        """The figures of every version, oldest first, whether its files are still kept or not."""
        return await self.store.get(VERSIONS) or []

    async def hours(self) -> list[dict[str, Any]]:
        """What is kept."""
        return await self.store.get(HOURS) or []


def summary(record: VersionRecord) -> dict[str, Any]:
    """What is told of a published version."""
    document = record.document
    return {
        "version": record.version,
        "created": record.created,
        "clip": record.clip,
        "size": document["size"],
        "incremental": document["incremental"],
        "metadata": document["metadata"],
        "gate": document["gate"],
    }


def superseded(versions: Sequence[Mapping[str, Any]], before: float) -> int:
    """The newest version that a later one had replaced by this unix time, of figures as `History` keeps them; 0 if
    there is none."""
    numbers = sorted((one["version"], one["created"]) for one in versions)
    return max((old for (old, _), (_, created) in pairwise(numbers) if created <= before), default=0)


def held_places(document: Mapping[str, Any]) -> int:
    """How many places (kernel × environment) a version predicts as the one before did, their reports not believed."""
    return int(document["metadata"].get("trainedOn", {}).get("heldPlaces", 0))


def contributors(hours: Sequence[dict[str, Any]], reports: int, now: float) -> dict[str, float | None]:
    """Browsers that reported within the last day, with an interval.

    A browser sends at most one report a day, so the reports that came since a day ago count browsers; as a
    count of rare, independent arrivals it has the 95 % interval n + 2 ± 1.96 √(n + 1) (Poisson).
    """
    before = [hour["reports"] for hour in hours if hour["at"] + HOUR <= now - DAY]
    count = max(0, reports - (before[-1] if before else 0))
    half = 1.96 * (count + 1) ** 0.5
    return {"count": count, "low": max(0.0, count + 2 - half), "high": count + 2 + half}


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


def adoption(accepted: int, withdrawn: int, sessions: int) -> Adoption:
    """The share of sessions that end in a report, and Wilson's interval.

    Repeats of a packet are not among the `accepted`; withdrawn ones are taken off. A browser may have several
    sessions a day and sends one report, so no less than this share of sessions agreed. More reports than
    sessions (clients without a page) leave nothing to estimate: the share is then None.
    """
    reports = max(0, accepted - withdrawn)
    if sessions < LEAST_SESSIONS or reports > sessions:
        return Adoption(sessions, reports, None, None, None)
    return Adoption(sessions, reports, *wilson(reports, sessions))
