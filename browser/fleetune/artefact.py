"""The model as bytes: magic, JSON header, quantised arrays. Strict on reading; nothing in it can be executed.

Layout: `FTM1` · uint32 little-endian header length · canonical JSON header · the arrays of `header["arrays"]`
({name, dtype, shape}) one after another, C order, little endian. The wide rows are columns (`row.<field>`,
one entry a row, in order of arrival), so a model that has grown by rows differs from its predecessor only at
the ends of these columns and in the values that moved.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.context import canonical_json
from fleetune.features import Features

MAGIC = b"FTM1"
FORMAT = 1
MAX_BYTES = 64 << 20
MAX_HEADER = 8 << 20
VALUE_STEP = (
    1 / 256
)  # ln speedup per unit of a row's int16 value: fixed, so that unchanged rows keep their bytes
SD_BASE = 0.96  # a row's posterior sd is SD_BASE ** code
STEP = ".step"  # the array <name>.step is the value of one unit of the int8 array <name>
# The fields of a cross and their bits in a packed key; key index 0 is "any", vocabulary entries start at 1.
BITS = {
    "kernel": 11, "pattern": 6, "size": 6, "environment": 13, "engine": 8, "family": 4, "candidate": 9,
}  # fmt: skip
SHIFTS = dict(zip(BITS, np.cumsum([0, *BITS.values()])[:-1].tolist(), strict=True))
TABLE_SHIFT = sum(BITS.values())
MAX_TABLES = 64
# The smooth part's tables, each a correction of the one before: for any engine, for a family, for an engine.
SMOOTH = (
    ("kernel", "pattern", "size", "candidate"),
    ("kernel", "pattern", "size", "family", "candidate"),
    ("kernel", "pattern", "size", "engine", "candidate"),
)
SIZES = 31
COLUMNS = {
    "table": "u1", "kernel": "u2", "pattern": "u1", "size": "u1", "environment": "u2", "engine": "u1",
    "family": "u1", "candidate": "u2", "value": "i2", "sd": "u1", "contrast": "u1",
}  # fmt: skip
BLOCKS = ("kernel", "variant", "context", "environment")  # the static feature vectors
EMBEDDED = ("candidate", "size", "engine")
VARIANCES = ("inflation", "spread2", "unknown2", "unknown_contrast2", "floor2")
TYPES = {"f2": "<f2", "f4": "<f4", "i1": "|i1", "i2": "<i2", "u1": "|u1", "u2": "<u2"}


class ModelError(ValueError):
    """Bytes that are not a model that this version can use; the message says what is wrong."""


@dataclass(frozen=True)
class Lookup:
    """The wide rows by packed key, ascending: keys, values (ln speedup), posterior variances, and the part of
    the variance that candidates of a context do not share."""

    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    contrasts: NDArray[np.float64]


@dataclass(frozen=True)
class Artefact:
    """Everything in the file. `stored` holds the arrays as quantised; `arrays` the same as float64."""

    version: int
    clip: float
    features: Features
    vocabulary: Mapping[
        str, tuple[str, ...]
    ]  # kernel signatures, patterns, environments, engines, candidates
    crosses: tuple[tuple[str, ...], ...]
    stored: Mapping[str, NDArray[Any]]
    notes: Mapping[str, Any]

    @cached_property
    def arrays(self) -> Mapping[str, NDArray[np.float64]]:
        """The deep part's arrays and the variance components, widened to float64."""
        return {
            name: array * np.float64(self.stored[name + STEP] if array.dtype.kind == "i" else 1)
            for name, array in self.stored.items()
            if not name.startswith("row.") and not name.endswith(STEP)
        }

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The packed key of every wide row in file order, (rows,)."""
        keys = self.stored["row.table"].astype(np.int64) << TABLE_SHIFT
        for name, shift in SHIFTS.items():
            keys |= self.stored[f"row.{name}"].astype(np.int64) << shift
        return keys

    @cached_property
    def lookup(self) -> Lookup:
        order = np.argsort(self.keys, kind="stable")
        smooth = self.stored["row.table"][order] < len(SMOOTH)
        # Models from before there was an inflation of its own have it in their rows.
        inflation = self.arrays.get("inflation", np.ones(len(self.vocabulary["kernel"])))
        inflation = inflation[self.stored["row.kernel"][order].astype(np.int64) - 1]
        inflation = np.where(smooth, inflation, 1.0)
        variance, contrast = (
            SD_BASE ** (2 * self.stored[f"row.{n}"][order].astype(np.float64)) for n in ("sd", "contrast")
        )
        values = self.stored["row.value"][order] * VALUE_STEP
        return Lookup(self.keys[order], values, variance * inflation, contrast * inflation)


def pack(model: Artefact) -> bytes:
    """The canonical bytes of a model: equal models give equal bytes."""
    codes = {np.dtype(spec).str: code for code, spec in TYPES.items()}
    entries = [
        {"name": name, "dtype": codes[array.dtype.str], "shape": list(array.shape)}
        for name, array in model.stored.items()
    ]
    header = {
        "format": FORMAT,
        "version": model.version,
        "clip": model.clip,
        "features": {name: list(words) for name, words in vars(model.features).items()},
        "vocabulary": {name: list(words) for name, words in model.vocabulary.items()},
        "crosses": [list(cross) for cross in model.crosses],
        "notes": dict(model.notes),
        "arrays": entries,
    }
    text = canonical_json(header)
    parts = [MAGIC, struct.pack("<I", len(text)), text]
    parts += [np.ascontiguousarray(array).tobytes() for array in model.stored.values()]
    return b"".join(parts)


def unpack(data: bytes) -> Artefact:
    """Read what `pack` wrote; ModelError on anything else."""
    try:
        return _unpack(bytes(data))
    except ModelError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        struct.error,
        OverflowError,
        RecursionError,
    ) as error:
        raise ModelError(f"model is malformed: {type(error).__name__} {error}") from error


def _unpack(data: bytes) -> Artefact:
    if len(data) > MAX_BYTES or data[:4] != MAGIC:
        raise ModelError("not a Fleetune model" if data[:4] != MAGIC else "model is too large")
    (length,) = struct.unpack_from("<I", data, 4)
    if length > MAX_HEADER or 8 + length > len(data):
        raise ModelError("model header is cut off")
    header = json.loads(data[8 : 8 + length])
    if canonical_json(header) != data[8 : 8 + length]:
        raise ModelError("model header is not canonical")
    if header["format"] != FORMAT:
        raise ModelError(f"model format {header['format']!r}: this version reads {FORMAT}")
    stored: dict[str, NDArray[Any]] = {}
    at = 8 + length
    for entry in header["arrays"]:
        shape, kind = tuple(entry["shape"]), np.dtype(TYPES[entry["dtype"]])
        if len(shape) > 2 or not all(type(n) is int and 0 <= n <= 1 << 24 for n in shape):
            raise ModelError(f"array {entry['name']}: shape {shape}")
        count = math.prod(shape)
        if at + count * kind.itemsize > len(data) or entry["name"] in stored:
            raise ModelError(f"array {entry['name']} is cut off or repeated")
        array = np.frombuffer(data, kind, count, at).reshape(shape)
        if kind.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"array {entry['name']} holds a number that is not finite")
        stored[entry["name"]] = array
        at += count * kind.itemsize
    if at != len(data):
        raise ModelError(f"{len(data) - at} bytes after the last array")
    clip, version = header["clip"], header["version"]
    if type(version) is not int or version < 0 or not (isinstance(clip, float) and 0 < clip <= 10):
        raise ModelError(f"version {version!r} or clip {clip!r} is out of range")
    model = Artefact(
        version,
        clip,
        Features(**{name: _words(words) for name, words in header["features"].items()}),
        {name: _words(words) for name, words in header["vocabulary"].items()},
        tuple(_words(cross) for cross in header["crosses"]),
        stored,
        dict(header["notes"]),
    )
    _check(model)
    return model


def _words(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) and len(word) <= 128 for word in words):
        raise ModelError("a list of names is expected in the header")
    if len(set(words)) != len(words):
        raise ModelError("a name appears twice in one list of the header")
    return tuple(words)


def expected_shapes(model: Artefact) -> dict[str, tuple[int, ...]]:
    """The shape that each array must have, given the header's names and two free widths."""
    f, v, a = model.features, model.vocabulary, model.stored
    first, second = a["weight2"].shape
    rows = a["row.value"].shape[0]
    widths = {
        "kernel": len(f.kernel),
        "variant": 2 * len(f.module) + len(f.optimisations) + 2,
        "context": 4 + len(f.patterns) + len(f.dtypes),
        "environment": len(f.browsers) + 3,
    }
    counts = {"engine": len(v["engine"]), "candidate": len(v["candidate"]), "size": SIZES + 1}
    shapes: dict[str, tuple[int, ...]] = {
        "bias1": (first,), "weight2": (first, second), "bias2": (second,), "weight3": (second,), "bias3": (),
        "range": (2,), "spread2": (len(model.crosses),),
        "unknown2": (), "unknown_contrast2": (), "floor2": (),
    }  # fmt: skip
    for name in BLOCKS:
        shapes |= {f"{name}.mean": (widths[name],), f"{name}.scale": (widths[name],)}
        shapes |= {f"{name}.weight": (widths[name], first)}
    for name in EMBEDDED:
        width = a[f"{name}.embedding"].shape[1]
        shapes |= {f"{name}.embedding": (counts[name], width), f"{name}.project": (width, first)}
    shapes |= {"inflation": (len(v["kernel"]),)} if "inflation" in a else {}
    shapes |= {name + STEP: () for name in list(shapes) if a[name].dtype.kind == "i"}
    return shapes | {f"row.{name}": (rows,) for name in COLUMNS}


def _check(model: Artefact) -> None:
    for name, shape in expected_shapes(model).items():
        if model.stored[name].shape != shape:
            raise ModelError(f"array {name} has shape {model.stored[name].shape}, not {shape}")
    if not 0 < len(model.crosses) <= MAX_TABLES or any(set(c) - BITS.keys() or not c for c in model.crosses):
        raise ModelError("unknown field in a cross")
    for name in BITS:
        size = SIZES + 1 if name == "size" else len(model.vocabulary[name])
        if size >= 1 << BITS[name] and name != "size":
            raise ModelError(f"too many entries: {name}")
        column = model.stored[f"row.{name}"]
        if len(column) and int(column.max()) > min(size, (1 << BITS[name]) - 1):
            raise ModelError(f"a wide row names an entry that does not exist: {name}")
    table = model.stored["row.table"]
    if len(table) == 0 or int(table.max()) >= len(model.crosses) or len(np.unique(model.keys)) != len(table):
        raise ModelError("wide rows are missing, repeated, or of no table")
    if model.crosses[:3] != SMOOTH:
        raise ModelError("the first three tables must be the smooth ones")
    if any(model.stored[name].dtype.str != np.dtype(TYPES[code]).str for name, code in _row_types()):
        raise ModelError("a wide row's column has the wrong type")
    if any((model.arrays[name] < 0).any() for name in VARIANCES if name in model.arrays):
        raise ModelError("a variance is negative")


def _row_types() -> list[tuple[str, str]]:
    return [(f"row.{name}", code) for name, code in COLUMNS.items()]
