"""The on-device layer: what this device measured corrects the public model. It never leaves the device.

The residuals (measured − predicted ln speedup) are shared out by the model's own hierarchy: device bias,
kernel, candidate, context and cell effects, Gaussian, each with the variance that the model still has
there (its prior variances for an engine or kernel that it does not know, small constants for one that it
does). The posterior is exact: with n observations one n × n solve (Rasmussen & Williams, Gaussian
Processes, 2006, eq. 2.25–2.26).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fleetune.context import Context, Environment
from fleetune.covariance import HYPER, OTHER_IN_FAMILY, Points, covariance
from fleetune.features import Floats, engine_key, environment_key, family_key
from fleetune.manifest import BASELINE, Kernel
from fleetune.model import Model, Predictions

MAX_OBSERVATIONS = 256  # the most recent cells; a solve of this size takes some 10 ms in a browser
NOISE = 0.01  # least relative error of a measurement
# How one device differs from the others of its environment: variances of ln speedup by what is shared.
DEVICE: Mapping[tuple[str, ...], float] = {
    (): 0.02**2,
    ("candidate",): 0.02**2,
    ("kernel",): 0.02**2,
    ("kernel", "candidate"): 0.03**2,
    ("kernel", "context"): 0.03**2,
    ("kernel", "context", "candidate"): 0.03**2,
}
EXACT = ("context", "cell")  # the smooth part's roughness
MOVED = 0.005  # ln speedup: a correction below this is not called personal


# ns a call of the JavaScript reference on this device, by kernel signature and context; None where unknown.
Reference = Callable[[str, Context], float | None]


class PersonalError(ValueError):
    """Stored observations that cannot be read."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One measured cell on this device."""

    signature: str
    context: Context
    candidate: str
    log_speedup: float
    spread: float


@dataclass
class PersonalLayer:
    """Observations of this device, and the correction that they imply for a given model.

    `bind` after loading and whenever the model changes: residuals are always against the current model.
    """

    _observations: dict[tuple[str, Context, str], Observation] = field(default_factory=dict)
    _bound: tuple[Model, Mapping[str, Kernel], Environment, Reference] | None = None
    _solved: _Posterior | None = None

    def observe(
        self, kernel: Kernel, context: Context, candidate: str, log_speedup: float, spread: float
    ) -> None:
        """Remember one measurement; the newest of a cell counts, and the newest MAX_OBSERVATIONS cells."""
        if candidate == BASELINE or not (math.isfinite(log_speedup) and math.isfinite(spread)):
            return
        key = kernel.signature, context, candidate
        self._observations.pop(key, None)
        self._observations[key] = Observation(*key, float(log_speedup), float(spread))
        while len(self._observations) > MAX_OBSERVATIONS:
            del self._observations[next(iter(self._observations))]
        self._solved = None

    def bind(
        self,
        model: Model,
        kernels: Mapping[str, Kernel],
        environment: Environment,
        reference: Reference = lambda _signature, _context: None,
    ) -> None:
        """Use this model (kernels by profileSignature) from now on. `reference`: ns a call of the reference
        here, where it is known; the predictions that are adjusted must have been asked with the same."""
        self._bound = model, kernels, environment, reference
        self._solved = None

    def forget(self) -> None:
        """Drop all observations."""
        self._observations.clear()
        self._solved = None

    def __len__(self) -> int:
        return len(self._observations)

    def adjust(
        self, signature: str, context: Context, candidates: Sequence[str], predictions: Predictions
    ) -> Predictions:
        """The predictions moved toward what this device measured, with what uncertainty is left; unchanged if
        nothing was measured. Raises PersonalError before `bind`."""
        if not self._observations:
            return predictions
        posterior = self._posterior()
        if posterior is None:
            return predictions
        shift, reduction = posterior.at(signature, context, candidates)
        script = np.array([name == BASELINE for name in candidates])
        shift = np.where(script, 0.0, shift)
        variance = np.maximum(predictions.sd**2 - reduction, np.minimum(predictions.sd, NOISE) ** 2)
        share = np.sqrt(variance) / np.maximum(predictions.sd, 1e-9)
        contrast = None if predictions.contrast is None else predictions.contrast * share
        moved = frozenset(n for n, s in zip(candidates, shift, strict=True) if abs(s) > MOVED)
        return replace(
            predictions,
            mean=predictions.mean + shift,
            sd=np.where(script, 0.0, np.sqrt(variance)),
            personal=predictions.personal | moved,
            contrast=contrast,
        )

    def to_json(self) -> list[list[Any]]:
        """The observations as JSON-able lists, oldest first."""
        return [
            [o.signature, o.context.to_wire(), o.candidate, o.log_speedup, o.spread]
            for o in self._observations.values()
        ]

    @classmethod
    def from_json(cls, stored: Any) -> PersonalLayer:
        """Read what `to_json` wrote; raise PersonalError on anything else."""
        layer = cls()
        try:
            for signature, context, candidate, log_speedup, spread in stored:
                key = str(signature), Context.from_wire(context), str(candidate)
                values = float(log_speedup), float(spread)
                if not all(math.isfinite(value) for value in values):
                    raise ValueError("a number is not finite")
                layer._observations[key] = Observation(*key, *values)
        except (TypeError, ValueError, KeyError) as error:
            raise PersonalError(f"stored measurements are unreadable: {error}") from error
        return layer

    def _posterior(self) -> _Posterior | None:
        if self._bound is None:
            raise PersonalError("bind a model before adjusting predictions")
        if self._solved is None:
            model, kernels, environment, reference = self._bound
            known = [o for o in self._observations.values() if o.signature in kernels]
            if known:
                self._solved = _Posterior.of(known, model, kernels, environment, reference)
        return self._solved


@dataclass(frozen=True)
class _Posterior:
    """The solution for one set of observations."""

    places: Sequence[tuple[str, Context, str]]
    prior: _Prior
    weights: Floats  # (n,) (K + R)⁻¹ residual
    inverse: Floats  # (n, n) (K + R)⁻¹

    @classmethod
    def of(
        cls,
        observations: Sequence[Observation],
        model: Model,
        kernels: Mapping[str, Kernel],
        environment: Environment,
        reference: Reference,
    ) -> _Posterior:
        places = [(o.signature, o.context, o.candidate) for o in observations]
        times = [reference(o.signature, o.context) for o in observations]
        predicted = [
            model.predict(kernels[o.signature], o.context, environment, (o.candidate,), time).mean[0]
            for o, time in zip(observations, times, strict=True)
        ]
        residual = np.array([o.log_speedup for o in observations]) - np.array(predicted)
        noise = np.array([max(o.spread, NOISE) ** 2 for o in observations])
        variances = model.artefact.arrays
        known = any(times) and "timed_unknown2" in variances
        prior = _Prior(
            prior_variances(model, environment),
            frozenset(kernels) - set(model.artefact.vocabulary["kernel"]),
            float(variances["timed_unknown2" if known else "unknown2"]),
            engine_terms(model, environment),
        )
        gram = prior.between(places, places) + np.diag(noise)
        inverse = np.asarray(np.linalg.inv(gram), dtype=np.float64)
        return cls(places, prior, inverse @ residual, inverse)

    def at(self, signature: str, context: Context, candidates: Sequence[str]) -> tuple[Floats, Floats]:
        """Posterior mean of the residual and the reduction of its variance, (candidates,) each."""
        cross = self.prior.between([(signature, context, name) for name in candidates], self.places)
        return cross @ self.weights, np.einsum("ij,jk,ik->i", cross, self.inverse, cross)


def prior_variances(model: Model, environment: Environment) -> dict[tuple[str, ...], float]:
    """How residuals on this device are spread, by what two cells must share, beside `engine_terms`.

    DEVICE plus the variance of every table of environments, if the model does not know this one.
    """
    components = dict(DEVICE)
    if environment_key(environment) not in model.artefact.vocabulary["environment"]:
        for cross, spread2 in zip(model.artefact.crosses, model.artefact.arrays["spread2"], strict=True):
            if "environment" not in cross:
                continue
            shared = tuple(name for name in cross if name != "environment")
            components[shared] = components.get(shared, 0.0) + float(spread2)
    return components


def engine_terms(model: Model, environment: Environment) -> Mapping[str, float] | None:
    """What an engine that the model does not know adds to the smooth part: its terms by engine (deviations),
    less what its family tells. None for a known engine."""
    if engine_key(environment) in model.artefact.vocabulary["engine"]:
        return None
    known = family_key(environment) in model.artefact.vocabulary["family"]
    share = (1 - OTHER_IN_FAMILY) ** 0.5 if known else 1.0
    terms = dict.fromkeys(HYPER, 0.0)
    return terms | {name: HYPER[name] * share for name in HYPER if name.endswith("_engine") or name in EXACT}


@dataclass(frozen=True)
class _Prior:
    """Prior covariance of residuals between cells of this device."""

    components: Mapping[tuple[str, ...], float]
    unseen: frozenset[str]  # kernels that the model does not know,
    unseen2: float  # and its variance on them
    terms: Mapping[str, float] | None

    def between(
        self, rows: Sequence[tuple[str, Context, str]], columns: Sequence[tuple[str, Context, str]]
    ) -> Floats:
        """(rows, columns): each component where the two cells agree on its fields."""
        left, right = _fields(rows), _fields(columns)
        same = {}
        for name in left:
            a, b = _coded(left[name], right[name])
            same[name] = a[:, None] == b[None, :]
        total = np.zeros((len(rows), len(columns)))
        for shared, variance in self.components.items():
            agree = np.ones(total.shape, dtype=bool)
            for name in shared:
                agree &= same[name]
            total += variance * agree
        new = np.array([signature in self.unseen for signature, _, _ in rows])
        total += self.unseen2 / 2 * (same["kernel"] & new[:, None]) * (1 + same["candidate"])
        if self.terms is not None:
            contexts = list(dict.fromkeys([c for _, c, _ in (*rows, *columns)]))
            names = list(dict.fromkeys([n for _, _, n in (*rows, *columns)]))
            here, there = (_points(cells, contexts, names) for cells in (rows, columns))
            total += covariance(here, there, self.terms).total * same["kernel"]
        return np.asarray(total)


def _points(
    cells: Sequence[tuple[str, Context, str]], contexts: Sequence[Context], names: Sequence[str]
) -> Points:
    context = np.array([contexts.index(c) for _, c, _ in cells], dtype=np.int64)
    candidate = np.array([names.index(n) for _, _, n in cells], dtype=np.int64)
    one = np.zeros(len(cells), dtype=np.int64)
    return Points(contexts, names, context, candidate, one, one)


def _fields(places: Sequence[tuple[str, Context, str]]) -> dict[str, list[Any]]:
    return {
        "kernel": [signature for signature, _, _ in places],
        "context": [context for _, context, _ in places],
        "pattern": [context.pattern for _, context, _ in places],
        "size": [context.log2_size for _, context, _ in places],
        "candidate": [candidate for _, _, candidate in places],
    }


def _coded(left: Sequence[Any], right: Sequence[Any]) -> tuple[Floats, Floats]:
    index = {word: i for i, word in enumerate(dict.fromkeys([*left, *right]))}
    return np.array([index[w] for w in left], dtype=float), np.array([index[w] for w in right], dtype=float)
