"""Lab measurements: made by maintainers on their own machines, public, not noised. The reader.

One JSON Lines file per engine (`kernels_wasm/lab/README.md` says how they were made): a header, then one
line per cell and repeat. What is the same on every line of a kernel (signature, element type, names of its
candidates) may stand once in the header's `kernels`; a line then lists its numbers in that order.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetune.context import LAB_BROWSERS, Context, Environment
from fleetune.manifest import BASELINE, Manifest
from fleetune_server.training.aggregate import coarsen

SCHEMA = 1
AHEAD = 2  # versions that are tried out before their release, and that the lab may be behind by
RELEASE_SECONDS = 28 * 86_400  # between two versions of a browser
MAX_SPREAD = 0.2  # median ÷ minimum − 1 above which a series was disturbed

log = logging.getLogger(__name__)


class LabError(ValueError):
    """A lab file is not what this version reads; the message names file and line."""


@dataclass(frozen=True)
class LabHeader:
    """How one file was made."""

    engine: str
    browser_version: str
    flags: tuple[str, ...]
    environment: Environment
    machine: str
    date: str
    protocol: Mapping[str, Any]
    isolated: bool
    kernels: Mapping[
        str, Mapping[str, Any]
    ]  # name: {signature, dtype, candidates}, for lines that leave them out


@dataclass(frozen=True)
class LabRow:
    """One cell in one browser launch: the least time of every candidate."""

    engine: str
    environment: Environment
    repeat: int
    kernel: str
    signature: str
    size: int
    context: Context
    times: Mapping[str, float]  # candidate: milliseconds per call, minimum over batches
    spread: Mapping[str, float]  # candidate: median ÷ minimum − 1 of its batches
    batches: Mapping[str, int]
    wrong: tuple[str, ...]  # candidates whose result differed from JavaScript's; never timed

    def steady(self, candidate: str, limit: float = MAX_SPREAD) -> bool:
        """Whether this candidate was measured undisturbed."""
        return candidate in self.times and self.spread.get(candidate, 0.0) <= limit

    def log_speedups(self, limit: float = MAX_SPREAD) -> dict[str, float]:
        """ln(time of JavaScript ÷ time) of every steady candidate; none if JavaScript was disturbed."""
        if not self.steady(BASELINE, limit):
            return {}
        base = math.log(self.times[BASELINE])
        return {name: base - math.log(ms) for name, ms in self.times.items() if self.steady(name, limit)}


def load(folder: Path, manifest: Manifest) -> list[LabRow]:
    """Every row of `folder` about kernels and variants of `manifest`; LabError if a file is malformed.

    Rows of a kernel whose profile has changed since are left out, and said so in the log."""
    rows: list[LabRow] = []
    stale: Counter[str] = Counter()
    for path in sorted(folder.glob("*.jsonl")):
        for row in read(path)[1]:
            kernel = manifest.by_signature.get(row.signature)
            if kernel is None or BASELINE not in row.times:
                stale[row.kernel] += 1
                continue
            known = {*kernel.baselines, *kernel.variants}
            if not known.issuperset(row.times):
                row = _restricted(row, known)
            rows.append(row)
    for name, count in stale.items():
        log.warning("lab: %d rows of %s are of an older build of it and not used; run make lab", count, name)
    return rows


def of_visitors(rows: Sequence[LabRow]) -> list[LabRow]:
    """Rows of environments that a visitor can have: what models are trained on.

    A switched-off compiler tier is no browser that anybody reports from; its rows are for `lab report`, and
    would make each training take three times as long.
    """
    return [row for row in rows if row.environment.browser not in LAB_BROWSERS]


class Versions:
    """Which versions of browsers there can be: a few more than the lab's, and one more in four weeks since.

    Anyone can report of any version, and each would be a kind of browser of its own. What cannot have been
    released joins its engine, as kinds with few reports do. Without a lab nothing is known and all may be.
    """

    def __init__(self, recorded: Mapping[str, tuple[int, float]]) -> None:
        self.recorded = (
            recorded  # by browser: the lab's newest version, and when it was measured (unix seconds)
        )

    @classmethod
    def of(cls, folder: Path) -> Versions:
        """What the headers in a lab folder say; LabError if one is malformed."""
        recorded: dict[str, tuple[int, float]] = {}
        for path in sorted(folder.glob("*.jsonl")):
            try:
                header = _header(next(_lines(path))[1]["header"])
                at = datetime.fromisoformat(header.date).replace(tzinfo=UTC).timestamp()
            except (StopIteration, KeyError, TypeError, ValueError) as error:
                raise LabError(f"{path.name}:1: no header: {error}") from error
            e = header.environment
            recorded[e.browser] = max((e.version, at), recorded.get(e.browser, (0, 0.0)))
        return cls(recorded)

    def bounded(self, environment: Environment, now: float) -> Environment:
        """The environment, or its engine if there can be no such version at this unix time."""
        if not self.recorded:
            return environment
        newest, at = self.recorded.get(environment.browser, (0, now))
        possible = newest + AHEAD + int(max(0.0, now - at) / RELEASE_SECONDS) if newest else 0
        return environment if environment.version <= possible else coarsen(environment)


def headers(folder: Path) -> list[LabHeader]:
    """The headers of every lab file, by engine name."""
    return [read(path)[0] for path in sorted(folder.glob("*.jsonl"))]


def read(path: Path) -> tuple[LabHeader, list[LabRow]]:
    """One file, as it is; LabError names what is wrong with it."""
    lines = _lines(path)
    try:
        number, first = next(lines)
    except StopIteration:
        raise LabError(f"{path.name}: empty; the first line must be the header") from None
    try:
        header = _header(first["header"])
        rows = []
        for number, raw in lines:  # noqa: B007  (the message below needs the last number)
            rows.append(_row(raw, header))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabError(f"{path.name}:{number}: {type(error).__name__} {error}") from error
    return header, rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise LabError(f"{path.name}:{number}: not JSON: {error}") from error


def _header(raw: Mapping[str, Any]) -> LabHeader:
    if raw.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"schema {raw['schema']!r}: this version reads {SCHEMA}")
    return LabHeader(
        raw["engine"],
        raw["browserVersion"],
        tuple(raw["flags"]),
        Environment.from_wire(raw["environment"]),
        raw["machine"],
        raw["date"],
        raw["protocol"],
        raw["isolated"],
        raw.get("kernels", {}),
    )


def _row(raw: Mapping[str, Any], header: LabHeader) -> LabRow:
    kernel = header.kernels.get(raw["kernel"], {})
    times = _named(raw["times"], kernel)
    if bad := [name for name, ms in times.items() if not (math.isfinite(ms) and ms > 0)]:
        raise ValueError(f"time of {bad[0]} is {times[bad[0]]!r}: must be positive milliseconds")
    context = raw.get("context")
    return LabRow(
        header.engine,
        header.environment,
        raw["repeat"],
        raw["kernel"],
        raw.get("signature") or kernel["signature"],
        raw["size"],
        Context.from_wire(context) if context else Context.of(raw["size"], kernel["dtype"], raw["pattern"]),
        times,
        _named(raw["spread"], kernel),
        _named(raw["batches"], kernel),
        tuple(raw["wrong"]),
    )


def _named(values: Mapping[str, Any] | list[Any], kernel: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values by candidate; a list is in the header's order of candidates, null where one was not timed."""
    if isinstance(values, Mapping):
        return values
    pairs = zip(kernel["candidates"], values, strict=True)
    return {name: value for name, value in pairs if value is not None}


def _restricted(row: LabRow, known: set[str]) -> LabRow:
    """The row without candidates that the catalogue no longer has."""

    def keep(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in known}

    return LabRow(
        row.engine,
        row.environment,
        row.repeat,
        row.kernel,
        row.signature,
        row.size,
        row.context,
        keep(row.times),
        keep(row.spread),
        keep(row.batches),
        tuple(name for name in row.wrong if name in known),
    )
