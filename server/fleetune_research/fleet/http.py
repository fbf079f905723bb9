"""A Platform in CPython: HTTP by httpx, storage in memory, no bench. For clients without a browser."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fleetune.app.platform import BenchError, Clock, Loaded, NetworkError, Response

MAX_BODY = 16 << 20  # bytes of an answer after decompression; more is cut off (endless data)


class MemoryStore:
    """Values of one client; they end with the process."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: str) -> Any:
        return self.values.get(key)

    async def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        async with self._locks[name]:
            yield

    async def persistent(self) -> bool:
        return False


class NoBench:
    """There is nothing to time here: every call says so."""

    async def open(self) -> Clock:
        raise BenchError(self.reason)

    async def load(
        self, kernel: str, candidates: Sequence[str], size: int, pattern: str, copied: bool, seed: int
    ) -> Loaded:
        raise BenchError(self.reason)

    async def check(self, candidate: str, limit_ms: float) -> str | None:
        raise BenchError(self.reason)

    async def run(self, order: Sequence[tuple[str, int]], limit_ms: float) -> list[float]:
        raise BenchError(self.reason)

    async def restart(self) -> None:
        raise BenchError(self.reason)

    reason = "a client without a browser has no WebAssembly engine to time"


class HttpPlatform:
    """What the app needs of the world, for one client of `server`."""

    def __init__(self, http: httpx.AsyncClient, now: Callable[[], float] = time.time) -> None:
        self.store = MemoryStore()
        self.bench = NoBench()
        self.events: list[tuple[str, Any]] = []
        self._http = http
        self._now = now

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        try:
            async with self._http.stream(method, path, content=body, headers=headers) as answer:
                received = bytearray()
                async for part in answer.aiter_bytes():
                    received += part
                    if len(received) > MAX_BODY:
                        raise NetworkError(f"the server's answer to {path} does not end; it was cut off")
                return Response(answer.status_code, dict(answer.headers), bytes(received))
        except httpx.HTTPError as error:
            raise NetworkError(f"the server cannot be reached ({type(error).__name__} {error})") from error

    def now(self) -> float:
        return self._now()

    def clock(self) -> float:
        return time.perf_counter() * 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def entropy(self, n: int) -> bytes:
        return secrets.token_bytes(n)

    async def ed25519_verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def emit(self, event: str, data: Any) -> None:
        self.events.append((event, data))

    def privacy_signal(self) -> bool:
        return False
