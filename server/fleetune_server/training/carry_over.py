"""From one version to the next with few bytes changed: old rows keep their place, new ones are appended,
and a number keeps its code unless it really moved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import COLUMNS, SD_BASE, SHIFTS, SMOOTH, TABLE_SHIFT, TYPES
from fleetune.features import Floats, Ints
from fleetune.limits import BITS
from fleetune.model import CROSSES, Model
from fleetune_server.training.wide_rows import WideRows

SD_GRAIN = 2  # codes between two that are used: an sd is told to 4 %
SD_STICKY = 2.5  # codes that an sd must move before its code changes: 10 %


def old_codes(init: Model | None) -> dict[int, int]:
    """Value codes by packed key of the previous model; empty if its tables are not these."""
    if init is None or init.artefact.crosses != CROSSES:
        return {}
    values = init.artefact.stored["row.value"].tolist()
    return dict(zip(init.artefact.keys.tolist(), values, strict=True))


def row_columns(rows: WideRows, init: Model | None, max_rows: int) -> dict[str, NDArray[Any]]:
    """The artefact's columns: rows of `init` first and in its order, then the new ones.

    Where there are more than `max_rows`, those of single environments are left out that say least for sure (value ÷
    deviation, so what many reports or the lab say stays). They are added to what stands without them; a smooth row
    stands in place of a coarser one, and so is kept whatever it says.
    """
    keys, value = rows.keys, rows.value
    at = np.arange(len(keys))
    if len(keys) > max_rows:
        smooth = keys >> TABLE_SHIFT < len(SMOOTH)
        says = np.where(smooth, np.inf, np.abs(value) / np.sqrt(rows.variance))
        at = np.sort(np.argsort(-says, kind="stable")[:max_rows])
    if init is not None and init.artefact.crosses == CROSSES:
        before = init.artefact.keys
        order = at[np.argsort(keys[at], kind="stable")]
        known = before[np.isin(before, keys[at])]
        kept = order[np.searchsorted(keys[order], known)]
        at = np.concatenate([kept, at[~np.isin(keys[at], before)]])
    keys = keys[at]
    columns: dict[str, NDArray[Any]] = {"table": keys >> TABLE_SHIFT, "value": value[at]}
    for name, variance in (("sd", rows.variance), ("contrast", rows.contrast)):
        columns[name] = _sd_code(variance[at], keys, name, init)
    for name, shift in SHIFTS.items():
        columns[name] = (keys >> shift) & ((1 << BITS[name]) - 1)
    return {f"row.{name}": columns[name].astype(TYPES[kind]) for name, kind in COLUMNS.items()}


def _sd_code(variance: Floats, keys: Ints, name: str, init: Model | None) -> NDArray[np.float64]:
    exact = np.clip(np.log(variance) / 2 / np.log(SD_BASE), 0, 255)
    code = np.minimum(SD_GRAIN * np.rint(exact / SD_GRAIN), 255)
    if init is not None and init.artefact.crosses == CROSSES:
        order = np.argsort(init.artefact.keys, kind="stable")
        known = init.artefact.keys[order]
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        before = init.artefact.stored[f"row.{name}"][order][at]
        code = np.where((known[at] == keys) & (np.abs(before - exact) <= SD_STICKY), before, code)
    return np.asarray(code)
