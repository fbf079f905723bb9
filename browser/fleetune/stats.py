"""Timing statistics: how long a call takes as far as batches tell, and what counts as faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

NOISY_SPREAD = (
    0.2  # median ÷ minimum − 1 beyond which a series is not trusted (two browsers at once give .33)
)
# Another must be this much faster to replace what is in use: of ten that are alike, the one that looks best is lucky.
CLOSE = 0.03
SURE = 2.5  # standard errors: the best of several is looked at again and again
SLOWED = 4  # batches on each side of a change for the worse
STEP_SHARE = 0.4  # of the clock's step, as the error of a batch: a jittered clock steps at random moments
# A module this much slower than JavaScript, with calls this short (ms), may not be compiled yet: on a busy
# machine WebKit was seen to stay in its interpreter for a second.
SUSPECT, SUSPECT_MS = 4.0, 1.0


@dataclass(slots=True)
class Series:
    """Times of one candidate's batches, in ms per call.

    Other work only adds to a batch, but a jittered clock also takes away: the estimate is the mean of the faster half.
    `quantum` is the error that the clock's step makes on one entry (step ÷ iterations, ms).
    """

    times: list[float] = field(default_factory=list)
    quantum: float = 0.0
    before: tuple[float, float] | None = None  # what was thought until it was timed again
    _read: tuple[int, tuple[float, float]] = field(
        init=False, repr=False, compare=False, default=(0, (0.0, 0.0))
    )

    def add(self, ms_per_call: float) -> None:
        self.times.append(ms_per_call)

    def begin_again(self) -> None:
        """From now on only what comes counts."""
        self.before = self._estimate if self.known else None
        self.times, self._read = [], (0, (0.0, 0.0))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def known(self) -> bool:
        return bool(self.times) or self.before is not None

    @property
    def fast(self) -> float:
        """Time of one call, ms."""
        return self._estimate[0]

    @property
    def error(self) -> float:
        """The standard error of that."""
        return self._estimate[1]

    @property
    def to_come(self) -> float:
        """How much less than the least time one may still come, ms; a series that is getting faster has much to come.

        From the lower limit, at 80 %, of a truncation point: Robson & Whitlock, "Estimation of a truncation point",
        Biometrika 51 (1964).
        """
        if len(self.times) < 2:
            return math.inf
        first, second = sorted(self.times)[:2]
        return 4 * (second - first)

    @property
    def _estimate(self) -> tuple[float, float]:
        if not self.times:
            return self.before or (math.inf, 0.0)
        if self._read[0] != len(self.times):
            self._read = len(self.times), self._reckon()
        return self._read[1]

    def _reckon(self) -> tuple[float, float]:
        ms, middle = self.times, len(self.times) >> 1
        # What got slower for good (heat, thrown away code) is as slow as it is now.
        if middle >= SLOWED and max(ms[:middle]) < min(ms[middle:]):
            ms = ms[middle:]
        faster = sorted(ms)[: math.ceil(len(ms) / 2)]
        n, fast = len(faster), _mean(faster)
        variance = _mean([(one - fast) ** 2 for one in faster]) * n / max(n - 1, 1)
        return fast, math.sqrt((variance + _mean([(STEP_SHARE * self.quantum) ** 2] * n)) / n)

    @property
    def spread(self) -> float:
        """median ÷ minimum − 1: how disturbed the series was."""
        return max(median(self.times) / max(min(self.times), self.quantum, 1e-12) - 1, 0.0)


@dataclass(frozen=True, slots=True)
class Timed:
    """What the timing of one candidate in one context gave."""

    ms: float  # of one call
    spread: float  # median ÷ minimum − 1 of its batches
    speedup: float  # the JavaScript baseline's ms ÷ this ms
    low: float  # the speedup's interval: SURE standard errors
    high: float
    batches: int = 0
    error: float = 0.0  # standard error of ms, relative

    @classmethod
    def of(cls, series: Series, baseline: Series) -> Timed:
        """Of one series against that of the JavaScript baseline, measured in the same rounds."""
        ms, reference = _positive(series), _positive(baseline)
        speedup = reference / ms
        doubt = SURE * math.hypot(series.error / ms, baseline.error / reference)
        return cls(
            ms,
            series.spread,
            speedup,
            speedup * max(1 - doubt, 0.0),
            speedup * (1 + doubt),
            len(series),
            series.error / ms,
        )


def _mean(values: Sequence[float]) -> float:
    """Added up one by one as JavaScript does, so that both decide ties alike; `sum` compensates from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def _positive(series: Series) -> float:
    """Below the clock's step nothing can be told, and it is divided by."""
    return max(series.fast, series.quantum, 1e-12)


def apart(one: Series, other: Series) -> float:
    """How far two times must be from each other to be told apart, ms."""
    return SURE * math.hypot(one.error, other.error)


def clear(ratio: float, error: float, errors: float = SURE / 2) -> bool:
    """Whether one that is `ratio` times as fast as the one in use, so many standard errors aside, takes its place."""
    return ratio - errors * error > 1 + CLOSE


def leader(series: Mapping[str, Series]) -> str:
    """The fastest candidate; the first named among equals."""
    return min(series, key=lambda name: series[name].fast)


def contenders(series: Mapping[str, Series], margin: float = 2.0) -> list[str]:
    """Candidates at most `margin` times slower than the best."""
    bound = margin * series[leader(series)].fast
    return [name for name, one in series.items() if one.fast <= bound]


def noisy(series: Iterable[Series], limit: float = NOISY_SPREAD) -> bool:
    """Whether any series was too disturbed to be trusted."""
    return any(one.spread > limit for one in series)


def suspect(series: Mapping[str, Series], name: str, baseline: str) -> bool:
    """Whether it may still be running in an interpreter."""
    return baseline in series and SUSPECT * series[baseline].fast < series[name].fast < SUSPECT_MS


@dataclass(slots=True)
class Plan:
    """The lab's interleaved rounds: everybody gets the same treatment, however early the fastest is known.

    Each round runs every candidate still of interest once, in a new shuffled order. Slow drifts (temperature,
    frequency) then fall on all alike, and no candidate always follows the same other.
    """

    series: dict[str, Series]
    shuffle: Callable[[list[str]], None]
    baseline: str  # never a loser: every speedup is relative to it
    rounds: int = 15  # batches for contenders
    loser_rounds: int = 5  # batches for the rest

    def order(self) -> list[str]:
        """Candidates of the next round, shuffled; empty when measuring may stop."""
        names = list(self.series)
        if all(len(one) >= self.loser_rounds for one in self.series.values()):
            near = contenders(self.series) if self.series else []
            names = [
                name
                for name in self.series
                if name in near or name == self.baseline or suspect(self.series, name, self.baseline)
            ]
        names = [name for name in names if len(self.series[name]) < self.rounds]
        self.shuffle(names)
        return names

    def remove(self, name: str) -> None:
        """It failed."""
        self.series.pop(name, None)

    @property
    def usable(self) -> bool:
        """Whether every candidate has the batches that a result needs."""
        return all(len(one) >= self.loser_rounds for one in self.series.values())
