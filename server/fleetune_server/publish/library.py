"""Published models in memory: which is meant for whom, the recent ones to read reports with, candidates on trial.

A version that passed the gate goes first to a share of the sessions, chosen by a random number that each
session draws for itself. When enough reports were made with it, or its time is up, it is judged once:
promoted, or withdrawn, which publishes the stable version's content as a newer version. A fleet that is too
small to give an answer in a trial does not wait for one. The store remembers the trials, so a restart and
every replica know them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.model import Model
from fleetune_server.publish.distribute import DRAWS
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum, Store, VersionRecord

STRIDE = 382  # lots by which the share moves from one candidate to the next: all have their turn
CONTEXTS = 20_000  # contexts whose base predictions are remembered, about 3 kB each
TRIALS = "trials"  # store key: {version: what became of its trial}
KEPT_TRIALS = 50  # trials remembered
# Superseded: an operator published something newer during the trial.
TRYING, PROMOTED, WITHDRAWN, SUPERSEDED = "trying", "promoted", "withdrawn", "superseded"


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


def outcomes(stored: Mapping[str, Mapping[str, Any]] | None, newest: int) -> dict[int, Mapping[str, Any]]:
    """The trials that a store remembers, by version; `newest` is its newest version."""
    return {
        int(version): {**entry, "state": SUPERSEDED}
        if entry["state"] == TRYING and int(version) < newest
        else entry
        for version, entry in (stored or {}).items()
    }


def stable(stored: Mapping[str, Mapping[str, Any]] | None, versions: Sequence[int]) -> int:
    """The newest of these versions that is not on trial, so that it is for everyone; 0: none."""
    newest = max(versions, default=0)
    trial = outcomes(stored, newest).get(newest)
    return int(trial["stable"]) if trial and trial["state"] == TRYING else newest


class Rollout:
    """The trials of one store; `library.trial` is the one under way."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        library: Library,
        clients: Callable[[], int],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.store = store
        self.library = library
        self.clients = clients  # connected now
        self._now = now
        self._trials: dict[str, dict[str, Any]] = {}

    async def load(self) -> None:
        """Read the trials again: another process may have begun or ended one."""
        self._trials = await self.store.get(TRIALS) or {}
        entry = self._trials.get(str(self.library.version), {})
        trying = entry.get("state") == TRYING
        self.library.trial = Trial(self.library.version, entry["stable"], entry["share"]) if trying else None

    @property
    def trials(self) -> Mapping[int, Mapping[str, Any]]:
        """What is known of every version's trial: `state`, `stable`, `share`, `began`, `ended`, `reason` …"""
        return outcomes(self._trials, self.library.version)

    @property
    def trial(self) -> Trial | None:
        """The trial under way."""
        trial = self.library.trial
        return trial if trial and trial.version == self.library.version else None

    @property
    def blamed(self) -> list[tuple[str, Environment]]:
        """The places (signature, environment) for which the newest trial that ended was withdrawn."""
        ended = [key for key, entry in self._trials.items() if entry["state"] in (PROMOTED, WITHDRAWN)]
        checks = self._trials[max(ended, key=int)].get("checks", ()) if ended else ()
        places = [place for check in checks for place in check.get("places", ())]
        return [(signature, Environment(**environment)) for signature, environment in places]

    async def begin(self, version: int) -> None:
        """A version is about to be published: try it out, or promote it at once and say why.

        Must be called before the version is saved, so that whoever sees the version also sees its trial.
        """
        share, clients, least = self.settings.rollout_share, self.clients(), self.settings.rollout_clients
        entry: dict[str, Any] = {"stable": self.library.stable, "share": share, "began": int(self._now())}
        if not self.library.version:
            entry |= {"state": PROMOTED, "reason": "first version: nothing to compare with"}
        elif not share:
            entry |= {"state": PROMOTED, "reason": "trials are switched off"}
        elif clients < least:
            entry |= {
                "state": PROMOTED,
                "reason": f"small fleet: {clients:,} clients connected, a trial takes {least:,}",
            }
        else:
            entry |= {"state": TRYING, "reason": f"{share:.0%} of sessions try it"}
        await self._put(version, entry)
        self.library.trial = Trial(version, entry["stable"], share) if entry["state"] == TRYING else None

    async def evidence(self) -> list[CellSum] | None:
        """The reports that the trial is judged by, once there are enough or its time is up."""
        trial = self.trial
        assert trial is not None
        late = self._now() >= self._trials[str(trial.version)]["began"] + self.settings.rollout_seconds
        rows = await self.store.sums(trial.version)
        if not late and sum(row.count for row in rows) < self.settings.rollout_reports:
            return None
        return rows

    async def end(self, version: int, state: str, reports: int, checks: Sequence[Mapping[str, Any]]) -> None:
        """Record what became of a trial. What replaces a withdrawn candidate must be saved before."""
        entry = self._trials[str(version)] | {
            "state": state,
            "ended": int(self._now()),
            "reports": reports,
            "reason": f"judged by {reports:,} reports made with it",
            "checks": list(checks),
        }
        await self._put(version, entry)
        self.library.trial = None

    async def _put(self, version: int, entry: dict[str, Any]) -> None:
        trials = self._trials | {str(version): entry}
        self._trials = {key: trials[key] for key in sorted(trials, key=int)[-KEPT_TRIALS:]}
        await self.store.put(TRIALS, self._trials)
