"""A browser for tests of telemetry: tabs on one store, a clock to move, and a server that can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from tests import releases, tiny

from fleetune.app.platform import Response
from fleetune.app.report import Reporter
from fleetune.context import Context
from fleetune.model import Model
from fleetune.packet import decode
from fleetune.stats import Timed
from fleetune_research.fleet.http import HttpPlatform, MemoryStore

REVISION = 4
MANIFEST = tiny.manifest()
Answer = Callable[[str, str, bytes], Awaitable[Response]]


def model(version: int = 1) -> Model:
    """A trained model of the tiny catalogue."""
    first = releases.first()
    return Model.from_bytes(first if version == 1 else releases.changed(first, version, version))


def timed(speedup: float) -> Timed:
    """A timing of which only the ratio matters; its milliseconds are a sentinel that must never be sent."""
    return Timed(ms=0.0271828, spread=0.0161803, speedup=speedup, low=speedup * 0.99, high=speedup * 1.01)


def measured() -> dict[tuple[str, Context], dict[str, Timed]]:
    """Two contexts, a few candidates."""
    return {
        ("dot", tiny.CONTEXT): {
            "js": timed(1),
            "scalar": timed(1.4142135),
            "vectorization": timed(5.5555555),
        },
        ("saxpy", tiny.CONTEXT): {"js": timed(1), "scalar": timed(1.7320508)},
    }


@dataclass
class Server:
    """Keeps packets as the real one does, and notes every request."""

    kept: dict[str, bytes] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def answer(self, method: str, path: str, body: bytes) -> Response:
        if method == "POST":
            self.kept[decode(body).nonce] = body
            return Response(202, {}, b'{"accepted":1,"duplicates":0}')
        nonces = json.loads(body)["nonces"]
        removed = sum(self.kept.pop(nonce, None) is not None for nonce in nonces)
        late = len(self.folded.intersection(nonces))
        return Response(200, {}, json.dumps({"removed": removed, "alreadyFolded": late}).encode())


class Tab(HttpPlatform):
    """One tab: the browser's `answer` may be replaced to make the network fail; sleeping takes no time."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(httpx.AsyncClient(), lambda: browser.time)
        self.store = browser.store
        self.browser = browser
        self.slept: list[float] = []

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.browser.server.requests.append((method, path, body or b""))
        return await self.browser.answer(method, path, body or b"")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def privacy_signal(self) -> bool:
        return self.browser.gpc


class Browser:
    """One profile: a store, a choice, a clock, and a server."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.server = Server()
        self.answer: Answer = self.server.answer
        self.time = releases.START
        self.gpc = False
        self.tab = self.open()

    def open(self) -> Reporter:
        """A new tab, or the same one reloaded."""
        return Reporter(Tab(self), MANIFEST, tiny.ENVIRONMENT, REVISION)

    async def choose(self, choice: str = "on", **changes: Any) -> None:
        """What the page writes."""
        record = {"choice": choice, "revision": REVISION, "epsilon": 2.0, "perDay": 1, "at": 0, **changes}
        await self.store.set("consent", record)

    def posts(self) -> list[bytes]:
        """Bodies of every packet request."""
        return [body for method, _path, body in self.server.requests if method == "POST"]
