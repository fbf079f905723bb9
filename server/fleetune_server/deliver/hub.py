"""Everyone who waits for a new version: one slot each, the newest version wins, nobody holds up anybody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from fleetune_server.deliver.socket import RESTART

CHUNK = 100  # sends between two chances for other requests
SETTLE_SECONDS = 0.2  # publications closer together than this are told as one
BEAT_SECONDS = 30.0
SILENT_SECONDS = 100.0  # without a word from the client: gone
STALLED_SECONDS = 20.0  # without taking a byte: gone


class Subscriber(Protocol):
    """One connected client. `version` is what it has or was last told: nothing older is sent."""

    version: int
    draw: int | None
    heard: float  # when, by the monotonic clock
    full_since: float | None  # since when it takes no more, if so

    def send(self, version: int) -> None:
        """Tell without waiting; 0 is a heartbeat."""

    def close(self, code: int) -> None:
        """Begin to close."""

    def abort(self) -> None:
        """End at once."""


class Hub:
    """The subscribers of this process. `target(draw)` is the version meant for a session."""

    def __init__(
        self,
        target: Callable[[int | None], int],
        *,
        settle: float = SETTLE_SECONDS,
        beat: float = BEAT_SECONDS,
        silent: float = SILENT_SECONDS,
        stalled: float = STALLED_SECONDS,
    ) -> None:
        self.target = target
        self.settle = settle
        self.beat = beat
        self.silent = silent
        self.stalled = stalled
        self.subscribers: dict[Subscriber, None] = {}  # in the order of their last beat
        self.dropped = 0
        self._announcing: asyncio.Task[None] | None = None
        self._again = False
        self._beating: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self.subscribers)

    def hear(self, subscriber: Subscriber, version: int, draw: int | None) -> None:
        """A client says what it holds, the first time or again; one that is behind is told at once."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beats())
        subscriber.heard = time.monotonic()
        subscriber.version, subscriber.draw = version, draw
        self.subscribers.setdefault(subscriber)
        self._tell(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """A client takes messages again: it is told what it missed."""
        if subscriber in self.subscribers:
            self._tell(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a client."""
        self.subscribers.pop(subscriber, None)

    async def announce(self, version: int) -> None:
        """A version was published: tell everyone soon. Bursts become one round; returns at once."""
        self._again = True
        if self._announcing is None:
            self._announcing = asyncio.create_task(self._rounds())

    async def settled(self) -> None:
        """Wait until what was announced has been sent to all who can take it."""
        if self._announcing is not None:
            await asyncio.shield(self._announcing)

    async def close(self) -> None:
        """The server goes: clients are told to come back (1012), after a random while of their own."""
        for task in (self._announcing, self._beating):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        everyone, self.subscribers = list(self.subscribers), {}
        for number, subscriber in enumerate(everyone, 1):
            subscriber.close(RESTART)
            if number % CHUNK == 0:
                await asyncio.sleep(0)

    async def _rounds(self) -> None:
        try:
            while self._again:
                await asyncio.sleep(self.settle)
                self._again = False
                everyone = list(self.subscribers)
                for number, subscriber in enumerate(everyone, 1):
                    if subscriber in self.subscribers:
                        self._tell(subscriber)
                    if number % CHUNK == 0:
                        await asyncio.sleep(0)
        finally:
            self._announcing = None

    def _tell(self, subscriber: Subscriber) -> None:
        """Send the newest version unless the client has it; one that takes no more is told when it does."""
        target = self.target(subscriber.draw)
        if target > subscriber.version and subscriber.full_since is None:
            subscriber.version = target
            self._send(subscriber, target)

    def _send(self, subscriber: Subscriber, version: int) -> None:
        try:
            subscriber.send(version)
        except Exception:  # the transport says that the client is gone
            self._drop(subscriber)

    def _drop(self, subscriber: Subscriber) -> None:
        self.dropped += 1
        self.leave(subscriber)
        subscriber.abort()

    async def _beats(self) -> None:
        """Beats spread over the interval: each second, those whose turn it is."""
        tick = min(1.0, self.beat / 10, self.stalled / 2)
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            full = [(one, one.full_since) for one in self.subscribers if one.full_since is not None]
            for subscriber, since in full:
                if now - since > self.stalled:
                    self._drop(subscriber)
            share = -(-len(self.subscribers) * tick // self.beat)
            for subscriber in list(self.subscribers)[: int(share)]:
                if now - subscriber.heard > self.silent:
                    self._drop(subscriber)
                    continue
                del self.subscribers[subscriber]
                self.subscribers[subscriber] = None
                if subscriber.full_since is None:
                    self._send(subscriber, 0)
