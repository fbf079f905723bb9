"""What the app needs of the world: network, clock, randomness, storage, and the bench worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


class PlatformError(RuntimeError):
    """The browser refused or failed; the message says what to do."""


class NetworkError(PlatformError):
    """The server could not be reached. An answer with an error status is a Response, not this."""


class BenchError(PlatformError):
    """The bench worker failed. `candidate` names who is to blame where that is known."""

    def __init__(self, message: str, candidate: str | None = None) -> None:
        super().__init__(message)
        self.candidate = candidate


class BenchTimeout(BenchError):  # noqa: N818 (named in the protocol's own words)
    """No answer in time. The bench worker was ended; the next call starts a new one with nothing loaded."""


@dataclass(frozen=True)
class Response:
    """An HTTP answer, whatever its status; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class KeyValue(Protocol):
    """Small JSON-able values that outlive the tab where the browser allows it."""

    async def get(self, key: str) -> Any:
        """The value, or None if there is none."""

    async def set(self, key: str, value: Any) -> None:
        """Store; returns once it is committed."""

    async def delete(self, key: str) -> None: ...

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock that every tab of this origin shares. Not reentrant."""

    async def persistent(self) -> bool:
        """Whether values outlive the tab."""


@dataclass(frozen=True)
class Clock:
    """What the bench worker found out about its clock."""

    step: float  # ms
    isolated: bool  # cross-origin isolated: a fine clock


@dataclass(frozen=True)
class Loaded:
    """One cell, ready to be timed."""

    failed: Mapping[str, str]  # candidate → why it could not be loaded
    sets: int  # different input sets
    reference_ms: float  # one call of the JavaScript baseline on every set
    memory: int  # bytes that all modules hold together


class Bench(Protocol):
    """The timing room. Methods raise BenchError, or BenchTimeout after `limit_ms`."""

    async def open(self) -> Clock:
        """Start the worker if it is not running."""

    async def load(
        self, kernel: str, candidates: Sequence[str], size: int, pattern: str, copied: bool, seed: int
    ) -> Loaded: ...

    async def check(self, candidate: str, limit_ms: float) -> str | None:
        """None if the candidate gives what the JavaScript baseline gives, else the difference in words."""

    async def run(self, order: Sequence[tuple[str, int]], limit_ms: float) -> list[float]:
        """Time one batch for each (candidate, iterations), in this order; ms of each."""

    async def restart(self) -> None:
        """End the worker and start a new one: nothing is loaded, compiled or warm."""


class Platform(Protocol):
    """The whole world outside; `platform_js.JsPlatform` in a browser."""

    @property
    def store(self) -> KeyValue: ...

    @property
    def bench(self) -> Bench: ...

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Ask our own server; `path` is relative to it. NetworkError if it cannot be reached.

        Cancelling the caller ends the request.
        """

    def now(self) -> float:
        """Unix time, seconds."""

    def clock(self) -> float:
        """Monotonic time, ms, for durations."""

    async def sleep(self, seconds: float) -> None: ...

    def entropy(self, n: int) -> bytes:
        """`n` unpredictable bytes from the browser; the only randomness for anything private."""

    async def ed25519_verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool: ...

    def emit(self, event: str, data: Any) -> None:
        """Tell the page; `data` is JSON-able."""

    def privacy_signal(self) -> bool:
        """Whether the browser asks not to be observed (Global Privacy Control)."""
