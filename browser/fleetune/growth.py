"""Wide rows from one version to the next: old rows keep their place, new ones are appended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import BITS, COLUMNS, SD_BASE, SHIFTS, TABLE_SHIFT, TYPES
from fleetune.features import Floats
from fleetune.grid import WideRows
from fleetune.model import CROSSES, Model


def old_codes(init: Model | None) -> dict[int, int]:
    """Value codes by packed key of the previous model; empty if its tables are not these."""
    if init is None or init.artefact.crosses != CROSSES:
        return {}
    values = init.artefact.stored["row.value"].tolist()
    return dict(zip(init.artefact.keys.tolist(), values, strict=True))


def row_columns(rows: WideRows, init: Model | None, max_rows: int) -> dict[str, NDArray[Any]]:
    """The artefact's columns: rows of `init` first and in its order, then the new ones."""
    keys, value = rows.keys, rows.value
    at = np.arange(len(keys))
    if len(keys) > max_rows:  # the finest rows that say least go first
        at = np.sort(np.argsort(-(np.abs(value) + 1 - (keys >> TABLE_SHIFT) / 64), kind="stable")[:max_rows])
    if init is not None and init.artefact.crosses == CROSSES:
        before = init.artefact.keys
        order = at[np.argsort(keys[at], kind="stable")]
        known = before[np.isin(before, keys[at])]
        kept = order[np.searchsorted(keys[order], known)]
        at = np.concatenate([kept, at[~np.isin(keys[at], before)]])
    keys = keys[at]
    columns: dict[str, NDArray[Any]] = {"table": keys >> TABLE_SHIFT, "value": value[at]}
    columns |= {"sd": _sd_code(rows.variance[at]), "contrast": _sd_code(rows.contrast[at])}
    for name, shift in SHIFTS.items():
        columns[name] = (keys >> shift) & ((1 << BITS[name]) - 1)
    return {f"row.{name}": columns[name].astype(TYPES[kind]) for name, kind in COLUMNS.items()}


def _sd_code(variance: Floats) -> NDArray[np.float64]:
    return np.asarray(np.clip(np.rint(np.log(variance) / 2 / np.log(SD_BASE)), 0, 255))
