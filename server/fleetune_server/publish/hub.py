"""Everyone who waits for a new version: one slot each, the newest version wins, nobody holds up anybody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

CHUNK = 100  # sends between two chances for other requests
SETTLE_SECONDS = 0.2  # publications closer together than this are told as one
BEAT_SECONDS = 30.0
STALLED_SECONDS = 20.0  # a send that takes longer: gone
HEARTBEAT = 0  # sent in place of a version


class Subscriber:
    """One connected client: what it holds, and a slot for the newest message that it has yet to be sent."""

    __slots__ = ("_sending", "_slot", "draw", "evict", "send", "version")

    def __init__(self, send: Callable[[int], Awaitable[None]], evict: Callable[[], None]) -> None:
        self.send = send  # waits while the client takes nothing
        self.evict = evict  # ends the connection at once
        self.version = 0  # what it has or was last told: nothing older is sent
        self.draw: int | None = None
        self._slot: int | None = None
        self._sending: asyncio.Task[None] | None = None

    def put(self, message: int, hub: Hub) -> None:
        """Send soon; what waits in the slot is replaced, but not by a heartbeat."""
        if message != HEARTBEAT or self._slot is None:
            self._slot = message
        if self._sending is None:
            self._sending = asyncio.create_task(self._drain(hub))

    def forget(self) -> None:
        """Send nothing more."""
        self._slot = None
        if self._sending is not None:
            self._sending.cancel()

    async def _drain(self, hub: Hub) -> None:
        try:
            while self._slot is not None:
                message, self._slot = self._slot, None
                async with asyncio.timeout(hub.stalled):
                    await self.send(message)
        except OSError:  # a TimeoutError, or the client is gone
            hub.drop(self)
        finally:
            self._sending = None


class Hub:
    """The subscribers of this process. `target(draw)` is the version meant for a session."""

    def __init__(
        self,
        target: Callable[[int | None], int],
        *,
        settle: float = SETTLE_SECONDS,
        beat: float = BEAT_SECONDS,
        stalled: float = STALLED_SECONDS,
    ) -> None:
        self.target = target
        self.settle = settle
        self.beat = beat
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
        subscriber.version, subscriber.draw = version, draw
        self.subscribers.setdefault(subscriber)
        self._tell(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a client."""
        self.subscribers.pop(subscriber, None)
        subscriber.forget()

    def drop(self, subscriber: Subscriber) -> None:
        """End the connection of a client that takes or says nothing."""
        if subscriber in self.subscribers:
            self.dropped += 1
            self.leave(subscriber)
            subscriber.evict()

    async def announce(self, version: int) -> None:
        """A version was published: tell everyone soon. Bursts become one round; returns at once."""
        self._again = True
        if self._announcing is None:
            self._announcing = asyncio.create_task(self._rounds())

    async def close(self) -> None:
        """Tell nobody anything more; uvicorn closes the sockets (1012), and clients come back."""
        for task in (self._announcing, self._beating):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for subscriber in list(self.subscribers):
            self.leave(subscriber)

    async def _rounds(self) -> None:
        try:
            while self._again:
                await asyncio.sleep(self.settle)
                self._again = False
                for number, subscriber in enumerate(list(self.subscribers), 1):
                    if subscriber in self.subscribers:
                        self._tell(subscriber)
                    if number % CHUNK == 0:
                        await asyncio.sleep(0)
        finally:
            self._announcing = None

    def _tell(self, subscriber: Subscriber) -> None:
        """Send the version meant for the client unless it has it."""
        target = self.target(subscriber.draw)
        if target > subscriber.version:
            subscriber.version = target
            subscriber.put(target, self)

    async def _beats(self) -> None:
        """Beats spread over the interval: each second, those whose turn it is."""
        tick = min(1.0, self.beat / 10)
        due = 0.0
        while True:
            await asyncio.sleep(tick)
            due += len(self.subscribers) * tick / self.beat
            turn = list(self.subscribers)[: int(due)]
            due -= len(turn)
            for subscriber in turn:
                del self.subscribers[subscriber]
                self.subscribers[subscriber] = None
                subscriber.put(HEARTBEAT, self)
