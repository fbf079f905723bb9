"""What the training process does with the store. It reads the sums itself: a million would hold up the server."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fleetune_server.publish.history import VERSIONS, superseded
from fleetune_server.publish.library import Library
from fleetune_server.store.base import CellSum, Merge, Store
from fleetune_server.store.encoding import portions
from fleetune_server.store.opening import read_folded, read_sums
from fleetune_server.training.rounds import merges
from fleetune_server.training.train import TrainRequest, TrainResult
from fleetune_server.training.trainer import Trainer

log = logging.getLogger(__name__)
A = TypeVar("A")
R = TypeVar("R")
OLD_SECONDS = 30 * 86_400.0  # since a newer model replaced the one that reports were made with
MOST_CELLS = 1_000_000  # beyond it no past round waits for that
LOOK_SECONDS = 6 * 3600.0  # between two looks for old cells,
MORE_SECONDS = 5.0  # and while there are some


@dataclass(frozen=True)
class OverSums(Generic[A, R]):
    """`work(all sums, request)`; picklable, to be run in the training process."""

    url: str
    work: Callable[[list[CellSum], A], R]

    def __call__(self, request: A) -> R:
        return self.work(read_sums(self.url), request)


@dataclass(frozen=True)
class Training:
    """A training over all sums: its result, and how many reports it saw."""

    work: Callable[[TrainRequest], TrainResult]

    def __call__(self, sums: list[CellSum], request: TrainRequest) -> tuple[TrainResult, int]:
        return self.work(replace(request, aggregates=sums)), sum(row.count for row in sums)


@dataclass(frozen=True)
class Merging:
    """What becomes of the rounds up to a version, in parts that are quickly unpickled one by one."""

    url: str

    def __call__(self, newest: int) -> list[bytes]:
        return [pickle.dumps(some) for some in portions(merges(read_folded(self.url), newest))]

    @staticmethod
    def read(part: bytes) -> list[Merge]:
        """One of the parts."""
        merges: list[Merge] = pickle.loads(part)  # noqa: S301 - our own process made it
        return merges


class OldCells:
    """Makes fewer cells of reports that are old, or of all past rounds once there are too many cells."""

    def __init__(
        self,
        url: str,
        store: Store,
        library: Library,
        trainer: Trainer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._store = store
        self._library = library
        self._trainer = trainer
        self._clock = clock
        self._due = 0.0  # by the clock

    async def merge(self) -> int:
        """If it is time: how many cells came of it. A part at a time; the next turn goes on."""
        if self._clock() < self._due or not self._library.records:
            return 0
        newest = await self.newest()
        parts = await self._trainer.run(Merging(self._url), newest) if newest else []
        merged = sum([await self._store.merge(Merging.read(part)) for part in parts])
        if merged:
            log.info("merged", extra={"cells": merged, "upTo": newest})
        self._due = self._clock() + (MORE_SECONDS if merged else LOOK_SECONDS)
        return merged

    async def newest(self) -> int:
        """The newest round that is old; 0 if none is. Reports may still come of those in the library."""
        past = min(self._library.records) - 1
        if (await self._store.counts()).cells > MOST_CELLS:
            return past
        versions = await self._store.get(VERSIONS) or []
        return min(past, superseded(versions, self._clock() - OLD_SECONDS))
