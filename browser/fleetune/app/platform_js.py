"""The browser as a Platform: the only file that touches JavaScript. Text, bytes and awaitables cross."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pyodide.ffi import JsException, to_js

from fleetune.app import handlers
from fleetune.app.platform import (
    BenchError,
    BenchTimeout,
    Clock,
    Loaded,
    NetworkError,
    PlatformError,
    Response,
)
from fleetune.app.session import Session
from fleetune.context import Environment
from fleetune.manifest import Manifest

LOAD_LIMIT_MS = 20_000.0  # fetching a bundle, compiling and laying out one cell on a slow machine


class JsStore:
    """IndexedDB and the Web Locks API, through storage.js."""

    def __init__(self, host: Any) -> None:
        self._host = host

    async def get(self, key: str) -> Any:
        return json.loads(await self._host.get(key))

    async def set(self, key: str, value: Any) -> None:
        try:
            await self._host.set(key, json.dumps(value, allow_nan=False))
        except JsException as error:
            raise PlatformError(error.message) from error

    async def delete(self, key: str) -> None:
        await self._host.remove(key)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        release = await self._host.lock(name)
        try:
            yield
        finally:
            release()

    async def persistent(self) -> bool:
        return bool(await self._host.persistent())


class JsBench:
    """The bench worker, through bench.js."""

    def __init__(self, host: Any) -> None:
        self._host = host

    async def open(self) -> Clock:
        found = _value(await self._host.benchOpen())
        return Clock(found["clockStep"], found["isolated"])

    async def _call(self, op: str, limit_ms: float, **args: Any) -> Any:
        return _value(await self._host.bench(op, json.dumps(args), limit_ms))

    async def load(
        self, kernel: str, candidates: Sequence[str], size: int, pattern: str, copied: bool, seed: int
    ) -> Loaded:
        found = await self._call(
            "load",
            LOAD_LIMIT_MS,
            kernel=kernel,
            candidates=list(candidates),
            size=size,
            pattern=pattern,
            copied=copied,
            seed=seed,
        )
        return Loaded(found["failed"], found["sets"], found["referenceMs"], found["memory"])

    async def check(self, candidate: str, limit_ms: float) -> str | None:
        error: str | None = (await self._call("check", limit_ms, candidate=candidate))["error"]
        return error

    async def run(self, order: Sequence[tuple[str, int]], limit_ms: float) -> list[float]:
        times: list[float] = await self._call("run", limit_ms, order=list(order))
        return times

    async def restart(self) -> None:
        self._host.benchEnd()
        await self.open()


def _value(answer: str) -> Any:
    """The value that the bench worker gave, or its error raised again."""
    found = json.loads(answer)
    if "value" in found:
        return found["value"]
    error = found["error"]
    kind = BenchTimeout if error["name"] == "TimeoutError" else BenchError
    raise kind(error["message"], (error.get("detail") or {}).get("candidate"))


class JsPlatform:
    """The worker that Pyodide runs in."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.store = JsStore(host)
        self.bench = JsBench(host)

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        sent = None if body is None else to_js(body)
        request = self._host.fetch(method, path, json.dumps(dict(headers or {})), sent)
        try:
            answer = await request.answer
        except asyncio.CancelledError:
            request.abort()
            raise
        except JsException as error:
            raise NetworkError(
                f"the server cannot be reached ({error.message}): check the connection and try again"
            ) from error
        return Response(answer.status, json.loads(answer.headers), answer.bytes.to_bytes())

    def now(self) -> float:
        return time.time()

    def clock(self) -> float:
        return float(self._host.clock())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def entropy(self, n: int) -> bytes:
        return secrets.token_bytes(n)  # Pyodide asks crypto.getRandomValues each time

    async def ed25519_verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            return bool(await self._host.verifyEd25519(to_js(public_key), to_js(signature), to_js(message)))
        except JsException as error:
            raise PlatformError(f"this browser cannot check signatures: {error.message}") from error

    def emit(self, event: str, data: Any) -> None:
        self._host.emit(event, json.dumps(data, allow_nan=False))

    def privacy_signal(self) -> bool:
        return bool(self._host.privacySignal())


class App:
    """What python_worker.js holds: the names of the operations, and one way to call them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def operations(self) -> str:
        """JSON list of names."""
        return json.dumps(list(handlers.HANDLERS))

    async def call(self, op: str, args: str) -> str:
        """JSON arguments in, JSON `{"value"}` or `{"error": {"name", "message"}}` out."""
        return json.dumps(await handlers.call(self.session, op, json.loads(args)), allow_nan=False)


async def start(host: Any) -> App:
    """Called by python_worker.js with its bridge to the browser."""
    session = await handlers.start(
        JsPlatform(host),
        boot=json.loads(host.boot),
        manifest=Manifest.load(host.manifest),
        environment=Environment.from_wire(json.loads(host.environment)),
    )
    return App(session)
