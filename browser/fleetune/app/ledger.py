"""The budget ledger: how much ε this browser has spent, and whether another report fits.

Kept in the browser's storage under one lock that all tabs share. Spending is recorded before anything is
sent, so a crash can only lose budget. Days never run backwards: a clock that is moved back stays on the
latest day ever seen. Clearing the site's storage resets the ledger; the policy says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleetune.app.platform import KeyValue
from fleetune.packet import DAY

WINDOW_DAYS = 30
CAP = 60.0  # total ε in any 30 days, by sequential composition (Dwork & Roth 2014, theorem 3.16)


class LedgerError(RuntimeError):
    """The stored ledger cannot be read; spending stays refused, because what was spent is unknown."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is spent and what is allowed."""

    spent: float  # ε in the last 30 days, today included
    cap: float
    today: int  # reports spent today
    per_day: int
    day: int  # today, or the latest day ever seen; days since 1970
    next_day: int  # the day when the next report of this ε fits; today's if one fits now

    def to_wire(self) -> dict[str, Any]:
        return {
            "spent": self.spent,
            "cap": self.cap,
            "today": self.today,
            "perDay": self.per_day,
            "nextDay": self.next_day,
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """One named ledger in a store; `per_day` reports a day and `cap` ε in 30 days at most."""

    store: KeyValue
    cap: float = CAP
    key: str = "ledger"

    async def budget(self, now: float, epsilon: float, per_day: int) -> Budget:
        """Look without spending; `now` is Unix time in seconds."""
        async with self.store.lock(self.key):
            day, spent = await self._read(now)
        return self._budget(day, spent, epsilon, per_day)

    async def spend(self, now: float, epsilon: float, per_day: int) -> Budget | None:
        """Record one report of `epsilon`, durably, and say what is then left; None if it does not fit."""
        async with self.store.lock(self.key):
            day, spent = await self._read(now)
            if not self._fits(day, spent, epsilon, per_day):
                # The day is kept even so: a clock moved forward and back again gains nothing.
                await self._write(day, spent)
                return None
            spent.append((day, epsilon))
            await self._write(day, spent)
        return self._budget(day, spent, epsilon, per_day)

    async def _read(self, now: float) -> tuple[int, list[tuple[int, float]]]:
        stored = await self.store.get(self.key)
        today = int(now // DAY)
        if stored is None:
            return today, []
        try:
            latest = int(stored["day"])
            spent = [(int(day), float(epsilon)) for day, epsilon in stored["spent"]]
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(
                "the privacy budget stored in this browser cannot be read, so nothing is sent; "
                "clearing this site's data starts a new one"
            ) from error
        day = max(today, latest)
        return day, [entry for entry in spent if entry[0] > day - WINDOW_DAYS]

    async def _write(self, day: int, spent: list[tuple[int, float]]) -> None:
        await self.store.set(self.key, {"day": day, "spent": [list(entry) for entry in spent]})

    def _fits(self, day: int, spent: list[tuple[int, float]], epsilon: float, per_day: int) -> bool:
        if not epsilon > 0:
            raise ValueError(f"epsilon must be positive, not {epsilon!r}")
        window = [e for d, e in spent if d > day - WINDOW_DAYS]
        return sum(d == day for d, _ in spent) < per_day and sum(window) + epsilon <= self.cap

    def _budget(self, day: int, spent: list[tuple[int, float]], epsilon: float, per_day: int) -> Budget:
        next_day = day
        while next_day < day + WINDOW_DAYS and not self._fits(next_day, spent, epsilon, per_day):
            next_day += 1
        return Budget(
            sum(e for _, e in spent), self.cap, sum(d == day for d, _ in spent), per_day, day, next_day
        )
