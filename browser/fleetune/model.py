"""The predictor: ln speedup over JavaScript of every candidate, with its uncertainty.

mean = Σ wide rows, or prior(features) where no row is known. The prior (boosted trees over static
features) answers for what has never been measured. The wide part is a hierarchy of random effects, from
kernel × candidate down to the single cell, each a sparse table: an unknown row contributes 0 and its own
prior variance, so the model grows by rows and old rows stay as they are. After Cheng et al., "Wide & Deep
Learning" (2016).

Everything is computed from the quantised artefact (`artefact.py`), so server and browser agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleetune.artefact import SHIFTS, SMOOTH, TABLE_SHIFT, Artefact, ModelError, pack, unpack
from fleetune.context import Context, Environment
from fleetune.features import Floats, Frame, Ints, engine_key, environment_key, family_key
from fleetune.forward import DeepPart
from fleetune.manifest import BASELINE, Kernel
from fleetune.places import Places
from fleetune.trees import TreePart, without_jobs

__all__ = ["CROSSES", "DecisionRow", "Model", "ModelError", "Predictions"]

# Beside the smooth part: how one environment differs from its engine. Coarse to fine, the last is the cell.
CROSSES = (
    *SMOOTH,
    ("environment", "candidate"),
    ("kernel", "environment"),
    ("kernel", "environment", "candidate"),
    ("kernel", "pattern", "environment", "candidate"),
    ("kernel", "pattern", "size", "environment"),
    ("kernel", "pattern", "size", "environment", "candidate"),
)

UPDATE_SD = 0.03  # ln speedup by which one browser version usually differs from the one before


@dataclass(frozen=True)
class Predictions:
    """Natural log of the speedup over `js` and its standard deviation, aligned with `candidates`."""

    candidates: tuple[str, ...]
    mean: Floats  # (candidates,)
    sd: Floats  # (candidates,); 0 for js
    personal: frozenset[str] = frozenset()  # candidates that this device's own measurements moved
    # (candidates,) sd against each other: without what all candidates of a context share; default: as `sd`
    contrast: Floats | None = None
    unknown: bool = False  # a job of which nobody has reported anything: the figures mean nothing


@dataclass(frozen=True)
class DecisionRow:
    """One context of the decision table."""

    kernel: Kernel
    size: int
    context: Context
    predictions: Predictions


class Answer(NamedTuple):
    """Predictions of many rows, (n,) each: ln speedup, its sd, and the sd without what a context shares."""

    mean: Floats
    sd: Floats
    contrast: Floats


class Model:
    """An immutable predictor; `artefact` is what it was read from and what it writes."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact

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
        """The usual half-width of the residuals that reports against this version carry."""
        return self.artefact.clip

    def clip_at(self, kernel: Kernel, environment: Environment) -> float:
        """The half-width for reports about a kernel in an environment: wide where little is known."""
        return self.places.clip(kernel.signature, environment)

    def clips(self, frame: Frame) -> Floats:
        """`clip_at` of every row of a frame, (n,)."""
        table = [[self.clip_at(kernel, e) for e in frame.environments] for kernel in frame.kernels]
        return np.array(table).reshape(len(frame.kernels), -1)[frame.kernel, frame.environment]

    @cached_property
    def places(self) -> Places:
        """Which rows speak for a kernel in an environment."""
        return Places(self.artefact)

    @cached_property
    def prior(self) -> TreePart | DeepPart:
        """The part that answers for kernels never measured: trees, in older models a network."""
        if "trees.leaf" in self.artefact.stored:
            return TreePart(self.artefact)
        return DeepPart(self.artefact, self._index)

    def predict(
        self,
        kernel: Kernel,
        context: Context,
        environment: Environment,
        candidates: Sequence[str],
        reference_ns: float | None = None,
    ) -> Predictions:
        """ln speedup and sd of each candidate in one context; `js` is exactly 0 with sd 0.

        A size between two of the catalogue is interpolated linearly in log2 size. Where the kernel was never
        measured by anyone, the reference's own time here (ns a call), if it is known, tells more.
        """
        if reference_ns and self.asks_for_time(kernel):
            frame = Frame.of((kernel, context, environment, name) for name in candidates)
            timed = self.predict_frame(frame, np.full(len(frame), reference_ns))
            return Predictions(tuple(candidates), timed.mean, timed.sd, contrast=timed.contrast)
        lower, upper, weight = _neighbours(kernel, context)
        answer = self._context(kernel, lower, environment, candidates)
        if weight:
            above = self._context(kernel, upper, environment, candidates)
            answer = Answer(
                (1 - weight) * answer.mean + weight * above.mean,
                np.maximum(answer.sd, above.sd),
                np.maximum(answer.contrast, above.contrast),
            )
        unknown = self.knows_nothing_of(kernel)
        return Predictions(
            tuple(candidates), answer.mean, answer.sd, contrast=answer.contrast, unknown=unknown
        )

    def knows_nothing_of(self, kernel: Kernel) -> bool:
        """Whether this is a job without reports: it has no profile that could say anything of it."""
        return kernel.job and kernel.signature not in self._index["kernel"]

    def asks_for_time(self, kernel: Kernel) -> bool:
        """Whether the reference's time would tell more of this kernel: nobody has measured it."""
        unmeasured = kernel.signature not in self._index["kernel"]
        return unmeasured and not kernel.job and "timed.leaf" in self.artefact.stored

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
        mean, sd, contrast = self.predict_frame(frame)
        table, at = [], 0
        for kernel, size, context, candidates in rows:
            part = slice(at, at + len(candidates))
            predictions = Predictions(
                candidates,
                mean[part],
                sd[part],
                contrast=contrast[part],
                unknown=self.knows_nothing_of(kernel),
            )
            table.append(DecisionRow(kernel, size, context, predictions))
            at += len(candidates)
        return table

    def predict_frame(self, frame: Frame, reference_ns: Floats | None = None) -> Answer:
        """Mean, sd and contrast of every row of a frame. `reference_ns` (n,): the reference's time there, NaN
        where it is not known; only kernels that nobody has measured ask for it."""
        codes = self.codes(frame)
        place, of_place = np.unique(np.stack([frame.kernel, frame.environment]), axis=1, return_inverse=True)
        pairs = [(frame.kernels[k].signature, frame.environments[e]) for k, e in place.T.tolist()]
        speaks = np.array([self.places.environment(*pair) for pair in pairs], dtype=np.int64)
        inherited = np.array([self.places.inherits(*pair) for pair in pairs], dtype=bool)
        codes["environment"] = speaks[of_place]
        value, variance, contrast, known = self._sum(table_keys(codes, self.artefact.crosses))
        variance, contrast = (v + UPDATE_SD**2 * inherited[of_place] for v in (variance, contrast))
        timed = np.zeros(len(frame), dtype=bool)
        if reference_ns is not None:
            asks = np.array([self.asks_for_time(kernel) for kernel in frame.kernels], dtype=bool)
            timed = ~known & asks[frame.kernel] & (np.nan_to_num(reference_ns) > 0)
        untimed = ~known & ~timed
        if untimed.any():
            value[untimed] += without_jobs(frame.take(untimed), self.prior.rows)
        if reference_ns is not None and timed.any():
            a = self.artefact.arrays
            value[timed] += TreePart(self.artefact).timed_rows(frame.take(timed), reference_ns[timed])
            variance[timed] += a["timed_unknown2"] - a["unknown2"]
            contrast[timed] += a["timed_unknown_contrast2"] - a["unknown_contrast2"]
        script = np.array([name == BASELINE for name in frame.candidates], dtype=bool)[frame.candidate]
        value[script] = variance[script] = contrast[script] = 0.0
        return Answer(value, np.sqrt(variance), np.sqrt(contrast))

    def _context(
        self, kernel: Kernel, context: Context, environment: Environment, candidates: Sequence[str]
    ) -> Answer:
        index = self._index
        count = len(candidates)
        codes = {
            "kernel": index["kernel"].get(kernel.signature, -1),
            "pattern": index["pattern"].get(context.pattern, -1),
            "size": context.log2_size,
            "environment": self.places.environment(kernel.signature, environment),
            "engine": index["engine"].get(engine_key(environment), -1),
            "family": index["family"].get(family_key(environment), -1),
        }
        names = index["candidate"]
        columns = {name: np.full(count, code, dtype=np.int64) for name, code in codes.items()}
        columns["candidate"] = np.array([names.get(name, -1) for name in candidates], dtype=np.int64)
        value, variance, contrast, known = self._sum(table_keys(columns, self.artefact.crosses))
        if self.places.inherits(kernel.signature, environment):
            variance, contrast = variance + UPDATE_SD**2, contrast + UPDATE_SD**2
        if not known.all() and not kernel.job:
            value[~known] += self.prior.context(kernel, context, environment, candidates)[~known]
        script = np.array([name == BASELINE for name in candidates])
        value[script] = variance[script] = contrast[script] = 0.0
        return Answer(value, np.sqrt(variance), np.sqrt(contrast))

    def _sum(self, keys: Ints) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
        """Sum of the wide rows, variance, contrast variance, and whether the kernel's cell is known: (n,)
        each."""
        lookup, a = self.artefact.lookup, self.artefact.arrays
        at = np.minimum(np.searchsorted(lookup.keys, keys), len(lookup.keys) - 1)
        found = lookup.keys[at] == keys  # (tables, n)
        value = np.where(found, lookup.values[at], 0.0).sum(axis=0)
        known = found[0]
        variance = np.where(known, 0.0, a["unknown2"])
        contrast = np.where(known, 0.0, a["unknown_contrast2"])
        for level in range(len(SMOOTH)):  # the finest row found knows best
            variance = np.where(found[level], lookup.variances[at[level]], variance)
            contrast = np.where(found[level], lookup.contrasts[at[level]], contrast)
        spread = a["spread2"][:, None]
        own = np.where(found[-1], lookup.variances[at[-1]], spread[-1])
        rest = np.where(found[-1], 0.0, np.where(found, 0.0, spread)[len(SMOOTH) : -1].sum(axis=0))
        differs = ["candidate" in cross for cross in self.artefact.crosses[len(SMOOTH) : -1]]
        apart = np.where(found, 0.0, spread)[len(SMOOTH) : -1][differs].sum(axis=0)
        floor = a["floor2"]
        return (
            value,
            variance + rest + own + floor,
            contrast + np.where(found[-1], 0.0, apart) + own + floor,
            known,
        )

    def codes(self, frame: Frame) -> dict[str, Ints]:
        """Vocabulary entries of every row by field, each (n,); −1 where unknown."""
        return codes_of(frame, self._index)

    @cached_property
    def _index(self) -> Mapping[str, Mapping[str, int]]:
        return {
            name: {word: i for i, word in enumerate(words)}
            for name, words in self.artefact.vocabulary.items()
        }


def codes_of(frame: Frame, index: Mapping[str, Mapping[str, int]]) -> dict[str, Ints]:
    """The vocabulary entry of every row by field, (n,) each; −1 where unknown."""

    def column(name: str, words: Sequence[str], rows: Ints) -> Ints:
        return np.array([index[name].get(word, -1) for word in words], dtype=np.int64)[rows]

    environments = frame.environments
    return {
        "kernel": column("kernel", [k.signature for k in frame.kernels], frame.kernel),
        "pattern": column("pattern", [c.pattern for c in frame.contexts], frame.context),
        "size": np.array([c.log2_size for c in frame.contexts], dtype=np.int64)[frame.context],
        "environment": column("environment", [environment_key(e) for e in environments], frame.environment),
        "engine": column("engine", [engine_key(e) for e in environments], frame.environment),
        "family": column("family", [family_key(e) for e in environments], frame.environment),
        "candidate": column("candidate", list(frame.candidates), frame.candidate),
    }


def _neighbours(kernel: Kernel, context: Context) -> tuple[Context, Context, float]:
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
