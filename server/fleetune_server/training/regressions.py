"""What became slower or faster from one version of an engine to the next, and surely did. Pure.

Cells of two consecutive versions are compared one by one, so that it does not matter which sizes and machines were
reported how often. Their differences are averaged over four kinds of pools, from everything to one build of one
function. All is said in speedup over JavaScript of the same version: if JavaScript itself changes, all pools do.

Reports keep coming and are looked at again and again, so the bound holds at all times at once (the normal mixture of
Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; Howard et al., "Time-uniform,
nonparametric, nonasymptotic confidence sequences", 2021): the chance that two versions of an engine that are alike are
ever said to differ, anywhere, is at most 1 - CONFIDENCE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from fleetune.context import Context, Environment
from fleetune.features import Floats, lineage_key
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.public import ANY, Place
from fleetune_server.training.rounds import Rounds

CONFIDENCE = 0.99
LEAST = 0.1  # share of the speed: smaller changes are not told
DEVICE = 0.1  # ln speedup by which people's devices differ within a cell: part of each report's deviation
MIXTURE = 25.0  # makes the bound tightest for changes of about 20 % (ρ in Howard et al.)
FEW_CELLS = 20  # whose scatter is half believed
NORMAL_MEDIAN = 0.6745  # the median of |z| of a standard normal z

Level = Literal["engine", "optimisation", "function", "build"]
# The pools that a cell belongs to: (function's signature, optimisation or build), empty where all are pooled.
POOLS: Mapping[Level, Callable[[str, str], Iterable[tuple[str, str]]]] = {
    "engine": lambda signature, candidate: [("", "")],
    "optimisation": lambda signature, candidate: [("", part) for part in candidate.split("+")],
    "function": lambda signature, candidate: [(signature, "")],
    "build": lambda signature, candidate: [(signature, candidate)],
}


@dataclass(frozen=True, slots=True)
class Change:
    """A sure change between two consecutive versions of an engine."""

    browser: str
    simd: bool
    relaxed_simd: bool
    before: int  # browser versions
    after: int
    level: Level
    signature: str  # of the function; empty: all functions
    part: str  # the optimisation or build; empty: all builds
    change: float  # of ln speedup over JavaScript; negative: slower
    low: float  # the interval that holds at all times and for all pools together
    high: float
    reports: int  # of the newer version
    reports_before: int

    @property
    def place(self) -> Place:
        """The engine, whatever its version."""
        return Place(self.browser, ANY, self.simd, self.relaxed_simd)


@dataclass(frozen=True, slots=True)
class _Cell:
    """Everything that was said of one cell."""

    mean: float
    variance: float
    count: int


_Where = tuple[str, Context, str, str]  # signature, context, lineage of the environment, candidate


def changes(rows: Sequence[CellSum], known: Sequence[Change] = ()) -> list[Change]:
    """Every sure change between consecutive versions of every engine that the known ones do not explain, the
    greatest first."""
    engines: dict[Place, dict[int, dict[_Where, _Cell]]] = {}
    for (signature, context, environment, candidate), cell in _cells(rows):
        if environment.version != ANY:
            place = Place(environment.browser, ANY, environment.simd, environment.relaxed_simd)
            where = signature, context, lineage_key(environment), candidate
            engines.setdefault(place, {}).setdefault(environment.version, {})[where] = cell
    found: list[Change] = []
    for place, versions in engines.items():
        ordered = sorted(versions)
        for before, after in pairwise(ordered):
            told = [one for one in known if (one.place, one.before, one.after) == (place, before, after)]
            found += _between(place, before, after, versions[before], versions[after], told)
    return sorted(found, key=lambda one: -abs(one.change))


def _cells(rows: Sequence[CellSum]) -> Iterable[tuple[tuple[str, Context, Environment, str], _Cell]]:
    rounds = Rounds.of(rows, doubt=True)
    weight = 1 / (rounds.variance + DEVICE**2 / np.maximum(rounds.count, 1))
    size = len(rounds.cells)
    total = np.bincount(rounds.cell, weight, size)
    mean = np.bincount(rounds.cell, weight * rounds.value, size) / np.maximum(total, 1e-300)
    count = np.bincount(rounds.cell, rounds.count, size)
    for cell, m, w, n in zip(rounds.cells, mean.tolist(), total.tolist(), count.tolist(), strict=True):
        yield cell, _Cell(m, 1 / w, int(n))


def _between(
    place: Place,
    before: int,
    after: int,
    old: Mapping[_Where, _Cell],
    new: Mapping[_Where, _Cell],
    known: Sequence[Change],
) -> list[Change]:
    both = [where for where in new if where in old]
    if not both:
        return []
    difference = np.array([new[where].mean - old[where].mean for where in both])
    weight = np.array([1 / (new[where].variance + old[where].variance) for where in both])
    weight /= _scatter(difference, weight)
    pools = {(pool.level, pool.signature, pool.part): pool for level in POOLS for pool in _pools(level, both)}

    def mean(pool: _Pool) -> float:
        return float(np.average(difference[pool.members], weights=weight[pool.members]))

    # What a change says is taken out of its cells, so that one cause is not told of many times.
    for one in known:
        if pool := pools.get((one.level, one.signature, one.part)):
            difference[pool.members] -= mean(pool)
    found: list[Change] = []
    radius = {key: _radius(float(weight[pool.members].sum()), pool.risk) for key, pool in pools.items()}
    for _ in pools:
        means = {key: value for key, pool in pools.items() if _large(value := mean(pool))}
        surest = max(means, key=lambda key: abs(means[key]) / radius[key], default=None)
        if surest is None or abs(means[surest]) <= radius[surest]:
            break
        change, members = means[surest], pools[surest].members
        difference[members] -= change
        counts = [sum(side[both[i]].count for i in members) for side in (new, old)]
        if min(counts) >= GROUP:
            low, middle, high = (round(change + z * radius[surest], 6) for z in (-1, 0, 1))
            engine = place.browser, place.simd, place.relaxed_simd, before, after
            found.append(Change(*engine, *surest, middle, low, high, *counts))
    return found


@dataclass(frozen=True, slots=True)
class _Pool:
    """Cells that may have changed together, and the risk that is run with them."""

    level: Level
    signature: str
    part: str
    members: list[int]
    risk: float


def _pools(level: Level, cells: Sequence[_Where]) -> list[_Pool]:
    """Each kind of pool has its share of the risk, and each pool its share of that."""
    pools: dict[tuple[str, str], list[int]] = {}
    for i, (signature, _, _, candidate) in enumerate(cells):
        for pool in POOLS[level](signature, candidate):
            pools.setdefault(pool, []).append(i)
    risk = (1 - CONFIDENCE) / len(POOLS) / len(pools)
    return [_Pool(level, signature, part, members, risk) for (signature, part), members in pools.items()]


def _large(change: float) -> bool:
    """Whether a change of ln speedup is one that is told: more than 10 %, up or down."""
    return abs(math.expm1(change)) > LEAST


def _scatter(difference: Floats, weight: Floats) -> float:
    """By how much differences vary more than their variances say, at least 1.

    From the median deviation, which cells that really changed do not move, and shrunk toward 1: few cells tell
    little about it.
    """
    centred = np.abs(difference - np.median(difference)) * np.sqrt(weight)
    seen, cells = float(np.median(centred) / NORMAL_MEDIAN) ** 2, len(weight)
    return max(1.0, (FEW_CELLS + cells * seen) / (FEW_CELLS + cells))


def _radius(information: float, risk: float) -> float:
    """The half-width of an interval that holds at that risk, for all times at once."""
    bound = (information + MIXTURE) * (math.log1p(information / MIXTURE) - 2 * math.log(risk))
    return math.sqrt(bound) / information
