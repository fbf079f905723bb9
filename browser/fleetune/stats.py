"""Timing statistics: robust minima, their intervals, when to stop measuring, and what has changed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

NOISY_SPREAD = (
    0.2  # median ÷ minimum − 1 beyond which a series is not trusted (two browsers at once give .33)
)
CLOSE = 0.03  # speedups within 3 % count as the same
CONFIDENCE = 0.8  # of the interval below the minimum
# A module this much slower than JavaScript, with calls this short (ms), may not be compiled yet: on a busy
# machine WebKit was seen to stay in its interpreter for a second.
SUSPECT, SUSPECT_MS = 4.0, 1.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a quantity lies, low ≤ high."""

    low: float
    high: float

    def __truediv__(self, other: Interval) -> Interval:
        """The interval of a ratio of two positive quantities."""
        return Interval(self.low / other.high, self.high / other.low)

    @property
    def width(self) -> float:
        """Relative width: (high − low) ÷ high."""
        return (self.high - self.low) / self.high


@dataclass(slots=True)
class Series:
    """Times of one candidate's batches, in ms per call.

    Noise on a computer only ever adds time, so the estimate of the undisturbed time is the minimum.
    `quantum` is the error that the clock's step makes on one entry (step ÷ iterations, ms).
    """

    times: list[float] = field(default_factory=list)
    quantum: float = 0.0

    def add(self, ms_per_call: float) -> None:
        self.times.append(ms_per_call)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def minimum(self) -> float:
        """The least time of one call, ms; at least the clock's quantum, so that it can be divided by."""
        return max(min(self.times), self.quantum, 1e-12)

    @property
    def spread(self) -> float:
        """median ÷ minimum − 1: how disturbed the series was."""
        return max(median(self.times) / self.minimum - 1, 0.0)

    @property
    def interval(self) -> Interval:
        """Interval of the undisturbed time: from the least time down by a multiple of its gap to the second.

        The lower limit, at CONFIDENCE, of a truncation point, x₁ − (1 − α)/α · (x₂ − x₁): Robson & Whitlock,
        "Estimation of a truncation point", Biometrika 51 (1964). The clock's quantum widens it on both sides.
        """
        if len(self.times) < 2:
            return Interval(0.0, self.minimum + self.quantum)
        first, second = sorted(self.times)[:2]
        alpha = 1 - CONFIDENCE
        low = first - (1 - alpha) / alpha * (second - first) - self.quantum
        return Interval(max(low, 0.0), self.minimum + self.quantum)


@dataclass(frozen=True, slots=True)
class Timed:
    """What the timing of one candidate in one context gave."""

    ms: float  # least time of one call
    spread: float  # median ÷ minimum − 1 of its batches
    speedup: float  # the JavaScript baseline's ms ÷ this ms
    low: float  # interval of the speedup
    high: float
    batches: int = 0

    @classmethod
    def of(cls, series: Series, baseline: Series) -> Timed:
        """Of one series against that of the JavaScript baseline, measured in the same rounds."""
        ratio = baseline.interval / _positive(series.interval)
        return cls(
            series.minimum,
            series.spread,
            baseline.minimum / series.minimum,
            ratio.low,
            ratio.high,
            len(series),
        )


def _positive(interval: Interval) -> Interval:
    return Interval(max(interval.low, 1e-12), max(interval.high, 1e-12))


def leader(series: Mapping[str, Series]) -> str:
    """The candidate with the least minimum; the first named among equals."""
    return min(series, key=lambda name: series[name].minimum)


def contenders(series: Mapping[str, Series], margin: float = 2.0) -> list[str]:
    """Candidates at most `margin` times slower than the best."""
    bound = margin * series[leader(series)].minimum
    return [name for name, one in series.items() if one.minimum <= bound]


def decided(series: Mapping[str, Series]) -> bool:
    """Whether the leader's interval lies wholly below every other's."""
    best = leader(series)
    high = series[best].interval.high
    return all(high < one.interval.low for name, one in series.items() if name != best)


def precise(series: Iterable[Series], width: float = CLOSE) -> bool:
    """Whether every interval is narrower than `width`, relative."""
    return all(one.interval.width < width for one in series)


def noisy(series: Iterable[Series], limit: float = NOISY_SPREAD) -> bool:
    """Whether any series was too disturbed to be trusted."""
    return any(one.spread > limit for one in series)


@dataclass(slots=True)
class Plan:
    """Interleaved rounds: each runs every candidate still of interest once, in a new shuffled order.

    Slow drifts (temperature, frequency) then fall on all candidates alike, and no candidate always follows
    the same other. The shuffle is not private and comes from `seed`.
    """

    seed: int
    rounds: int = 15  # batches for contenders
    loser_rounds: int = 5  # batches for the rest
    min_rounds: int = 7  # before an early stop
    early: bool = True
    series: dict[str, Series] = field(default_factory=dict)
    baseline: str | None = None  # never a loser: every speedup is relative to it
    exact: Sequence[str] = ()  # never losers, and measured until they and the leader are precise
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311

    def order(self) -> list[str]:
        """Candidates of the next round, shuffled; empty when measuring may stop."""
        names = list(self.series)
        done = min((len(one) for one in self.series.values()), default=0)
        if done >= self.loser_rounds:
            names = contenders(self.series)
            names += [name for name in self.series if name not in names and self._kept(name)]
            done = min(len(self.series[name]) for name in names)
            if done >= self.rounds or (self.early and done >= self.min_rounds and self._settled(names)):
                return []
        names = [name for name in names if len(self.series[name]) < self.rounds]
        self._random.shuffle(names)
        return names

    def _kept(self, name: str) -> bool:
        """Whether a loser is timed on: the baseline, and what may still be running in an interpreter."""
        if self.baseline not in self.series:
            return False
        bound = SUSPECT * self.series[self.baseline].minimum
        return name == self.baseline or name in self.exact or bound < self.series[name].minimum < SUSPECT_MS

    def _settled(self, names: Sequence[str]) -> bool:
        sure = (
            {leader(self.series), *(name for name in self.exact if name in self.series)} if self.exact else ()
        )
        if not precise(self.series[name] for name in sure):
            return False
        return decided(self.series) or precise(self.series[name] for name in names)

    @property
    def usable(self) -> bool:
        """Whether every candidate has the batches that a result needs."""
        return all(len(one) >= self.loser_rounds for one in self.series.values())
