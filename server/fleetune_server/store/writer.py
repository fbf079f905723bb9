"""One writer task with natural group commit: what arrives during a commit goes into the next one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fleetune_server.common.logs import Condition
from fleetune_server.store.base import StoreBusyError, StoredPacket, StoreError

log = logging.getLogger(__name__)
T = TypeVar("T")
PROBE_SECONDS = 1.0  # between attempts to write while the store is failing
HEAL_SECONDS = 2.0  # without a failure, before it counts as well again


class Engine(Protocol):
    """What the writer needs of a database; it alone calls these, one at a time."""

    async def transact(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run work inside a transaction and commit; roll back and raise StoreError if it fails."""

    async def insert(self, packets: Sequence[StoredPacket]) -> list[bool]:
        """Add packets and commit; which were new. StoreError: none was added."""

    async def probe(self) -> None:
        """Write something harmless inside a transaction."""


@dataclass
class _Group:
    """Packets that will be committed together, and who waits for which of them."""

    packets: list[StoredPacket] = field(default_factory=list)
    senders: list[tuple[asyncio.Future[list[bool]], int, int]] = field(default_factory=list)

    def settle(self, outcome: list[bool] | Exception) -> None:
        """Each sender gets the answer about its own packets, unless it was cancelled meanwhile."""
        for future, start, stop in self.senders:
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome[start:stop])


class Writer:
    """Serialises all changes. `problem` says why the last change failed; it heals by itself."""

    def __init__(self, engine: Engine, limit: int) -> None:
        self.engine = engine
        self.limit = limit  # packets that may wait
        self.problem: str | None = None
        self._damage: str | None = None  # what does not heal by itself
        self._failed = 0.0  # when, by the monotonic clock
        self._condition = Condition(log, "store cannot write")
        self._group: _Group | None = None
        self._committing = 0
        self._jobs: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="store writer")

    @property
    def waiting(self) -> int:
        """Packets not yet committed."""
        return self._committing + (len(self._group.packets) if self._group else 0)

    async def append(self, packets: Sequence[StoredPacket]) -> list[bool]:
        """Commit packets with whatever else waits. A cancelled caller does not disturb the group."""
        self._must_be_open()
        if self.waiting + len(packets) > self.limit:
            raise StoreBusyError(f"{self.waiting} packets wait for the store")
        if self._group is None:
            self._group = _Group()
            self._wake.set()
        future: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        waiting = self._group.packets
        self._group.senders.append((future, len(waiting), len(waiting) + len(packets)))
        waiting.extend(packets)
        return await future

    async def change(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run work in a transaction of its own."""
        self._must_be_open()
        future = _future()
        self._jobs.append((work, future))
        self._wake.set()
        result: T = await asyncio.shield(future)
        return result

    def damaged(self, reason: str) -> None:
        """Take nothing more until the server starts anew: what is acknowledged must be there afterwards."""
        self._damage = self.problem = reason
        self._condition.holds(reason)

    def _must_be_open(self) -> None:
        if self._closing:
            raise StoreError("the store is closing")
        if self._damage:
            raise StoreError(self._damage)

    async def close(self) -> None:
        """Commit what waits, then stop."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while not (self._closing and self._group is None and not self._jobs):
            await self._sleep()
            self._wake.clear()
            group, self._group = self._group, None
            if group is not None:
                await self._commit_group(group)
            elif not self._jobs and self.problem:
                await self._settle(self.engine.transact(self.engine.probe), _future())
            if self._jobs:
                # One job, then packets again: a long queue of jobs cannot hold up senders.
                work, future = self._jobs.popleft()
                await self._settle(self.engine.transact(work), future)
                self._wake.set()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS if self.problem and not self._closing else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _commit_group(self, group: _Group) -> None:
        self._committing = len(group.packets)
        outcome: asyncio.Future[list[bool]] = _future()
        await self._settle(self.engine.insert(group.packets), outcome)
        error = outcome.exception()
        assert error is None or isinstance(error, Exception)
        group.settle(error or outcome.result())
        self._committing = 0

    async def _settle(self, change: Awaitable[Any], future: asyncio.Future[Any]) -> None:
        try:
            result = await change
        except StoreError as error:
            if error.__cause__ is not None:  # the engine's, not the work's own
                self.problem, self._failed = self._damage or str(error), time.monotonic()
                self._condition.holds(self.problem)
            future.set_exception(error)
        except Exception as error:  # a defect: its sender gets it, the writer lives on
            log.exception("unexpected error in the store")
            future.set_exception(error)
        else:
            # A full disk still takes a little now and then: that alone does not make it well.
            healing = self.problem and not self._damage
            if healing and time.monotonic() - self._failed >= HEAL_SECONDS:
                self.problem = None
                self._condition.ended("store writes again")
            future.set_result(result)


def _future() -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    # Every waiter may be gone (cancelled) when it fails; then nobody is left to hear of it.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
