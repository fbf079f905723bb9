"""The budget holds under reloads, tabs, crashes and clocks that jump."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetune.app.ledger import CAP, WINDOW_DAYS, Ledger, LedgerError
from fleetune.packet import DAY
from fleetune_research.fleet.http import MemoryStore

START = 20_000 * DAY


class Disk(MemoryStore):
    """A store as tabs see it: every access lets other tabs run, and values are copies."""

    async def get(self, key: str) -> Any:
        await asyncio.sleep(0)
        return json.loads(json.dumps(await super().get(key)))

    async def set(self, key: str, value: Any) -> None:
        await asyncio.sleep(0)
        await super().set(key, json.loads(json.dumps(value)))
        await asyncio.sleep(0)


async def test_one_report_a_day() -> None:
    ledger = Ledger(Disk())
    first = await ledger.spend(START, 2.0, 1)
    assert first is not None
    assert (first.spent, first.today, first.next_day) == (2.0, 1, 20_001)
    assert await ledger.spend(START + DAY - 1, 2.0, 1) is None
    assert await ledger.spend(START + DAY, 2.0, 1) is not None


async def test_looking_spends_nothing() -> None:
    ledger = Ledger(Disk())
    for _ in range(3):
        assert (await ledger.budget(START, 2.0, 1)).to_wire() == {
            "spent": 0,
            "cap": CAP,
            "today": 0,
            "perDay": 1,
            "nextDay": 20_000,
        }


async def test_thirty_days_at_the_default_reach_the_cap_and_the_oldest_day_returns() -> None:
    ledger = Ledger(Disk())
    for day in range(WINDOW_DAYS):
        assert await ledger.spend(START + day * DAY, 2.0, 2) is not None
    full = await ledger.budget(START + 29 * DAY, 2.0, 2)
    assert (full.spent, full.next_day) == (CAP, 20_030)
    assert await ledger.spend(START + 29 * DAY, 0.01, 2) is None
    assert await ledger.spend(START + 30 * DAY, 2.0, 2) is not None


async def test_a_clock_moved_back_gains_nothing() -> None:
    ledger = Ledger(Disk())
    assert await ledger.spend(START, 2.0, 1) is not None
    for back in (1, 2, 40, 20_000):
        assert await ledger.spend(START - back * DAY, 2.0, 1) is None
    assert (await ledger.budget(START - 5 * DAY, 2.0, 1)).today == 1


async def test_five_tabs_at_once_spend_once() -> None:
    disk = Disk()
    spent = await asyncio.gather(*(Ledger(disk).spend(START, 2.0, 1) for _ in range(5)))
    assert sum(budget is not None for budget in spent) == 1


async def test_what_cannot_be_read_is_not_taken_for_empty() -> None:
    disk = Disk()
    unreadable: list[Any] = [{"day": "x", "spent": []}, {"spent": []}, [], "gone", {"day": 1, "spent": [[1]]}]
    for broken in unreadable:
        await disk.set("ledger", broken)
        with pytest.raises(LedgerError, match="clearing this site's data"):
            await Ledger(disk).spend(START, 2.0, 1)


class Crash(Exception):  # noqa: N818
    """The tab dies."""


async def test_a_crash_can_only_lose_budget() -> None:
    """Whatever the moment of the crash, the report that may have left was paid for before."""

    class Dying(Disk):
        steps = 0

        async def set(self, key: str, value: Any) -> None:
            self.steps -= 1
            if self.steps == 0:
                raise Crash
            await super().set(key, value)
            self.steps -= 1
            if self.steps == 0:
                raise Crash

    for steps, left_after in ((1, True), (2, False)):
        disk = Dying()
        disk.steps = steps
        with pytest.raises(Crash):
            await Ledger(disk).spend(START, 2.0, 1)
        assert (await Ledger(disk).spend(START, 2.0, 1) is not None) == left_after


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3]), st.sampled_from([1.0, 2.0]))
def test_a_thousand_reloads_five_tabs_and_clock_tricks_never_exceed(
    seed: int, per_day: int, epsilon: float
) -> None:
    """Each spend is dated by the latest day seen when it was granted: the day that composition counts by."""

    async def story() -> list[int]:
        chance, disk, latest, clock, granted = random.Random(seed), Disk(), 0, START, list[int]()

        async def tab(now: float) -> None:
            ledger = Ledger(disk)  # a reload: nothing is remembered outside the store
            if chance.random() < 0.3:
                await ledger.budget(now, epsilon, per_day)
            if (budget := await ledger.spend(now, epsilon, per_day)) is not None:
                granted.append(budget.day)

        for _ in range(200):
            clock = max(0, clock + chance.choice([0, 60, 3600, DAY, -DAY, 2 * DAY, -40 * DAY, 7 * DAY, -1]))
            await asyncio.gather(*(tab(clock + chance.choice([0, 0, -DAY, 5])) for _ in range(5)))
            stored = (await disk.get("ledger"))["day"]
            assert stored >= latest, "days never run backwards"
            latest = stored
        return granted

    granted = asyncio.run(story())
    assert granted
    assert max(Counter(granted).values()) <= per_day
    for day in granted:
        assert epsilon * sum(day - WINDOW_DAYS < other <= day for other in granted) <= CAP
