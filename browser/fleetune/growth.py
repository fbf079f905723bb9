"""From one version to the next with few bytes changed: old rows keep their place, new ones are appended,
and a number keeps its code unless it really moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import BITS, COLUMNS, SD_BASE, SHIFTS, STEP, TABLE_SHIFT, TYPES
from fleetune.features import Floats, Ints
from fleetune.grid import WideRows
from fleetune.model import CROSSES, Model

SD_GRAIN = 2  # codes between two that are used: an sd is told to 4 %
SD_STICKY = 2.5  # codes that an sd must move before its code changes: 10 %
WEIGHT_STICKY = 0.75  # int8 steps that a weight of the deep part must move


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


def compact(parameters: Mapping[str, NDArray[Any]], init: Model | None) -> dict[str, NDArray[Any]]:
    """The deep part as stored: matrices in int8 with a step of their own, everything else in fp16.

    A matrix keeps the step that it had in `init` while its numbers fit, a number its code unless it moved.
    """
    stored: dict[str, NDArray[Any]] = {}
    before = init.artefact.stored if init is not None else {}
    for name, value in parameters.items():
        array = np.asarray(value, dtype=np.float64)
        if array.ndim < 2 or not array.size:
            stored[name] = array.astype("<f2")
            continue
        old = before.get(name)
        largest = float(np.abs(array).max())
        step = np.float32(before.get(name + STEP, 0))
        if not step or not 32 * step <= largest <= 127 * step:
            step, old = np.float32(max(largest, 1e-6) / 100), None  # some room to grow
        code = np.clip(np.rint(array / np.float64(step)), -127, 127)
        if old is not None and old.dtype.kind == "i":
            shared = tuple(slice(n) for n in np.minimum(old.shape, array.shape))
            kept = np.abs(old[shared] - array[shared] / np.float64(step)) <= WEIGHT_STICKY
            code[shared] = np.where(kept, old[shared], code[shared])
        stored[name] = code.astype("|i1")
        stored[name + STEP] = np.array(step, dtype="<f4")
    return stored
