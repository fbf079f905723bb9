"""Whether reports are spread over variants as clients spread them. Pure.

A client measures every variant of a context and reports one of them, drawn uniformly. So within one kernel,
environment and round all variants have about as many reports, whatever people run; who wants to move one cell
sends reports of that cell, and these stand out long before they outvote the honest ones elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleetune_server.store.base import CellSum

EXCESS = 1.5  # times the mean of the other variants
SURE = 5.0  # deviations above an even share: 1 in 3.5 million by chance
FEWEST = 20  # reports of one variant below which nothing is said


def crowded(rows: Sequence[CellSum]) -> NDArray[np.bool_]:
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
