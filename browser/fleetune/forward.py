"""The deep part's forward pass from the artefact. The first layer is additive over entities (kernel, module,
context, environment), so each entity's share is computed once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetune.artefact import Artefact
from fleetune.context import Context, Environment
from fleetune.features import Features, Floats, Frame, engine_key
from fleetune.manifest import Kernel


@dataclass
class DeepPart:
    """Predicts ln speedups of what was never measured, from static features."""

    artefact: Artefact
    index: Mapping[str, Mapping[str, int]]  # vocabulary entries by field
    _kernel_part: dict[str, Floats] = field(default_factory=dict, repr=False)
    _variant_part: dict[tuple[str, str, frozenset[str]], Floats] = field(default_factory=dict, repr=False)

    @property
    def features(self) -> Features:
        return self.artefact.features

    def context(
        self, kernel: Kernel, context: Context, environment: Environment, candidates: Sequence[str]
    ) -> Floats:
        """ln speedups of the candidates in one context, (candidates,)."""
        supported = environment.features
        hidden = np.array([self._variant_share(kernel, name, supported) for name in candidates])
        shared = self._kernel_share(kernel) + self._context_share(context)
        return self._upper(hidden + shared + self._environment_share(environment))

    def rows(self, frame: Frame) -> Floats:
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
            self._kernel_part[kernel.signature] = self._share("kernel", self.features.kernel_vector(kernel))
        return self._kernel_part[kernel.signature]

    def _variant_share(self, kernel: Kernel, candidate: str, supported: frozenset[str]) -> Floats:
        key = kernel.signature, candidate, supported
        if key not in self._variant_part:
            vector = self.features.variant_vector(kernel, candidate, supported)
            entry = self.index["candidate"].get(candidate, -1)
            share = self._share("variant", vector) + self._embedded("candidate", entry)
            self._variant_part[key] = np.asarray(share)
        return self._variant_part[key]

    def _context_share(self, context: Context) -> Floats:
        share = self._share("context", self.features.context_vector(context))
        return np.asarray(share + self._embedded("size", context.log2_size) + self.artefact.arrays["bias1"])

    def _environment_share(self, environment: Environment) -> Floats:
        entry = self.index["engine"].get(engine_key(environment), -1)
        share = self._share("environment", self.features.environment_vector(environment))
        return np.asarray(share + self._embedded("engine", entry))
