"""The Store protocol: what the server keeps, whatever the engine underneath."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from fleetune.context import Context, Environment
from fleetune.version_log import LogEntry

RESTORED = "restored"  # store key: {"floor": the next version's least number, "at": unix seconds}
BURST = 1000  # versions that may be published within seconds, as by a script
LONGEST = 10**8  # seconds that a backup may be old; a wrong clock must not use the numbers up
HOUR = 3600  # seconds; when a packet came is kept no finer


class StoreError(Exception):
    """The store cannot do this now; nothing of it was done. The message says why."""


class VersionTakenError(StoreError):
    """Somebody else published this number or a later one: take that over, then publish under the next."""


class StoreBusyError(StoreError):
    """Too many packets wait already: the sender should come back later."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a report is about, and the round that it was made in."""

    signature: str
    context: Context
    environment: Environment
    candidate: str
    version: int  # of the model that the report's base prediction came from
    epsilon: float
    clip: float
    base_log: float  # that model's ln speedup for this cell


class StoredPacket(msgspec.Struct, frozen=True, gc=False):
    """A checked packet: its cell, its value as one of the mechanism's symbols, its nonce.

    One is made for every packet: a frozen dataclass takes nine times as long to make.
    """

    cell: Cell
    symbol: int  # 0 … 63
    nonce: str  # 32 hex digits
    heldout: bool  # kept out of training, for the gate


@dataclass(frozen=True, slots=True)
class CellSum:
    """Reports of one cell added up: Σ and Σ² of (2·symbol − 63), exact integers."""

    cell: Cell
    heldout: bool
    count: int
    total: int
    squares: int


@dataclass(frozen=True, slots=True)
class Merge:
    """What the folded sums of some cells become: sums of one cell, which may be among them."""

    sources: Sequence[CellSum]
    result: Sequence[CellSum]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What became of nonces that someone wants back; the rest is unknown here."""

    removed: int
    folded: int  # too late: only sums are left of them


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds."""

    pending: int  # packets that can still be withdrawn
    folded: int  # reports that are only sums now
    nonces: int
    cells: int

    @property
    def reports(self) -> int:
        """All reports that count for training."""
        return self.pending + self.folded


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One published model version. `document` is the publisher's: releases, signatures, metadata (JSON)."""

    version: int
    sha256: str  # of the artefact; blob(sha256) returns it
    clip: float
    created: int  # unix seconds
    document: Mapping[str, Any]


def after_restore(version: int, created: float, now: float) -> dict[str, float]:
    """What a database remembers that came from a backup, whose newest version is this one.

    Clients may hold versions that were published after the backup. Nobody publishes more than one a second for long,
    so the next number is above them all, and no number means two contents.
    """
    since = min(max(0, math.ceil(now - created)), LONGEST)
    return {"floor": version + BURST + since, "at": now}


async def above_backup(store: Store, version: int) -> int:
    """This number for the next version, or a higher one if the database came from a backup (`after_restore`)."""
    restored = await store.get(RESTORED)
    return max(version, restored["floor"] if restored else 0)


class Store(Protocol):
    """Durable state. What changes something returns after the commit; StoreError: nothing was changed."""

    @property
    def problem(self) -> str | None:
        """Why writing fails at present, or None."""

    @property
    def waiting(self) -> int:
        """Packets that wait for a commit."""

    async def append(self, packets: Sequence[StoredPacket]) -> list[bool]:
        """Keep packets; for each, whether its nonce was new (a known one changes nothing).

        Raises StoreBusyError if too much waits already.
        """

    async def withdraw(self, nonces: Collection[str]) -> Withdrawal:
        """Delete pending packets; their nonces stay known, so a copy cannot come back."""

    async def drop(self, cells: Collection[Cell]) -> int:
        """Delete every report of these cells, pending or folded; how many. Their nonces stay known."""

    async def tally(self, nonce: str, key: str) -> bool:
        """Count one more under `key` (`get` returns the number); False if the nonce was known already."""

    async def counts(self) -> Counts:
        """Sizes for metrics and for deciding when to retrain."""

    async def size(self) -> int:
        """Bytes that the database takes."""

    async def sums(self, version: int | None = None) -> list[CellSum]:
        """Folded and pending reports together, as one consistent snapshot; of one round, or of all."""

    async def merge(self, merges: Sequence[Merge]) -> int:
        """Replace sums whose sources are still what they were, a few in each transaction; how many merges."""

    async def fold(self, before: float) -> int:
        """Turn packets into sums whose hour of arrival began before this unix time, each once; how many."""

    async def forget(self, before: float) -> int:
        """Drop nonces of folded or withdrawn packets whose hour of arrival began before then; how many."""

    async def save_version(self, record: VersionRecord, blobs: Mapping[str, bytes], keep: int) -> None:
        """Add a version and its blobs (by SHA-256 of each) at once; drop all but the newest `keep`.

        Raises StoreError if that version exists.
        """

    async def log(self, after: int, most: int) -> list[LogEntry]:
        """At most so many entries of the log of all versions ever saved, from the one after `after` on.

        `save_version` adds an entry in the same transaction; nothing takes one away.
        """

    async def versions(self) -> list[VersionRecord]:
        """Published versions, oldest first."""

    async def blob(self, sha256: str) -> bytes | None:
        """A published file by its hash."""

    async def keep_files(self, edition: str, files: Mapping[str, bytes], keep: int) -> None:
        """Keep what an edition (one build of the pages) serves, by address, and that it started now.

        What belongs to none of the `keep` editions that started last is dropped. An address never changes its content.
        """

    async def kept_file(self, address: str) -> bytes | None:
        """What any kept edition serves there."""

    async def get(self, key: str) -> Any:
        """A remembered JSON value; None if there is none."""

    async def put(self, key: str, value: Any) -> None:
        """Remember a JSON value."""

    async def entries(self, prefix: str) -> dict[str, Any]:
        """The remembered values whose keys begin so, by the rest of the key."""

    async def share(self, values: Mapping[str, Any]) -> None:
        """Remember values, or forget them (None), all at once, and tell the processes that listen."""

    async def lead(self) -> bool:
        """Whether this process is, or now becomes, the one that trains."""

    async def listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        """Call `announced(newest version)` when another process publishes one, or shares anything."""

    async def close(self) -> None:
        """Finish what waits, then let go."""


def withdrawable_seconds(hold: float) -> float:
    """How long a packet may be pending: arrivals are known by the hour, and nobody gets less than the hold."""
    return hold + HOUR if hold else 0.0
