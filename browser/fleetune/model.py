"""The predictor: ln speedup over JavaScript of every candidate, with its uncertainty.

mean = deep(features) + Σ wide crosses. The deep part (static features and embeddings, two ReLU layers) is the
prior for what has never been measured; the wide part is a hierarchy of random effects, from kernel ×
candidate down to the single cell, each a sparse table of rows: an unknown row contributes 0 and its own prior
variance, so the model grows by rows and old rows stay as they are. After Cheng et al., "Wide & Deep
Learning" (2016).

Everything is computed from the quantised artefact (`artefact.py`), so server and browser agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import SHIFTS, TABLE_SHIFT, Artefact, ModelError, pack, unpack
from fleetune.context import Context, Environment
from fleetune.features import Features, Floats, Frame, Ints, engine_key, environment_key
from fleetune.manifest import BASELINE, Kernel

__all__ = ["CROSSES", "DecisionRow", "Model", "ModelError", "Predictions"]

# Coarse to fine. Fields: see artefact.BITS; `engine` is browser family + WebAssembly features.
CROSSES = (
    ("candidate",),
    ("engine", "candidate"),
    ("environment", "candidate"),
    ("kernel", "candidate"),
    ("kernel", "engine"),
    ("kernel", "environment"),
    ("kernel", "pattern", "size"),
    ("kernel", "pattern", "candidate"),
    ("kernel", "size", "candidate"),
    ("kernel", "pattern", "size", "candidate"),
    ("kernel", "engine", "candidate"),
    ("kernel", "pattern", "engine", "candidate"),
    ("kernel", "pattern", "size", "engine"),
    ("kernel", "pattern", "size", "engine", "candidate"),
    ("kernel", "environment", "candidate"),
    ("kernel", "pattern", "size", "environment"),
    ("kernel", "pattern", "size", "environment", "candidate"),
)


@dataclass(frozen=True)
class Predictions:
    """Natural log of the speedup over `js` and its standard deviation, aligned with `candidates`."""

    candidates: tuple[str, ...]
    mean: Floats  # (candidates,)
    sd: Floats  # (candidates,); 0 for js
    personal: frozenset[str] = frozenset()  # candidates that this device's own measurements moved


@dataclass(frozen=True)
class DecisionRow:
    """One context of the decision table."""

    kernel: Kernel
    size: int
    context: Context
    predictions: Predictions


@dataclass
class Model:
    """An immutable predictor; `artefact` is what it was read from and what it writes."""

    artefact: Artefact
    _kernel_part: dict[str, Floats] = field(default_factory=dict, repr=False)
    _variant_part: dict[tuple[str, str, frozenset[str]], Floats] = field(default_factory=dict, repr=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """Read an artefact; raise ModelError on a wrong shape, size, name or a number that is not finite."""
        return cls(unpack(data))

    def to_bytes(self) -> bytes:
        """The canonical artefact, uncompressed."""
        return pack(self.artefact)

    @property
    def version(self) -> int:
        return self.artefact.version

    @property
    def clip(self) -> float:
        """Half-width of the residuals that reports against this version carry."""
        return self.artefact.clip

    def predict(
        self, kernel: Kernel, context: Context, environment: Environment, candidates: Sequence[str]
    ) -> Predictions:
        """ln speedup and sd of each candidate in one context; `js` is exactly 0 with sd 0.

        A size between two of the catalogue is interpolated linearly in log2 size.
        """
        lower, upper, weight = self._neighbours(kernel, context)
        mean, sd = self._context(kernel, lower, environment, candidates)
        if weight:
            mean_up, sd_up = self._context(kernel, upper, environment, candidates)
            mean = (1 - weight) * mean + weight * mean_up
            sd = np.maximum(sd, sd_up)
        return Predictions(tuple(candidates), mean, sd)

    def predict_table(self, kernels: Sequence[Kernel], environment: Environment) -> list[DecisionRow]:
        """Every context of the catalogue for one environment, in one vectorised pass."""
        features = environment.features
        contexts: dict[Context, int] = {}
        names: dict[str, int] = {}
        rows: list[tuple[Kernel, int, Context, tuple[str, ...]]] = []
        columns: list[tuple[int, int, int]] = []
        for number, kernel in enumerate(kernels):
            candidates = kernel.candidates(features)
            indices = [names.setdefault(name, len(names)) for name in candidates]
            for size, _pattern, _copied, context in kernel.contexts():
                where = contexts.setdefault(context, len(contexts))
                rows.append((kernel, size, context, candidates))
                columns.extend((number, where, name) for name in indices)
        index = np.array(columns, dtype=np.int64).reshape(-1, 3)
        frame = Frame(
            list(kernels), list(contexts), [environment], list(names),
            index[:, 0], index[:, 1], np.zeros(len(index), dtype=np.int64), index[:, 2],
        )  # fmt: skip
        mean, sd = self.predict_frame(frame)
        table, at = [], 0
        for kernel, size, context, candidates in rows:
            part = slice(at, at + len(candidates))
            table.append(DecisionRow(kernel, size, context, Predictions(candidates, mean[part], sd[part])))
            at += len(candidates)
        return table

    def predict_frame(self, frame: Frame) -> tuple[Floats, Floats]:
        """Mean and sd of every row of a frame: two arrays (n,)."""
        wide, variance = self.wide(frame)
        mean = self.deep(frame) + wide
        script = np.array([name == BASELINE for name in frame.candidates], dtype=bool)[frame.candidate]
        return np.where(script, 0.0, mean), np.where(script, 0.0, np.sqrt(variance))

    # The deep part: the first layer is additive over entities, so each entity's share is computed once.

    def deep(self, frame: Frame) -> Floats:
        """The deep part's ln speedup of every row, (n,)."""
        a = self.artefact.arrays
        supported = [environment.features for environment in frame.environments]
        kinds = sorted(set(supported), key=sorted)
        kind = np.array([kinds.index(features) for features in supported], dtype=np.int64)[frame.environment]
        width = len(frame.candidates)
        pair = (frame.kernel * width + frame.candidate) * len(kinds) + kind
        order, inverse = np.unique(pair, return_inverse=True)
        variants = [
            self._variant_share(
                frame.kernels[int(p) // len(kinds) // width],
                frame.candidates[int(p) // len(kinds) % width],
                kinds[int(p) % len(kinds)],
            )
            for p in order
        ]
        hidden = np.array(variants).reshape(-1, len(a["bias1"]))[inverse]  # (n, h1)
        hidden += np.array([self._kernel_share(kernel) for kernel in frame.kernels])[frame.kernel]
        hidden += np.array([self._context_share(context) for context in frame.contexts])[frame.context]
        hidden += np.array([self._environment_share(e) for e in frame.environments])[frame.environment]
        return self._upper(hidden)

    def _upper(self, hidden: Floats) -> Floats:
        a = self.artefact.arrays
        second = np.maximum(np.maximum(hidden, 0) @ a["weight2"] + a["bias2"], 0)  # (n, h2)
        return np.clip(second @ a["weight3"] + a["bias3"], *a["range"])  # (n,)

    def _share(self, name: str, vector: Sequence[float]) -> Floats:
        a = self.artefact.arrays
        return np.asarray(((np.array(vector) - a[f"{name}.mean"]) * a[f"{name}.scale"]) @ a[f"{name}.weight"])

    def _embedded(self, name: str, entry: int) -> Floats | float:
        """The embedding's share of the first layer; an unknown entry adds nothing."""
        a = self.artefact.arrays
        return np.asarray(a[f"{name}.embedding"][entry] @ a[f"{name}.project"]) if entry >= 0 else 0.0

    def _kernel_share(self, kernel: Kernel) -> Floats:
        if kernel.signature not in self._kernel_part:
            entry = self._index["kernel"].get(kernel.signature, -1)
            share = self._share("kernel", self.features.kernel_vector(kernel)) + self._embedded(
                "kernel", entry
            )
            self._kernel_part[kernel.signature] = np.asarray(share)
        return self._kernel_part[kernel.signature]

    def _variant_share(self, kernel: Kernel, candidate: str, supported: frozenset[str]) -> Floats:
        key = kernel.signature, candidate, supported
        if key not in self._variant_part:
            vector = self.features.variant_vector(kernel, candidate, supported)
            entry = self._index["candidate"].get(candidate, -1)
            share = self._share("variant", vector) + self._embedded("candidate", entry)
            self._variant_part[key] = np.asarray(share)
        return self._variant_part[key]

    def _context_share(self, context: Context) -> Floats:
        share = self._share("context", self.features.context_vector(context))
        return np.asarray(share + self._embedded("size", context.log2_size) + self.artefact.arrays["bias1"])

    def _environment_share(self, environment: Environment) -> Floats:
        entry = self._index["engine"].get(engine_key(environment), -1)
        share = self._share("environment", self.features.environment_vector(environment))
        return np.asarray(share + self._embedded("engine", entry))

    # The wide part: every row's keys in every table, looked up at once.

    def wide(self, frame: Frame) -> tuple[Floats, Floats]:
        """The wide part's value and the whole prediction's variance, (n,) each."""
        keys = table_keys(self.codes(frame), self.artefact.crosses)  # (tables, n)
        return self._sum(keys)

    def _sum(self, keys: Ints) -> tuple[Floats, Floats]:
        lookup = self.artefact.lookup
        at = np.minimum(np.searchsorted(lookup.keys, keys), len(lookup.keys) - 1)
        found = lookup.keys[at] == keys
        value = np.where(found, lookup.values[at], 0.0).sum(axis=0)
        own = np.where(found, lookup.variances[at], self.artefact.arrays["spread2"][:, None])
        return value, self._variance(own, found)

    def _variance(self, own: Floats, found: NDArray[np.bool_]) -> Floats:
        """Prior variances of the rows that are missing; a measured cell has its own posterior instead."""
        a = self.artefact.arrays
        unknown = ~found[self.artefact.kernel_row]
        spread = np.where(found[:-1], 0.0, own[:-1]).sum(axis=0) + np.where(unknown, a["unknown2"], 0.0)
        floor = a["floor2"]
        return np.asarray(np.where(found[-1], own[-1], spread + own[-1]) + floor)

    def codes(self, frame: Frame) -> dict[str, Ints]:
        """Vocabulary entries of every row by field, each (n,); −1 where unknown."""
        index = self._index
        return {
            "kernel": _entries(index["kernel"], [k.signature for k in frame.kernels], frame.kernel),
            "pattern": _entries(index["pattern"], [c.pattern for c in frame.contexts], frame.context),
            "size": np.array([c.log2_size for c in frame.contexts], dtype=np.int64)[frame.context],
            "environment": _entries(
                index["environment"], [environment_key(e) for e in frame.environments], frame.environment
            ),
            "engine": _entries(
                index["engine"], [engine_key(e) for e in frame.environments], frame.environment
            ),
            "candidate": _entries(index["candidate"], list(frame.candidates), frame.candidate),
        }

    @cached_property
    def features(self) -> Features:
        """Names of the static features that the deep part reads."""
        return self.artefact.features

    @cached_property
    def _index(self) -> Mapping[str, Mapping[str, int]]:
        return {
            name: {word: i for i, word in enumerate(words)}
            for name, words in self.artefact.vocabulary.items()
        }

    def _context(
        self, kernel: Kernel, context: Context, environment: Environment, candidates: Sequence[str]
    ) -> tuple[Floats, Floats]:
        index = self._index
        count = len(candidates)
        codes = {
            "kernel": index["kernel"].get(kernel.signature, -1),
            "pattern": index["pattern"].get(context.pattern, -1),
            "size": context.log2_size,
            "environment": index["environment"].get(environment_key(environment), -1),
            "engine": index["engine"].get(engine_key(environment), -1),
        }
        names = index["candidate"]
        columns = {name: np.full(count, code, dtype=np.int64) for name, code in codes.items()}
        columns["candidate"] = np.array([names.get(name, -1) for name in candidates], dtype=np.int64)
        wide, variance = self._sum(table_keys(columns, self.artefact.crosses))
        features = environment.features
        hidden = np.array([self._variant_share(kernel, name, features) for name in candidates])
        hidden += (
            self._kernel_share(kernel) + self._context_share(context) + self._environment_share(environment)
        )
        script = np.array([name == BASELINE for name in candidates])
        return (
            np.where(script, 0.0, self._upper(hidden) + wide),
            np.where(script, 0.0, np.sqrt(variance)),
        )

    def _neighbours(self, kernel: Kernel, context: Context) -> tuple[Context, Context, float]:
        """The catalogue's contexts around one, and the weight of the upper."""
        known = [c for _s, _p, _c, c in kernel.contexts() if c.pattern == context.pattern]
        sizes = sorted({c.log2_size for c in known})
        if not sizes or context.log2_size in sizes:
            return context, context, 0.0
        low = max((s for s in sizes if s < context.log2_size), default=sizes[0])
        high = min((s for s in sizes if s > context.log2_size), default=sizes[-1])
        weight = (context.log2_size - low) / (high - low) if high > low else 0.0
        lower, upper = (Context(s, context.dtype, context.pattern) for s in (low, high))
        return lower, upper, weight


def _entries(index: Mapping[str, int], words: Sequence[str], column: Ints) -> Ints:
    return np.array([index.get(word, -1) for word in words], dtype=np.int64)[column]


def table_keys(codes: Mapping[str, Ints], crosses: Sequence[Sequence[str]]) -> Ints:
    """The packed key of every row in every table, (tables, n); −1 where a field is unknown."""
    shifted = {name: (column + 1) << SHIFTS[name] for name, column in codes.items()}
    known = {name: column >= 0 for name, column in codes.items()}
    keys = np.empty((len(crosses), len(codes["kernel"])), dtype=np.int64)
    for number, cross in enumerate(crosses):
        key = shifted[cross[0]]
        valid = known[cross[0]]
        for name in cross[1:]:
            key = key | shifted[name]
            valid = valid & known[name]
        keys[number] = np.where(valid, key | (number << TABLE_SHIFT), -1)
    return keys
