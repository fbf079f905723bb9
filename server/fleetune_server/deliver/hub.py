"""Everyone who waits for a new version: one slot each, the newest version wins, nobody holds up anybody."""

from __future__ import annotations

import asyncio
import contextlib
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

Send = Callable[[int], Coroutine[Any, Any, None]]  # a version; 0 is a heartbeat
Close = Callable[[int], Awaitable[None]]  # a WebSocket close code

CHUNK = 100  # sends between two chances for other requests
SETTLE_SECONDS = 0.2  # publications closer together than this are told as one
BEAT_SECONDS = 30.0
SILENT_SECONDS = 100.0  # without a word from the client: gone
STALLED_SECONDS = 20.0  # a send that takes so long: gone
RESTART = 1012


class Subscriber:
    """One connected client. `version` is what it has or was last told: nothing older is sent."""

    __slots__ = ("close", "draw", "end", "gone", "heard", "send", "sending", "version")

    def __init__(
        self, send: Send, close: Close, end: Callable[[], object], version: int, draw: int | None = None
    ) -> None:
        self.send = send
        self.close = close
        self.end = end  # wakes whoever listens to this client, who then finds it `gone`
        self.version = version
        self.draw = draw
        self.heard = 0.0
        self.sending: asyncio.Task[None] | None = None  # only while its buffer is full
        self.gone = False


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

    def join(self, subscriber: Subscriber) -> None:
        """Add a client and tell it at once if it is behind."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beats())
        subscriber.heard = time.monotonic()
        self.subscribers[subscriber] = None
        self._tell(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a client; its pending send ends with it."""
        self.subscribers.pop(subscriber, None)
        if subscriber.sending is not None:
            subscriber.sending.cancel()

    def heard(self, subscriber: Subscriber, version: int, draw: int | None) -> None:
        """A client says what it holds."""
        subscriber.heard = time.monotonic()
        subscriber.version, subscriber.draw = version, draw
        self._tell(subscriber)

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
        everyone = list(self.subscribers)
        for begin in range(0, len(everyone), CHUNK):
            farewells = [asyncio.create_task(_close(s, RESTART)) for s in everyone[begin : begin + CHUNK]]
            _, late = await asyncio.wait(farewells, timeout=1)
            for task in late:
                task.cancel()
        self.subscribers.clear()

    async def _rounds(self) -> None:
        try:
            while self._again:
                await asyncio.sleep(self.settle)
                self._again = False
                everyone = list(self.subscribers)
                for number, subscriber in enumerate(everyone, 1):
                    self._tell(subscriber)
                    if number % CHUNK == 0:
                        await asyncio.sleep(0)
        finally:
            self._announcing = None

    def _tell(self, subscriber: Subscriber) -> None:
        """Send the newest version unless the client has it; a client still busy is told when it is free."""
        target = self.target(subscriber.draw)
        if subscriber.sending is None and target > subscriber.version:
            subscriber.version = target
            self._start(subscriber, target)

    def _start(self, subscriber: Subscriber, version: int) -> None:
        coroutine = subscriber.send(version)
        try:
            waiting = coroutine.send(None)  # most sends fit the socket's buffer and end here, without a task
        except StopIteration:
            return
        except Exception:  # the transport says that the client is gone
            self._drop(subscriber)
            return
        subscriber.sending = asyncio.create_task(self._finish(subscriber, coroutine, waiting))

    async def _finish(
        self, subscriber: Subscriber, coroutine: Coroutine[Any, Any, None], waiting: Any
    ) -> None:
        try:
            async with asyncio.timeout(self.stalled):
                await _resume(coroutine, waiting)
        except Exception:  # too slow (TimeoutError) or gone
            subscriber.sending = None
            self._drop(subscriber)
        else:
            subscriber.sending = None
            self._tell(subscriber)

    def _drop(self, subscriber: Subscriber) -> None:
        if subscriber in self.subscribers:
            self.dropped += 1
            self.leave(subscriber)
            subscriber.gone = True
            subscriber.end()

    async def _beats(self) -> None:
        """Beats spread over the interval: each second, those whose turn it is."""
        tick = min(1.0, self.beat / 10)
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            share = -(-len(self.subscribers) * tick // self.beat)
            for subscriber in list(self.subscribers)[: int(share)]:
                if now - subscriber.heard > self.silent:
                    self._drop(subscriber)
                    continue
                del self.subscribers[subscriber]
                self.subscribers[subscriber] = None
                if subscriber.sending is None:
                    self._start(subscriber, 0)


async def _close(subscriber: Subscriber, code: int) -> None:
    with contextlib.suppress(Exception):  # it may have gone by itself
        await subscriber.close(code)


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was started by hand and waits for `waiting`."""
    try:
        while True:
            try:
                value = yield waiting
            except BaseException as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(value)
    except StopIteration:
        return
