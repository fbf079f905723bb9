"""Wide rows from one version to the next: old rows keep their place, new ones are appended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import BITS, COLUMNS, SD_BASE, SHIFTS, TABLE_SHIFT
from fleetune.model import CROSSES, Model
from fleetune.wide import Table


def old_rows(init: Model | None) -> list[dict[int, int] | None] | None:
    """Value codes by packed key for every table of the previous model, if its tables are the same."""
    if init is None or init.artefact.crosses != CROSSES:
        return None
    old: list[dict[int, int]] = [{} for _ in CROSSES]
    values = init.artefact.stored["row.value"].tolist()
    for key, value in zip(init.artefact.keys.tolist(), values, strict=True):
        old[key >> TABLE_SHIFT][key] = value
    return list(old)


def row_columns(
    tables: Sequence[Table],
    effects: Sequence[NDArray[np.int16]],
    init: Model | None,
    old: Sequence[Mapping[int, int] | None] | None,
    max_rows: int,
) -> dict[str, NDArray[Any]]:
    """All wide rows as columns: those of `init` first and in its order, then the new ones."""
    keys = np.concatenate([table.keys for table in tables])
    value = np.concatenate(effects)
    variance = np.concatenate([table.variance for table in tables])
    sd = np.clip(np.rint(np.log(variance) / 2 / np.log(SD_BASE)), 0, 255).astype(np.uint8)
    if len(keys) > max_rows:  # the least informative rows go: nearly zero and of the finest tables
        keep = np.sort(
            np.argsort(-(np.abs(value) + 1 - (keys >> TABLE_SHIFT) / 64), kind="stable")[:max_rows]
        )
        keys, value, sd = keys[keep], value[keep], sd[keep]
    if init is not None and old is not None:
        before = init.artefact.keys
        known = np.isin(before, keys)
        order = np.argsort(keys, kind="stable")
        kept = order[np.searchsorted(keys, before[known], sorter=order)]
        fresh = np.flatnonzero(~np.isin(keys, before))
        at = np.concatenate([kept, fresh])
        keys, value, sd = keys[at], value[at], sd[at]
    columns: dict[str, NDArray[Any]] = {"table": keys >> TABLE_SHIFT, "value": value, "sd": sd}
    for name, shift in SHIFTS.items():
        columns[name] = (keys >> shift) & ((1 << BITS[name]) - 1)
    kinds = {"u1": "|u1", "u2": "<u2", "i2": "<i2"}
    return {f"row.{name}": columns[name].astype(kinds[kind]) for name, kind in COLUMNS.items()}
