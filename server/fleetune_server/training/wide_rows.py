"""From a kernel's posterior to wide rows: every context and candidate, for any engine, each family, each
engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleetune.artefact import SD_BASE, SMOOTH, VALUE_STEP
from fleetune.context import Context, Environment
from fleetune.covariance import NONE, Points
from fleetune.features import Floats, Frame, Ints, engine_key, family_key
from fleetune.manifest import Kernel
from fleetune.model import table_keys
from fleetune.trees import TreePart
from fleetune_server.training.rows import Rows
from fleetune_server.training.smooth import Posterior, call_of
from fleetune_server.training.unseen import Correction, Sizes

ENVIRONMENT_VARIANCE = 0.05**2  # of one environment's cell around its engine's
NEGLIGIBLE = 2  # steps of sd below which a finer row that says nothing new is left out
STICKY = 1.2  # quantisation steps that a row must move before its code changes,
HELD = 1.0  # or deviations of its own and of the environments that it speaks for: less is nothing new


@dataclass(frozen=True)
class WideRows:
    """Wide rows ready to be written, (n,) each: packed key, value code, variance, contrast variance."""

    keys: Ints
    value: Ints
    variance: Floats
    contrast: Floats

    @classmethod
    def join(cls, parts: Sequence[WideRows]) -> WideRows:
        return cls(
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.variance for part in parts]),
            np.concatenate([part.contrast for part in parts]),
        )


@dataclass(frozen=True)
class Smooth:
    """The smooth part: its rows, and what they would say if no number were rounded or kept from before."""

    rows: WideRows
    keys: Ints  # (m,) ascending packed keys of the finest level, of rows that were left out too
    exact: Floats  # (m,) ln speedup there
    inflation: Floats  # (kernels of the vocabulary,) of variances

    def at(self, keys: Ints) -> tuple[Floats, Floats]:
        """Exactly, and as the rows say it, in the cells with these packed keys (tables, n): (n,) each."""
        told = looked_up(self.rows, keys)
        at = np.minimum(np.searchsorted(self.keys, keys[-1]), len(self.keys) - 1)
        return np.where(self.keys[at] == keys[-1], self.exact[at], told), told


@dataclass(frozen=True)
class Engines:
    """Engines and families of a frame and of the previous model, by vocabulary order."""

    engines: Sequence[str]
    families: Sequence[str]

    def family_of(self, engine: int) -> int:
        """The family index of an engine: `chromium 11` is of `chromium`."""
        return self.families.index(self.engines[engine].rsplit(" ", 1)[0].removesuffix("-baseline"))


def collapsed(
    frame: Frame, rows: Ints, target: Floats, variance: Floats, engines: Engines, candidates: Sequence[str]
) -> tuple[Points, Floats, Floats]:
    """One kernel's rows by (context, engine, candidate), environments of an engine averaged by precision."""
    engine_index = {name: i for i, name in enumerate(engines.engines)}
    family_index = {name: i for i, name in enumerate(engines.families)}
    engine_of = [engine_index.get(engine_key(e), NONE) for e in frame.environments]
    family_of = [family_index.get(family_key(e), NONE) for e in frame.environments]
    index = {name: i for i, name in enumerate(candidates)}
    candidate_of = np.array([index.get(name, -1) for name in frame.candidates])
    engine = np.array(engine_of)[frame.environment[rows]]
    family = np.array(family_of)[frame.environment[rows]]
    candidate = candidate_of[frame.candidate[rows]]
    used, context = np.unique(frame.context[rows], return_inverse=True)
    place = (context * len(candidates) + candidate) * len(engines.engines) + engine
    _, first, group = np.unique(place, return_index=True, return_inverse=True)
    # How far environments differ decides how they are averaged, but not how surely the engine is known:
    # else a second environment, however vaguely measured, would blur what the first has shown.
    weight = 1 / (variance[rows] + ENVIRONMENT_VARIANCE)
    mean = np.bincount(group, weight * target[rows]) / np.bincount(group, weight)
    total = np.bincount(group, 1 / variance[rows])
    contexts = [frame.contexts[i] for i in used]
    points = Points(contexts, candidates, context[first], candidate[first], engine[first], family[first])
    return points, mean, 1 / total


@dataclass(frozen=True)
class Grid:
    """All cells of one kernel: for any engine, each family, each engine that can run the candidate, (n,) each."""

    asked: Points
    keys: Ints
    mean: Floats
    variance: Floats
    contrast: Floats
    sizes: Sizes  # what corrects the contexts of calls that nobody measured

    @classmethod
    def of(
        cls,
        kernel: Kernel,
        posterior: Posterior,
        offset: Callable[[Sequence[tuple[Context, str]]], Floats],
        engines: Engines,
        vocabulary: Mapping[str, Sequence[str]],
    ) -> Grid:
        """`offset` is the mean that the posterior was conditioned around."""
        points = posterior.points
        contexts = list(points.contexts)
        wanted = list(dict.fromkeys([*(c for _, _, _, c in kernel.contexts()), *contexts]))
        contexts += [context for context in wanted if context not in set(contexts)]
        where = {context: i for i, context in enumerate(contexts)}
        levels = [(NONE, NONE), *((NONE, f) for f in range(len(engines.families)))]
        levels += [(e, engines.family_of(e)) for e in range(len(engines.engines))]
        features = [_features(name) for name in engines.engines]
        cells = [
            (where[context], candidate, engine, family)
            for engine, family in levels
            for context in wanted
            for candidate, name in enumerate(points.candidates)
            if engine == NONE
            or name not in kernel.variants
            or kernel.variants[name].features <= features[engine]
        ]
        context, candidate, engine, family = np.array(cells, dtype=np.int64).T
        asked = Points(contexts, points.candidates, context, candidate, engine, family)
        measured = replace(points, contexts=contexts)
        mean, variance, contrast = replace(posterior, points=measured).at(asked)
        pairs, of_pair = np.unique(np.stack([context, candidate]), axis=1, return_inverse=True)
        told = offset([(contexts[c], points.candidates[v]) for c, v in pairs.T.tolist()])
        mean = mean + told[of_pair.reshape(-1)]
        calls = {call_of(points.contexts[c]) for c in np.unique(points.context)}
        any_engine = _level(asked) == 0
        table = np.zeros((len(contexts), len(points.candidates)))
        table[context[any_engine], candidate[any_engine]] = mean[any_engine]
        sizes = Sizes(kernel, measured, table, np.array([call_of(c) in calls for c in contexts]))
        return cls(asked, _keys(kernel, asked, engines, vocabulary), mean, variance, contrast, sizes)

    def corrected(self, correction: Correction, inflation: float) -> Grid:
        """With what other sizes tell of calls that nobody measured; `inflation` will multiply all variances."""
        added = correction.table(self.sizes)[self.asked.context, self.asked.candidate]
        scale = np.where(self.sizes.measured[self.asked.context], 1.0, correction.scale / inflation)
        return replace(
            self, mean=self.mean + added, variance=self.variance * scale, contrast=self.contrast * scale
        )

    def rows(self, previous: Mapping[int, int]) -> tuple[WideRows, Ints, Floats]:
        """As wide rows; and keys and exact values of the finest level. `previous`: the old value codes by key."""
        kept, codes = _coded(self.asked, self.keys, self.mean, self.variance, previous)
        finest = _level(self.asked) == len(SMOOTH) - 1
        rows = WideRows(self.keys[kept], codes, self.variance[kept], self.contrast[kept])
        return rows, self.keys[finest], self.mean[finest]


def _keys(kernel: Kernel, asked: Points, engines: Engines, vocabulary: Mapping[str, Sequence[str]]) -> Ints:
    """The packed key of every point, in the table of its level."""
    index = {name: {word: i for i, word in enumerate(words)} for name, words in vocabulary.items()}
    patterns = np.array([index["pattern"].get(c.pattern, -1) for c in asked.contexts], dtype=np.int64)
    sizes = np.array([c.log2_size for c in asked.contexts], dtype=np.int64)
    names = np.array([index["candidate"][name] for name in asked.candidates], dtype=np.int64)
    by_engine = np.array([index["engine"][name] for name in engines.engines], dtype=np.int64)
    by_family = np.array([index["family"][name] for name in engines.families], dtype=np.int64)
    codes = {
        "kernel": np.full(len(asked), index["kernel"][kernel.signature], dtype=np.int64),
        "pattern": patterns[asked.context],
        "size": sizes[asked.context],
        "engine": by_engine[asked.engine],  # not used where the engine is NONE
        "family": by_family[asked.family],
        "candidate": names[asked.candidate],
    }
    return np.asarray(np.take_along_axis(table_keys(codes, SMOOTH), _level(asked)[None, :], axis=0)[0])


def _level(asked: Points) -> Ints:
    """0: any engine, 1: a family, 2: an engine."""
    return np.where(asked.engine != NONE, 2, np.where(asked.family != NONE, 1, 0)).astype(np.int64)


def _coded(
    asked: Points, keys: Ints, mean: Floats, variance: Floats, previous: Mapping[int, int]
) -> tuple[Ints, Ints]:
    """Which points become rows, and their values relative to the next coarser row, as codes.

    A finer row that says nothing new is left out.
    """
    level = _level(asked)
    sd = np.log(variance) / 2 / np.log(SD_BASE)
    told: dict[tuple[int, int, int], tuple[float, float]] = {}  # by context, candidate, family (NONE: any)
    kept, codes = [], []
    # What an environment that was measured is exactly, its own rows say.
    held = np.maximum(STICKY, HELD * np.sqrt(variance + ENVIRONMENT_VARIANCE) / VALUE_STEP)
    columns = (level, asked.context, asked.candidate, asked.family, keys, mean / VALUE_STEP, sd, held)
    numbers = zip(*(x.tolist() for x in columns), strict=True)
    for i, (depth, c, v, f, key, exact, own, most) in enumerate(numbers):
        base, above = (
            (0.0, 0.0) if depth == 0 else told.get((c, v, f if depth == 2 else NONE), told[c, v, NONE])
        )
        step = exact - base
        old = previous.get(key)
        code = old if old is not None and abs(old - step) <= most else max(-32767, min(32767, round(step)))
        if depth and old is None and code == 0 and abs(above - own) < NEGLIGIBLE:
            continue
        if depth < 2:
            told[c, v, f] = base + code, own
        kept.append(i)
        codes.append(code)
    return np.array(kept, dtype=np.int64), np.array(codes, dtype=np.int64)


def _features(engine: str) -> frozenset[str]:
    """The features that an engine's key tells: `firefox 10` has SIMD and not relaxed SIMD."""
    flags = engine.rsplit(" ", 1)[1]
    names = ("simd", "relaxedSimd")
    return frozenset(("threads", *(name for name, flag in zip(names, flags, strict=True) if flag == "1")))


def smooth_rows(
    rows: Rows, prior: TreePart, vocabulary: Mapping[str, Sequence[str]], previous: Mapping[int, int]
) -> Smooth:
    """The smooth part of all kernels that were measured.

    Each kernel's process is conditioned around the overall mean or around the prior's predictions,
    whichever explains its rows better; a job's around 0. The inflation is kept apart: then the rows of a
    kernel that was measured again say the same as before about their variances.
    """
    frame = rows.frame
    engines = Engines(vocabulary["engine"], vocabulary["family"])
    job = np.array([kernel.job for kernel in frame.kernels], dtype=bool)
    ordinary = ~job[frame.kernel]
    overall = float(rows.target[ordinary].mean()) if ordinary.any() else 0.0
    present = [frame.environments[i] for i in np.unique(frame.environment)]
    reference = max(present, key=lambda e: len(e.features))
    # One engine's prior for all of them: rows of every engine are corrections of the same rows above them.
    everywhere = np.full(len(frame), frame.environments.index(reference))
    unmeasured = prior.rows(replace(frame, environment=everywhere))
    grids: dict[str, Grid] = {}
    errors: dict[str, tuple[Floats, Floats]] = {}
    inflation = np.ones(len(vocabulary["kernel"]))
    place = {signature: i for i, signature in enumerate(vocabulary["kernel"])}
    for number in np.unique(frame.kernel):
        kernel = frame.kernels[number]
        mine = np.flatnonzero(frame.kernel == number)
        seen = {frame.candidates[i] for i in np.unique(frame.candidate[mine])}
        names = tuple(sorted(seen | set(kernel.variants)))
        points, mean, variance = collapsed(frame, mine, rows.target, rows.variance, engines, names)
        _, expected, _ = collapsed(frame, mine, unmeasured, rows.variance, engines, names)
        plain = Posterior.of(points, mean - overall, variance)
        posterior, offset = plain, _constant(overall)
        if kernel.job or plain.surprise(mean - overall) > plain.surprise(mean - expected):
            posterior = plain.given(mean - expected)
            offset = _from(prior, kernel, reference)
        grids[kernel.signature] = Grid.of(kernel, posterior, offset, engines, vocabulary)
        inflation[place[kernel.signature]] = posterior.inflation
        if not kernel.job:
            errors[kernel.signature] = posterior.calls_left_out()
    if not all(grids[signature].sizes.measured.all() for signature in errors):
        sizes = [grids[signature].sizes for signature in errors]
        correction = Correction.of(sizes, list(errors.values()), prior.artefact.features, reference)
        for signature in errors:
            grids[signature] = grids[signature].corrected(correction, inflation[place[signature]])
    rows_of, keys, exact = zip(*(grid.rows(previous) for grid in grids.values()), strict=True)
    order = np.argsort(joined := np.concatenate(keys))
    return Smooth(WideRows.join(rows_of), joined[order], np.concatenate(exact)[order], inflation)


def _constant(value: float) -> Callable[[Sequence[tuple[Context, str]]], Floats]:
    return lambda pairs: np.full(len(pairs), value)


def _from(
    prior: TreePart, kernel: Kernel, environment: Environment
) -> Callable[[Sequence[tuple[Context, str]]], Floats]:
    return lambda pairs: prior.rows(Frame.of((kernel, context, environment, name) for context, name in pairs))


def looked_up(rows: WideRows, keys: Ints) -> Floats:
    """Sum of the values of these packed keys (tables, n), as a browser will look them up: (n,)."""
    order = np.argsort(rows.keys, kind="stable")
    known = rows.keys[order]
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    value = rows.value[order][at] * VALUE_STEP
    return np.asarray(np.where(known[at] == keys, value, 0.0).sum(axis=0))
