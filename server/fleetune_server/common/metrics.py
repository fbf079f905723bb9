"""Counters and histograms in the Prometheus text format, with documented names."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import Protocol

from fleetune import __version__
from fleetune_server.common.errors import CODES

INGEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
JOB_BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
DELAY_BOUNDS = (1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 7200.0)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Count:
    """A number that only grows, by the values of at most one label; those that are known begin at 0."""

    kind = "counter"

    def __init__(self, label: str = "", known: Iterable[str] = ("",)) -> None:
        self.label = label
        self.values: Counter[str] = Counter(dict.fromkeys(known, 0))

    def add(self, amount: int = 1, label: str = "") -> None:
        self.values[label] += amount

    def lines(self, name: str) -> Iterator[str]:
        for value, count in sorted(self.values.items()):
            yield f'{name}{{{self.label}="{value}"}} {count}' if self.label else f"{name} {count}"


class Gauge:
    """A number read when asked for."""

    kind = "gauge"

    def __init__(self) -> None:
        self.read: Callable[[], float] = lambda: 0.0

    def set(self, value: float) -> None:
        """For a number that takes a while to find: it is found before the exposition is written."""
        self.read = lambda: value

    def lines(self, name: str) -> Iterator[str]:
        yield f"{name} {self.read():.15g}"


class Build(Gauge):
    """1, with this release as its label."""

    def lines(self, name: str) -> Iterator[str]:
        yield f'{name}{{version="{__version__}"}} 1'


class Total(Gauge):
    """A number that only grows, read where it is counted."""

    kind = "counter"


class Histogram:
    """Observations in seconds, by upper bounds."""

    kind = "histogram"

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect.bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    @contextmanager
    def time(self) -> Iterator[None]:
        """Observe how long the block takes, whatever becomes of it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - start)

    def to_wire(self) -> dict[str, object]:
        """Upper bounds, the count of each bucket (one more: beyond the last bound), and the sum."""
        return {"bounds": list(self.bounds), "counts": list(self.buckets), "sum": self.sum}

    def lines(self, name: str) -> Iterator[str]:
        running = list(accumulate(self.buckets))
        for bound, count in zip((*map(str, self.bounds), "+Inf"), running, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {self.sum:.6f}"
        yield f"{name}_count {running[-1]}"


# Attribute of Metrics: (name, meaning, how to make one).
CATALOGUE: dict[str, tuple[str, str, Callable[[], Count | Gauge | Histogram]]] = {
    "packets": (
        "fleetune_packets_total",
        "Packets acknowledged, by outcome: accepted or duplicate.",
        lambda: Count("outcome", ("accepted", "duplicate")),
    ),
    "rejected": (
        "fleetune_rejected_total",
        "Packets and answers refused, by error code.",
        lambda: Count("code", CODES),
    ),
    "sessions": ("fleetune_sessions_total", "Pages that asked what to run at their start.", Count),
    "withdrawn": ("fleetune_withdrawn_total", "Packets withdrawn by their senders.", Count),
    "ingest": (
        "fleetune_ingest_seconds",
        "From the whole request received to its commit.",
        lambda: Histogram(INGEST_BOUNDS),
    ),
    "waiting": ("fleetune_store_waiting_packets", "Packets waiting for a commit.", Gauge),
    "fold": ("fleetune_fold_seconds", "Turning packets into sums.", lambda: Histogram(JOB_BOUNDS)),
    "train": ("fleetune_train_seconds", "Training and judging a model.", lambda: Histogram(JOB_BOUNDS)),
    "publish": (
        "fleetune_publish_seconds",
        "Signing, packing and saving a version.",
        lambda: Histogram(JOB_BOUNDS),
    ),
    "trainings": (
        "fleetune_trainings_total",
        "Trainings, by outcome: published, refused by the gate, or failed.",
        lambda: Count("outcome", ("published", "refused", "failed", "promoted", "withdrawn")),
    ),
    "build": ("fleetune_build_info", "Always 1; the label is the release.", Build),
    "problems": ("fleetune_problems", "Problems that /readyz names; 0: ready.", Gauge),
    "pending": ("fleetune_pending_packets", "Packets that can still be withdrawn.", Gauge),
    "fresh": ("fleetune_fresh_reports", "Reports that no training has seen.", Gauge),
    "refused": ("fleetune_refused_in_a_row", "Trainings in a row that the gate refused.", Gauge),
    "held": ("fleetune_held_places", "Places whose reports the newest model does not believe.", Gauge),
    "suspicious": (
        "fleetune_suspicious_places",
        "Variants of a kernel in one kind of browser whose reports the last training did not believe.",
        Gauge,
    ),
    "held_back": (
        "fleetune_held_back_cells",
        "Cells that the last training moved as far as one version may, and not as far as their reports say.",
        Gauge,
    ),
    "flooded": (
        "fleetune_flooded_places",
        "Kernels in one browser engine whose reports must bring proof of work, because too many come.",
        Gauge,
    ),
    "store_bytes": ("fleetune_store_bytes", "Size of the database.", Gauge),
    "free_bytes": ("fleetune_free_bytes", "Free space where FLEETUNE_DATA lies.", Gauge),
    "age": ("fleetune_model_age_seconds", "Since the newest version was published.", Gauge),
    "version": ("fleetune_model_version", "Newest published model version.", Gauge),
    "sockets": ("fleetune_sockets", "Open WebSockets.", Gauge),
    "dropped": ("fleetune_sockets_dropped_total", "WebSockets ended: silent, stalled or gone.", Total),
    "delay": (
        "fleetune_telemetry_to_model_seconds",
        "From the first packet since the last model to the next model's publication.",
        lambda: Histogram(DELAY_BOUNDS),
    ),
}


# Estimates that /api/metrics gives too: (name, meaning).
ESTIMATES = {
    "satisfaction": ("fleetune_satisfaction", "choices called good, randomised answers debiased"),
    "adoption": ("fleetune_adoption", "sessions that agreed: no less than this"),
}
_PARTS = {
    "share": "Share of {}; NaN while too little is known.",
    "low": "Lower end of the 95 % interval of the share of {}.",
    "high": "Upper end of the 95 % interval of the share of {}.",
}


class Estimate(Protocol):
    """A share with its 95 % interval; None while too little is known."""

    @property
    def share(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def estimates(values: Mapping[str, Estimate]) -> str:
    """Exposition of ESTIMATES, each with the bounds of its interval; NaN while there is nothing to say."""
    lines: list[str] = []
    for key, (stem, meaning) in ESTIMATES.items():
        for part, sentence in _PARTS.items():
            name, value = f"{stem}_{part}", getattr(values[key], part)
            lines += [f"# HELP {name} {sentence.format(meaning)}", f"# TYPE {name} gauge"]
            lines.append(f"{name} {'NaN' if value is None else format(value, '.6g')}")
    return "\n".join(lines) + "\n"


class Metrics:
    """The instruments of one server."""

    packets: Count
    rejected: Count
    sessions: Count
    withdrawn: Count
    ingest: Histogram
    waiting: Gauge
    fold: Histogram
    train: Histogram
    publish: Histogram
    trainings: Count
    build: Build
    problems: Gauge
    pending: Gauge
    fresh: Gauge
    refused: Gauge
    held: Gauge
    suspicious: Gauge
    held_back: Gauge
    flooded: Gauge
    store_bytes: Gauge
    free_bytes: Gauge
    age: Gauge
    version: Gauge
    sockets: Gauge
    dropped: Total
    delay: Histogram

    def __init__(self) -> None:
        for attribute, (_name, _meaning, make) in CATALOGUE.items():
            setattr(self, attribute, make())

    def text(self) -> str:
        """The exposition that Prometheus scrapes."""
        lines: list[str] = []
        for attribute, (name, meaning, _make) in CATALOGUE.items():
            instrument = getattr(self, attribute)
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {instrument.kind}", *instrument.lines(name)]
        return "\n".join(lines) + "\n"
