"""What everyone may be told: reports summed up by kind of browser, and what is known of each choice there. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fleetune.choose import choose
from fleetune.context import BROWSERS, Context, Environment
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune.model import Model, Predictions
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.rounds import CellKey, Rounds
from fleetune_server.training.rows import Rows

SURE = 1.96  # standard deviations of the intervals shown (95 %)
PLACES = 8  # kinds of browser of which a page tells
ANY = 0  # the version of a place that stands for all versions of an engine

Source = Literal["reports", "lab", "prediction"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A kind of browser: systems and cores taken together."""

    browser: str
    version: int  # ANY: every version
    simd: bool
    relaxed_simd: bool

    @classmethod
    def of(cls, environment: Environment) -> Place:
        e = environment
        return cls(e.browser, e.version, e.simd, e.relaxed_simd)

    @property
    def environment(self) -> Environment:
        """The environment that stands for all of this place, as for a whole engine."""
        return Environment(self.browser, self.version, "other", self.simd, self.relaxed_simd, False, "1")


@dataclass(frozen=True, slots=True)
class Reported:
    """What at least GROUP reports say of one implementation in one context and place."""

    signature: str
    context: Context
    place: Place
    candidate: str
    reports: int
    mean: float  # ln speedup over JavaScript, six decimals
    sd: float  # likewise

    @property
    def cell(self) -> CellKey:
        return self.signature, self.context, self.place.environment, self.candidate

    def to_row(self) -> dict[str, Any]:
        """A row of the daily export, but for the function's name, which the catalogue has."""
        speedup, low, high = (round(math.exp(self.mean + z * self.sd), 5) for z in (0.0, -SURE, SURE))
        return {
            "profileSignature": self.signature,
            **self.context.to_wire(),
            "browser": self.place.browser,
            "browserVersion": self.place.version,
            "simd": int(self.place.simd),
            "relaxedSimd": int(self.place.relaxed_simd),
            "implementation": self.candidate,
            "reports": self.reports,
            "speedup": speedup,
            "low": low,
            "high": high,
            "logSpeedup": self.mean,
            "sd": self.sd,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Reported:
        """The same from a row."""
        place = Place(row["browser"], row["browserVersion"], bool(row["simd"]), bool(row["relaxedSimd"]))
        context = Context.from_wire(row)
        named = row["implementation"], row["reports"], row["logSpeedup"], row["sd"]
        return cls(row["profileSignature"], context, place, *named)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model chooses for one size, and how much faster than JavaScript that is (low, high: 95 %)."""

    context: Context
    size: int  # elements
    place: Place
    candidate: str
    source: Source  # what the figure comes from
    reports: int  # behind the figure; 0 unless it comes from reports
    speedup: float
    low: float
    high: float


def publishable(rows: Sequence[CellSum], before: Iterable[Reported] = ()) -> list[Reported]:
    """The cells that at least GROUP reports speak of. Smaller ones are added up over all versions of their engine.

    `before` is what was told last. A cell stays as it was until GROUP more reports came, so that nobody can
    subtract one list from the next and see a single report.
    """
    places = [_at(row, Place.of(row.cell.environment)) for row in rows]
    large = _enough(places)
    small = [row for row in places if _key(row) not in large]
    coarse = [_at(row, replace(Place.of(row.cell.environment), version=ANY)) for row in small]
    coarse_large = _enough(coarse)
    kept = [row for row in places if _key(row) in large] + [
        row for row in coarse if _key(row) in coarse_large
    ]
    earlier = {one.cell: one for one in before}
    return sorted((_settled(new, earlier.get(new.cell)) for new in pooled(kept)), key=_order)


def about_functions(rows: Iterable[CellSum]) -> dict[str, int]:
    """Reports by function's signature, rounded down to a multiple of GROUP, so that no single one shows."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.cell.signature] = counts.get(row.cell.signature, 0) + row.count
    return {signature: count // GROUP * GROUP for signature, count in counts.items()}


def pooled(rows: Sequence[CellSum]) -> list[Reported]:
    """The mean of every cell over its rounds, by inverse variance; forged-looking reports count for next to
    nothing (`rounds.py`)."""
    rounds = Rounds.of(rows, doubt=True)
    weight, cells = 1 / rounds.variance, len(rounds.cells)
    total = np.bincount(rounds.cell, weight, cells)
    mean = np.bincount(rounds.cell, weight * rounds.value, cells) / np.maximum(total, 1e-300)
    count = np.bincount(rounds.cell, rounds.count, cells)
    return [
        Reported(signature, context, Place.of(environment), candidate, int(n), round(m, 6), round(v**-0.5, 6))
        for (signature, context, environment, candidate), n, m, v in zip(
            rounds.cells, count.tolist(), mean.tolist(), total.tolist(), strict=True
        )
    ]


def _settled(new: Reported, old: Reported | None) -> Reported:
    return old if old is not None and abs(new.reports - old.reports) < GROUP else new


def _order(one: Reported) -> tuple[object, ...]:
    return one.signature, one.context, one.place, one.candidate


def _at(row: CellSum, place: Place) -> CellSum:
    return replace(row, cell=replace(row.cell, environment=place.environment))


def _key(row: CellSum) -> CellKey:
    return row.cell.signature, row.cell.context, row.cell.environment, row.cell.candidate


def _enough(rows: Iterable[CellSum]) -> set[CellKey]:
    counts: dict[CellKey, int] = {}
    for row in rows:
        counts[_key(row)] = counts.get(_key(row), 0) + row.count
    return {key for key, count in counts.items() if count >= GROUP}


@dataclass(frozen=True, slots=True)
class _Measured:
    """A figure that something was measured for."""

    source: Source
    reports: int
    mean: float
    sd: float


def answers(
    manifest: Manifest, model: Model, lab: Rows | None, reported: Sequence[Reported]
) -> dict[str, list[Answer]]:
    """What is chosen in every context of every kernel, by kernel, at the places that have data.

    An engine without data gets the model's prediction for the engine. A figure comes from reports where enough
    speak of the chosen implementation, else from the lab (None: there are only guesses), else from the model.
    """
    measured = _lab(lab) if lab is not None else {}
    lab_places = {Place.of(e): e for e in (lab.frame.environments if lab is not None else ())}
    measured |= {one.cell: _Measured("reports", one.reports, one.mean, one.sd) for one in reported}
    reports: dict[Place, int] = {}
    for one in reported:
        reports[one.place] = reports.get(one.place, 0) + one.reports
    found: dict[str, list[Answer]] = {name: [] for name in manifest.kernels}
    for place in _foremost(lab_places, reports):
        environment = lab_places.get(place, place.environment)
        for row in model.predict_table(list(manifest.kernels.values()), environment):
            found[row.kernel.name].append(
                _answer(row.kernel, row.size, row.context, place, environment, row.predictions, measured)
            )
    return found


def _foremost(lab: Collection[Place], reports: Mapping[Place, int]) -> list[Place]:
    """The PLACES that are told of: those of the lab, one for each engine that nobody measured, then the most
    reported. Strangers can report of any browser, and each place costs time."""
    known = {place.browser for place in (*lab, *reports)}
    unknown = [
        Place(browser, ANY, True, browser != "webkit") for browser in BROWSERS[:-1] if browser not in known
    ]
    # What is left of small versions comes last: it is no version that anybody has.
    others = sorted(set(reports) - set(lab), key=lambda place: (place.version == ANY, -reports[place], place))
    turns: Counter[str] = Counter()  # each engine's most reported version, then each one's second …
    turn: dict[Place, int] = {}
    for place in others:
        turn[place] = turns[place.browser]
        turns[place.browser] += 1
    others.sort(key=lambda place: (place.version == ANY, turn[place]))
    return sorted([*lab, *unknown, *others][: max(PLACES, len(lab))])


def _lab(lab: Rows) -> dict[CellKey, _Measured]:
    """Lab rows by place; machines of one place are averaged."""
    frame, found = lab.frame, dict[CellKey, list[tuple[float, float]]]()
    columns = (frame.kernel, frame.context, frame.environment, frame.candidate, lab.target, lab.variance)
    for k, c, e, name, value, variance in zip(*(column.tolist() for column in columns), strict=True):
        environment = Place.of(frame.environments[e]).environment
        key = frame.kernels[k].signature, frame.contexts[c], environment, frame.candidates[name]
        found.setdefault(key, []).append((value, 1 / variance))
    return {key: _averaged(values) for key, values in found.items()}


def _averaged(values: Sequence[tuple[float, float]]) -> _Measured:
    total = sum(weight for _, weight in values)
    return _Measured("lab", 0, sum(value * weight for value, weight in values) / total, total**-0.5)


def _answer(
    kernel: Kernel,
    size: int,
    context: Context,
    place: Place,
    environment: Environment,
    predictions: Predictions,
    measured: Mapping[CellKey, _Measured],
) -> Answer:
    choice = choose(kernel, context, environment, predictions, {}, ())
    name = choice.candidate
    known = measured.get((kernel.signature, context, place.environment, name))
    if name == BASELINE:  # nothing to measure: it is what everything is compared with
        others = ((kernel.signature, context, place.environment, variant) for variant in kernel.variants)
        lab = any(other in measured and measured[other].source == "lab" for other in others)
        return Answer(context, size, place, name, "lab" if lab else "prediction", 0, 1.0, 1.0, 1.0)
    if known is None:
        i = predictions.candidates.index(name)
        known = _Measured("prediction", 0, float(predictions.mean[i]), float(predictions.sd[i]))
    speedup, low, high = (math.exp(known.mean + z * known.sd) for z in (0.0, -SURE, SURE))
    return Answer(context, size, place, name, known.source, known.reports, speedup, low, high)
