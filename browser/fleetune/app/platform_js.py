"""The browser as a Platform: the only file that touches JavaScript. Text, bytes and awaitables cross."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import fleetune_bridge as bridge  # registered by browser/web/worker.js
from pyodide.ffi import JsException, create_once_callable, to_js

from fleetune.app.platform import BenchAbout, BenchError, BenchTimeoutError, PlatformError, Response
from fleetune.context import Environment

CALL_LIMIT_MS = 20_000  # loading and checking one context, on a slow machine
RUN_LIMIT_MS = 5_000  # beyond what the batches should take


class IndexedStore:
    """JSON values in IndexedDB, locks from the Web Locks API."""

    async def get(self, key: str) -> Any:
        return json.loads(await bridge.get(key))

    async def set(self, key: str, value: Any) -> None:
        await bridge.set(key, json.dumps(value))

    async def delete(self, key: str) -> None:
        await bridge.remove(key)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        release: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hold() -> None:
            held.set_result(None)
            await release

        ended = bridge.locked(name, create_once_callable(hold))
        await held
        try:
            yield
        finally:
            release.set_result(None)
            await ended


class WorkerBench:
    """The bench worker behind its owner (`bench.js`)."""

    async def open(self) -> BenchAbout:
        try:
            about = json.loads(await bridge.benchOpen())
        except JsException as error:
            raise BenchError(f"the timing worker did not start: {error.message}") from error
        return BenchAbout(about["timerStep"], about["isolated"])

    async def _call(self, op: str, args: Mapping[str, Any], limit_ms: float) -> Any:
        try:
            return json.loads(await bridge.bench(op, json.dumps(args), limit_ms))
        except JsException as error:
            kind = BenchTimeoutError if error.name == "TimeoutError" else BenchError
            raise kind(error.message) from error

    async def load(
        self, kernel: str, candidates: Sequence[str], size: int, pattern: str, *, copied: bool, seed: int
    ) -> Mapping[str, str]:
        args = {
            "kernel": kernel,
            "candidates": list(candidates),
            "size": size,
            "pattern": pattern,
            "copied": copied,
            "seed": seed,
        }
        failed: dict[str, str] = (await self._call("load", args, CALL_LIMIT_MS))["failed"]
        return failed

    async def check(self, candidate: str) -> str | None:
        error: str | None = (await self._call("check", {"candidate": candidate}, RUN_LIMIT_MS))["error"]
        return error

    async def calibrate(self, candidate: str, target_ms: float) -> tuple[int, float]:
        args = {"candidate": candidate, "targetMs": target_ms}
        found = await self._call("calibrate", args, RUN_LIMIT_MS + 20 * target_ms)
        return found["iterations"], found["ms"]

    async def run(self, order: Sequence[tuple[str, int]]) -> list[float]:
        limit = RUN_LIMIT_MS + 1000.0 * len(order)
        times: list[float] = await self._call("run", {"order": [list(item) for item in order]}, limit)
        return times


class BrowserPlatform:
    """The worker that Pyodide runs in."""

    def __init__(self) -> None:
        self.store = IndexedStore()
        self.bench = WorkerBench()

    async def fetch(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        sent = None if body is None else to_js(body)
        try:
            status, found, data = await bridge.fetch(method, path, sent, json.dumps(dict(headers or {})))
        except JsException as error:
            raise PlatformError(f"the server cannot be reached: {error.message}") from error
        return Response(status, json.loads(found), data.to_bytes())

    def now(self) -> float:
        return time.time()

    def entropy(self, length: int) -> bytes:
        return bytes(bridge.entropy(length).to_bytes())

    async def sleep(self, seconds: float) -> None:
        await bridge.sleep(seconds)

    async def ed25519_verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        try:
            return bool(await bridge.verifyEd25519(to_js(public_key), to_js(signature), to_js(message)))
        except JsException as error:
            raise PlatformError(f"this browser cannot check Ed25519 signatures: {error.message}") from error

    def emit(self, event: str, data: Any) -> None:
        bridge.emit(event, json.dumps(data))

    def privacy_signal(self) -> bool:
        return bool(bridge.privacySignal())

    def environment(self) -> Environment:
        return Environment.from_wire(json.loads(bridge.environmentJson()))


def boot() -> dict[str, Any]:
    """`GET /api/boot.json` as the worker fetched it."""
    found: dict[str, Any] = json.loads(bridge.bootJson())
    return found


def manifest() -> dict[str, Any]:
    """`GET /api/kernels` as the worker fetched it."""
    found: dict[str, Any] = json.loads(bridge.manifestJson())
    return found
