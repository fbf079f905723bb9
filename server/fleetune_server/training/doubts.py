"""Which sums of reports are not believed as they stand: cut off by their clip, forged, too many. Pure.

A client measures every variant of a context and reports one of them, drawn uniformly. So within one kernel,
environment and round all variants have about as many reports, whatever people run; who wants to move one cell
sends reports of that cell, and these stand out long before they outvote the honest ones elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Floats, environment_key
from fleetune.privacy import mechanism
from fleetune_server.store.base import CellSum

EXCESS = 1.5  # times the mean of the other variants
SURE = 5.0  # deviations above an even share: 1 in 3.5 million by chance
FEWEST = 20  # reports of one variant below which nothing is said
FEW = 20  # reports whose mean is about half noise
FORGED = 0.3  # of the noise's least variance: honest reports do not come below it
FULL = 0.85  # mean residual, in clips, from which a round may have been cut off by its clip


def over_reported(rows: Sequence[CellSum]) -> NDArray[np.bool_]:
    """Rows of variants that were reported far more often than the others: in one context, or over all."""
    found = np.zeros(len(rows), dtype=bool)
    count = np.array([row.count for row in rows], dtype=np.float64)
    for fine in (False, True):
        places: dict[tuple[object, ...], int] = {}
        variants: dict[tuple[int, str], int] = {}
        place, variant = [], []
        for row in rows:
            cell = row.cell
            key = cell.signature, cell.environment, cell.version, cell.context if fine else None
            place.append(places.setdefault(key, len(places)))
            variant.append(variants.setdefault((place[-1], cell.candidate), len(variants)))
        of_place, of_variant = np.array(place, dtype=np.int64), np.array(variant, dtype=np.int64)
        mine = np.bincount(of_variant, count, len(variants))[of_variant]
        everyone = np.bincount(of_place, count, len(places))[of_place]
        seen = np.bincount([number for number, _ in variants], minlength=len(places))[of_place]
        others = np.maximum(seen - 1, 1)
        share = everyone / (others + 1)
        found |= (
            (seen > 1)  # where nobody else reports, nobody else is harmed
            & (mine >= FEWEST)
            & (mine > EXCESS * (everyone - mine) / others)
            & (mine > share + SURE * np.sqrt(np.maximum(share, 1)))
        )
    return found


@dataclass(frozen=True)
class Suspicion:
    """Reports of one variant of a kernel in one kind of browser that training does not believe, and why."""

    signature: str
    environment: str  # its key, or a pattern of keys if a whole engine's were added up
    candidate: str
    reports: int
    why: str


def suspicions(rows: Sequence[CellSum], crowded: NDArray[np.bool_]) -> list[Suspicion]:
    """The places that an operator should look at, most reports first; `crowded` are the over-reported rows."""
    count: Counter[tuple[str, str, str, str]] = Counter()
    for why, flags in (
        ("crowd on one variant", crowded),
        ("are not the mechanism's", forged(rows)),
    ):
        for row, flag in zip(rows, flags, strict=True):
            if flag:
                e = row.cell.environment
                environment = environment_key(e) if e.version else f"{e.browser} *"
                count[row.cell.signature, environment, row.cell.candidate, why] += row.count
    return [
        Suspicion(signature, environment, candidate, reports, why)
        for (signature, environment, candidate, why), reports in count.most_common()
    ]


def cut_off(rows: Sequence[CellSum], mean: Floats) -> Floats:
    """How far each round was cut off by its clip, 0 to 1, from its mean residuals (rows,) in clip units.

    What is beyond the clip is reported as the clip, so there the mean is no estimate of the truth. Judged by
    (kernel, candidate, round) and by (kernel, round), shrunk toward 0: single cells have too few reports.
    """
    count = np.array([row.count for row in rows], dtype=np.float64)
    worst = np.zeros(len(rows))
    for candidates in (True, False):
        index: dict[tuple[str, str, int], int] = {}
        cells = (row.cell for row in rows)
        keys = ((c.signature, c.candidate if candidates else "", c.version) for c in cells)
        group = np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.int64)
        reports = np.bincount(group, count, len(index))
        pooled = np.abs(np.bincount(group, mean * count, len(index))) / (reports + FEW)
        worst = np.maximum(worst, np.clip((pooled - FULL) / (1 - FULL), 0, 1)[group])
    return worst


def forged(rows: Sequence[CellSum]) -> NDArray[np.bool_]:
    """Rows whose reports the mechanism cannot have made: they scatter less than its own noise must, or lie
    further out than any true value could bring them.

    Judged by (kernel, environment, candidate, round, ε), contexts pooled. An honest group's variance within its
    cells is at least the noise's, and below FORGED of it with a chance that FEW reports make negligible; its
    mean is within the clip, and SURE deviations of the noise beyond it with a chance of 1 in 3.5 million.
    """
    index: dict[tuple[object, ...], int] = {}
    group = np.array(
        [
            index.setdefault((c.signature, c.environment, c.candidate, c.version, c.epsilon), len(index))
            for c in (row.cell for row in rows)
        ],
        dtype=np.int64,
    )
    count = np.array([row.count for row in rows], dtype=np.float64)
    total = np.array([row.total for row in rows], dtype=np.float64)
    squares = np.array([row.squares for row in rows], dtype=np.float64)
    within = np.bincount(group, squares - total**2 / np.maximum(count, 1), len(index))
    freedom = np.bincount(group, np.maximum(count - 1, 0), len(index))
    noise = [mechanism(float(epsilon)) for *_, epsilon in index]  # type: ignore[arg-type]
    unit = np.array([2 * m.scale for m in noise])  # of a sum, in one report at the clip
    least = np.array([float(m.variance(0.0)) for m in noise]) * unit**2
    regular = (freedom >= FEW) & (within < FORGED * least * freedom)
    reports = np.maximum(np.bincount(group, count, len(index)), 1)
    mean = np.abs(np.bincount(group, total, len(index))) / unit / reports
    edge = np.array([float(m.variance(1.0)) for m in noise])
    beyond = mean > 1 + SURE * np.sqrt(edge / reports)
    return np.asarray((regular | beyond)[group])
