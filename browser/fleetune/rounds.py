"""Which of several candidates is the fastest: interleaved rounds, successive halving, when to stop, what the times say.

The rule is `shared/rounds.js`, which measures where Python is not loaded; `tests/test_choose_series.py` holds both
to one answer over recorded series. A candidate's time is the mean of the faster half of its batches. Whoever is far
slower than the fastest is left out. Measuring stops when the fastest is apart from all that are near, or all of those
are known to be alike. Another replaces the one in use only if it is 3 % faster beyond doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from fleetune.stats import CLOSE, SURE, Series, apart, clear

FIRST = 2  # rounds of all
LEAST = 5  # rounds before the answer
MOST = 30
SECOND = 8  # rounds of the second look
FAR = 1.6  # times slower than the best: out
NOTHING = Series()


@dataclass(frozen=True, slots=True)
class Answer:
    """`verdict`: changed, unchanged or unsure; `ratio`: time of the one in use ÷ that of the fastest."""

    choice: str
    verdict: str
    ratio: float
    error: float  # standard error of the ratio


@dataclass(slots=True)
class Rounds:
    """Ask `order` whom to time and add to `series` until nobody is asked for."""

    series: dict[str, Series]
    shuffle: Callable[
        [list[str]], None
    ]  # a new order each round, so that no candidate always follows the same other
    reference: str
    current: str  # the one in use
    first: int = FIRST
    most: int = MOST
    keep: Callable[[str], bool] = lambda _: False  # who is not left out however slow
    exact: Collection[str] = ()  # timed until these and the fastest are known to 3 %
    _near: list[str] = field(init=False)
    _round: int = field(init=False, default=0)
    _patient: int = field(init=False)  # nobody is left out before this round
    _again: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._near = list(self.series)
        self._patient = self.first

    def remove(self, name: str) -> None:
        """It failed."""
        self.series.pop(name, None)
        self._near = [one for one in self._near if one != name]

    @property
    def usable(self) -> bool:
        """Whether every candidate has the batches that a result needs."""
        return all(len(one) >= self.first for one in self.series.values())

    def order(self) -> list[str]:
        """Candidates of the next round, shuffled; empty when the answer is known or not worth more."""
        if self._round >= self._patient:
            self._drop()
        ended = self._round >= max(LEAST, self._patient) and (self._round >= self.most or self._settled())
        if ended and not self._second_look():
            return []
        self._round += 1
        names = list(self._near)
        self.shuffle(names)
        return names

    def _timed(self) -> list[str]:
        return [name for name, one in self.series.items() if one.known]

    def _drop(self) -> None:
        """Keep what is in use, the better half and what may be as fast as the best; nothing else that is far slower."""
        ranked = sorted(
            (name for name in self._near if self.series[name].known), key=lambda name: self.series[name].fast
        )
        if not ranked:
            return
        best, half = self.series[ranked[0]], math.ceil(len(ranked) / 2)

        def stays(rank: int, name: str) -> bool:
            one = self.series[name]
            if name == self.current or self.keep(name):
                return True
            return one.fast <= FAR * best.fast and (
                rank < half or one.fast - apart(one, best) <= (1 + CLOSE) * best.fast
            )

        self._near = [name for rank, name in enumerate(ranked) if stays(rank, name)]

    def _settled(self) -> bool:
        """Whether the best is apart from every other that is near, or all are known to be alike."""
        near = [self.series[name] for name in self._near]
        best = min(near, key=lambda one: one.fast)
        exact = (
            [best, *(self.series[name] for name in self.exact if name in self.series)] if self.exact else ()
        )
        if any(max(SURE * one.error, one.to_come) > CLOSE * one.fast for one in exact):
            return False
        doubts = ((one.fast - best.fast, apart(one, best)) for one in near if one is not best)
        return all(behind > doubt or doubt < CLOSE * best.fast for behind, doubt in doubts)

    def _second_look(self) -> bool:
        """What was left out may not have been compiled yet: time it again before the reference is called fastest."""
        if self._again or self._fastest() != self.reference:
            return False
        self._again = True
        dropped = [name for name in self.series if name not in self._near]
        for name in dropped:
            self.series[name].begin_again()
        self._near += dropped
        self._round = min(self._round, self.most - SECOND)
        self._patient = self._round + SECOND
        return bool(dropped)

    def _fastest(self) -> str:
        """The reference among equals."""
        names = sorted(self._timed(), key=lambda name: name != self.reference)
        return min(names, key=lambda name: self.series[name].fast, default=self.reference)

    def answer(self) -> Answer:
        """What the times say about the one in use."""
        best = self._fastest()
        own, other = self.series.get(self.current, NOTHING), self.series.get(best, NOTHING)
        if not own.known or not other.known or not other.fast:  # too short for the clock
            return Answer(self.current, "unsure", 1.0, math.inf)
        ratio = own.fast / other.fast
        error = 0.0 if own is other else ratio * math.hypot(own.error / own.fast, other.error / other.fast)
        rounds = len(other)
        verdict = "unsure"
        if rounds >= FIRST and clear(ratio, error, SURE):
            verdict = "changed"
        elif rounds >= FIRST and ratio + SURE * error <= 1 + CLOSE and self._round >= FIRST:
            verdict = "unchanged"
        choice = best if clear(ratio, error, SURE / 2 if rounds >= FIRST else SURE) else self.current
        return Answer(choice, verdict, ratio, error)
