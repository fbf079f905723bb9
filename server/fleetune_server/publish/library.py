"""Published models in memory: which is meant for whom, and the recent ones to read reports with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.model import Model
from fleetune_server.publish.distribute import DRAWS
from fleetune_server.store.base import VersionRecord

STRIDE = 382  # lots by which the share moves from one candidate to the next: all have their turn
CONTEXTS = 20_000  # contexts whose base predictions are remembered, about 3 kB each


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate that a share of the sessions tries while the others keep the stable version."""

    version: int
    stable: int
    share: float

    def includes(self, draw: int | None) -> bool:
        """Whether a session with this lot (0 … DRAWS − 1) tries it: each version has other lots."""
        return draw is not None and (draw + self.version * STRIDE) % DRAWS < self.share * DRAWS


class Library:
    """The versions that clients may still hold."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.trial: Trial | None = None  # holds while its candidate is the newest version
        self.records: dict[int, VersionRecord] = {}
        self.models: dict[int, Model] = {}
        self._unreadable: set[int] = set()
        self._bases: dict[tuple[int, str, Context, Environment], Mapping[str, float]] = {}

    def add(self, record: VersionRecord, artefact: bytes) -> None:
        """Put a version on the shelf; the oldest leaves it. Raises ModelError if it cannot be read."""
        self.models[record.version] = Model.from_bytes(artefact)
        self.records[record.version] = record
        while len(self.records) > self.keep:
            oldest = min(self.records)
            del self.records[oldest], self.models[oldest]
            self._bases = {key: value for key, value in self._bases.items() if key[0] != oldest}

    def set_aside(self, version: int) -> bool:
        """Remember a version that cannot be read, so that its number is not used again; whether it is news."""
        news = version not in self._unreadable
        self._unreadable.add(version)
        return news

    @property
    def next_version(self) -> int:
        """The number of the next version: above all that were ever published."""
        return max(self.version, *self._unreadable, 0) + 1

    def artefact(self, sha256: str) -> bytes | None:
        """A full model by its hash, without asking the store, which may be gone for a while."""
        for version, record in self.records.items():
            if record.sha256 == sha256:
                return self.models[version].to_bytes()
        return None

    @property
    def version(self) -> int:
        """The newest version; 0 before the first."""
        return max(self.records, default=0)

    @property
    def latest(self) -> Model | None:
        """The newest model."""
        return self.models.get(self.version)

    @property
    def stable(self) -> int:
        """The version for everyone who does not try a candidate; 0 before the first."""
        return self.target(None)

    def target(self, draw: int | None) -> int:
        """The version meant for a session with this lot; without one, the stable version."""
        trial = self.trial
        if trial is None or trial.version != self.version or trial.includes(draw):
            return self.version
        return trial.stable if trial.stable in self.records else self.version

    def keeps(self, version: int) -> bool:
        """Whether reports against that version can be read."""
        return version in self.models

    def clips(self, version: int, kernel: Kernel, environment: Environment) -> tuple[float, ...]:
        """The clips that a report about a place may carry against that version, which must be kept.

        Pages from before clips differed by place carry the version's usual one.
        """
        model = self.models[version]
        return model.clip_at(kernel, environment), model.clip

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
