"""Published models in memory: the newest for decisions, the recent ones to read reports with."""

from __future__ import annotations

from collections.abc import Mapping

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.model import Model
from fleetune_server.store.base import VersionRecord

CONTEXTS = 20_000  # contexts whose base predictions are remembered, about 3 kB each


class Library:
    """The versions that clients may still hold."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.records: dict[int, VersionRecord] = {}
        self.models: dict[int, Model] = {}
        self._bases: dict[tuple[int, str, Context, Environment], Mapping[str, float]] = {}

    def add(self, record: VersionRecord, artefact: bytes) -> None:
        """Put a version on the shelf; the oldest leaves it. Raises ModelError if it cannot be read."""
        self.models[record.version] = Model.from_bytes(artefact)
        self.records[record.version] = record
        while len(self.records) > self.keep:
            oldest = min(self.records)
            del self.records[oldest], self.models[oldest]
            self._bases = {key: value for key, value in self._bases.items() if key[0] != oldest}

    @property
    def version(self) -> int:
        """The newest version; 0 before the first."""
        return max(self.records, default=0)

    @property
    def latest(self) -> Model | None:
        """The newest model."""
        return self.models.get(self.version)

    def clip(self, version: int) -> float | None:
        """The clip of a version's round; None if that version is not kept (any more)."""
        model = self.models.get(version)
        return model.clip if model else None

    def base(
        self, version: int, kernel: Kernel, context: Context, environment: Environment, candidate: str
    ) -> float | None:
        """What that version predicts for a cell (ln speedup); None if it cannot run there."""
        key = (version, kernel.signature, context, environment)
        known = self._bases.get(key)
        if known is None:
            candidates = kernel.candidates(environment.features)
            mean = self.models[version].predict(kernel, context, environment, candidates).mean
            known = dict(zip(candidates, mean.tolist(), strict=True))
            if len(self._bases) >= CONTEXTS:
                self._bases.clear()
            self._bases[key] = known
        return known.get(candidate)
