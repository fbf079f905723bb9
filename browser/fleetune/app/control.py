"""Stop, pause and resume for a benchmark, and its time budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Stopped(Exception):  # noqa: N818 (not an error)
    """The benchmark was asked to stop."""


class Control:
    """The page's hand on a running benchmark. `clock` is monotonic, ms."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._going = asyncio.Event()
        self._going.set()
        self._paused_at = 0.0
        self._paused_ms = 0.0
        self._began = clock()
        self.stopped = False

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    def pause(self) -> None:
        if not self.paused:
            self._paused_at = self._clock()
            self._going.clear()

    def resume(self) -> None:
        if self.paused:
            self._paused_ms += self._clock() - self._paused_at
            self._going.set()

    def stop(self) -> None:
        self.stopped = True
        self.resume()

    def used_ms(self) -> float:
        """Time since the start, pauses left out."""
        now = self._paused_at if self.paused else self._clock()
        return now - self._began - self._paused_ms

    async def gate(self) -> None:
        """Wait while paused; raise Stopped if asked to stop."""
        await self._going.wait()
        if self.stopped:
            raise Stopped


class TimeBudget:
    """How much time is left. Without a limit there is always enough."""

    OVERRUN = 1.08  # a cell that has not got its batches by then is given up

    def __init__(self, control: Control, limit_ms: float | None) -> None:
        self._control = control
        self.limit_ms = limit_ms
        self.stretch = 1.0  # times the limit, for what has to be measured

    @property
    def usual_left_ms(self) -> float:
        """What is left of the limit as it was asked for."""
        return float("inf") if self.limit_ms is None else self.limit_ms - self._control.used_ms()

    @property
    def left_ms(self) -> float:
        return self.usual_left_ms + (self.stretch - 1) * (self.limit_ms or 0)

    @property
    def spent(self) -> bool:
        return self.left_ms <= 0

    @property
    def overrun(self) -> bool:
        limit = self.limit_ms
        return limit is not None and self._control.used_ms() > self.OVERRUN * self.stretch * limit
