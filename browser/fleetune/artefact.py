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
from fleetune.limits import BITS, CAPACITY

MAGIC = b"FTM1"
FORMAT = 1
MAX_BYTES = 64 << 20
MAX_HEADER = 8 << 20
VALUE_STEP = (
    1 / 256
)  # ln speedup per unit of a row's int16 value: fixed, so that unchanged rows keep their bytes
SD_BASE = 0.96  # a row's posterior sd is SD_BASE ** code
STEP = ".step"  # the array <name>.step is the value of one unit of the int8 array <name>
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
# Places (kernel, environment) whose clip is not the model's usual one, and the clips of kernels and of
# environments that the model does not know. Clips in hundredths.
CLIPS = {"clip.kernel": "u2", "clip.environment": "u2", "clip.value": "u1", "clip.new": "u1"}
CALL_FEATURES = 3
TIMING_FEATURES = 4
# Ensembles of trees, and how many features each may ask for beyond the static ones: the prior, and the prior
# of a browser that has timed the reference.
ENSEMBLES = {"trees": 0, "timed": TIMING_FEATURES}
MAX_DEPTH = 8  # questions of a tree
CLIP_BOUNDS = 10, 200  # what a packet may carry
VARIANCES = (
    "inflation", "spread2", "unknown2", "unknown_contrast2", "timed_unknown2", "timed_unknown_contrast2", "floor2",
)  # fmt: skip
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
    v, a = model.vocabulary, model.stored
    rows = a["row.value"].shape[0]
    shapes: dict[str, tuple[int, ...]] = {
        "range": (2,), "spread2": (len(model.crosses),), "floor2": (),
        "unknown2": (), "unknown_contrast2": (),
    }  # fmt: skip
    shapes |= _tree_shapes(a, "trees") if "trees.leaf" in a else _net_shapes(model)
    if "timed.leaf" in a:
        shapes |= _tree_shapes(a, "timed") | {"timed_unknown2": (), "timed_unknown_contrast2": ()}
    shapes |= {"inflation": (len(v["kernel"]),)} if "inflation" in a else {}
    if "clip.new" in a:
        shapes |= dict.fromkeys(CLIPS, a["clip.value"].shape[:1]) | {"clip.new": (2,)}
    shapes |= {name + STEP: () for name in list(shapes) if a[name].dtype.kind == "i"}
    return shapes | {f"row.{name}": (rows,) for name in COLUMNS}


def _tree_shapes(stored: Mapping[str, NDArray[Any]], name: str) -> dict[str, tuple[int, ...]]:
    trees, depth = stored[f"{name}.feature"].shape
    questions = {f"{name}.feature": (trees, depth), f"{name}.threshold": (trees, depth)}
    return questions | {f"{name}.leaf": (trees, 1 << min(depth, MAX_DEPTH)), f"{name}.base": ()}


def _net_shapes(model: Artefact) -> dict[str, tuple[int, ...]]:
    """Of a model from before trees replaced the network."""
    v, a = model.vocabulary, model.stored
    first, second = a["weight2"].shape
    widths = block_widths(model.features)
    counts = {"engine": len(v["engine"]), "candidate": len(v["candidate"]), "size": SIZES + 1}
    shapes: dict[str, tuple[int, ...]] = {
        "bias1": (first,), "weight2": (first, second), "bias2": (second,), "weight3": (second,), "bias3": (),
    }  # fmt: skip
    for name in BLOCKS:
        shapes |= {f"{name}.mean": (widths[name],), f"{name}.scale": (widths[name],)}
        shapes |= {f"{name}.weight": (widths[name], first)}
    for name in EMBEDDED:
        width = a[f"{name}.embedding"].shape[1]
        shapes |= {f"{name}.embedding": (counts[name], width), f"{name}.project": (width, first)}
    return shapes


def _check(model: Artefact) -> None:
    for name, shape in expected_shapes(model).items():
        if model.stored[name].shape != shape:
            raise ModelError(f"array {name} has shape {model.stored[name].shape}, not {shape}")
    if not 0 < len(model.crosses) <= MAX_TABLES or any(set(c) - BITS.keys() or not c for c in model.crosses):
        raise ModelError("unknown field in a cross")
    for name in BITS:
        size = SIZES + 1 if name == "size" else len(model.vocabulary[name])
        if size > CAPACITY[name] and name != "size":
            raise ModelError(f"too many entries: {name}")
        column = model.stored[f"row.{name}"]
        if len(column) and int(column.max()) > min(size, CAPACITY[name]):
            raise ModelError(f"a wide row names an entry that does not exist: {name}")
    table = model.stored["row.table"]
    if len(table) == 0 or int(table.max()) >= len(model.crosses) or len(np.unique(model.keys)) != len(table):
        raise ModelError("wide rows are missing, repeated, or of no table")
    if model.crosses[:3] != SMOOTH:
        raise ModelError("the first three tables must be the smooth ones")
    if any(model.stored[name].dtype.str != np.dtype(TYPES[code]).str for name, code in _row_types()):
        raise ModelError("a wide row's column has the wrong type")
    _check_clips(model)
    _check_trees(model)
    if any((model.arrays[name] < 0).any() for name in VARIANCES if name in model.arrays):
        raise ModelError("a variance is negative")


def _check_clips(model: Artefact) -> None:
    if "clip.new" not in model.stored:
        return
    columns = {name: model.stored[name] for name in CLIPS}
    if any(columns[name].dtype.str != TYPES[code] for name, code in CLIPS.items()):
        raise ModelError("a clip's column has the wrong type")
    for name in ("kernel", "environment"):
        if (columns[f"clip.{name}"] >= len(model.vocabulary[name])).any():
            raise ModelError("a clip names a place that does not exist")
    values = np.concatenate([columns["clip.value"], columns["clip.new"]])
    if (values < CLIP_BOUNDS[0]).any() or (values > CLIP_BOUNDS[1]).any():
        raise ModelError("a clip is out of range")


def _check_trees(model: Artefact) -> None:
    for name, more in ENSEMBLES.items():
        if f"{name}.leaf" in model.stored:
            feature = model.stored[f"{name}.feature"]
            if feature.dtype.str != TYPES["u2"] or (feature >= feature_count(model.features) + more).any():
                raise ModelError("a tree asks for a feature that does not exist")


def feature_count(features: Features) -> int:
    """How many features are known of every row."""
    return sum(block_widths(features).values()) + CALL_FEATURES


def block_widths(f: Features) -> dict[str, int]:
    """The lengths of the static feature vectors."""
    return {
        "kernel": len(f.kernel),
        "variant": 2 * len(f.module) + len(f.optimisations) + 2,
        "context": 4 + len(f.patterns) + len(f.dtypes),
        "environment": len(f.browsers) + 3,
    }


def _row_types() -> list[tuple[str, str]]:
    return [(f"row.{name}", code) for name, code in COLUMNS.items()]
