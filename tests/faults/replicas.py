"""Two replicas on one PostgreSQL: the database is restarted, a replica is killed, the other carries on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests import tiny
from tests.load import Outcome, Round, encode, hammer
from tests.postgres import Server, cluster
from tests.running import Running, server
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

CLIENTS = 20
ENOUGH = 60  # reports that a new version is trained from
PATIENCE = 60
REPORTS = 6000


@asynccontextmanager
async def balanced(ports: list[int]) -> AsyncIterator[int]:
    """A port behind which the replicas take turns; one that does not answer is passed over, as proxies do."""
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        for port in (*ports[turn % len(ports) :], *ports[: turn % len(ports)]):
            try:
                upstream = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            await asyncio.gather(_pump(reader, upstream[1]), _pump(upstream[0], writer))
            return
        writer.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@dataclass
class Crowd:
    """Clients that come back when their connection ends, and the newest version that each was told."""

    port: int
    told: dict[int, int] = field(default_factory=dict)
    connected: set[int] = field(default_factory=set)
    returned: int = 0

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator[Crowd]:
        tasks = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
        try:
            await self.until(lambda: len(self.connected) == CLIENTS, "not all clients are connected")
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, holds: Callable[[], bool], otherwise: str) -> float:
        """Seconds until it holds."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < PATIENCE, otherwise
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def told_of(self, version: int) -> float:
        """Seconds until every client was told of it."""
        return await self.until(
            lambda: len(self.told) == CLIENTS and min(self.told.values()) >= version,
            f"not everyone is told of version {version}: {sorted(self.told.values())}",
        )

    async def _client(self, number: int) -> None:
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(f"ws://127.0.0.1:{self.port}/ws", compression=None) as socket:
                    hello = {"type": "hello", "version": self.told.get(number, 0), "draw": number}
                    await socket.send(json.dumps(hello))
                    self.connected.add(number)
                    async for message in socket:
                        told = json.loads(message)
                        if told["type"] == "model":
                            self.told[number] = told["version"]
            if number in self.connected:
                self.connected.discard(number)
                self.returned += 1
            await asyncio.sleep(0.05)


def replica_killed(folder: Path) -> dict[str, Any]:
    """A push made on one replica reaches the other's clients; the leading one is killed; the rest goes on."""
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "retrain_packets": ENOUGH}
    with cluster() as database:
        shared = settings | {"store": database.create("fleetune")}
        with server(folder / "a", **shared) as first, server(folder / "b", **shared, new_keys=1) as second:
            return asyncio.run(_watched(first, second))


async def _watched(first: Running, second: Running) -> dict[str, Any]:
    ports = [int(str(urlsplit(running.url).port)) for running in (first, second)]
    async with balanced(ports) as port, Crowd(port).gathered() as crowd:
        shares = [await _sockets(running) for running in (first, second)]
        packets = await asyncio.to_thread(_fresh, second, ENOUGH)
        await hammer(
            second.url, encode(packets, 20), 1
        )  # taken by one, trained by whoever leads, told to all
        pushed = await crowd.told_of(2)
        leader = first if _leads(first) else second
        other = second if leader is first else first
        leader.kill()
        back = await crowd.until(
            lambda: crowd.returned >= min(shares) and len(crowd.connected) == CLIENTS, "clients stay away"
        )
        packets = await asyncio.to_thread(_fresh, other, ENOUGH)
        await hammer(other.url, encode(packets, 20), 1)
        taken_over = await crowd.told_of(3)
    return {
        "clients_by_replica": shares,
        "push_seconds": round(pushed, 2),
        "reconnected_seconds": round(back, 2),
        "next_version_seconds": round(taken_over, 2),
        "clean": min(shares) > 0,
    }


def _fresh(running: Running, count: int) -> list[dict[str, Any]]:
    return Round.fetch(running.url).packets(count, tiny.ENVIRONMENT)


async def _sockets(running: Running) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{running.url}api/metrics")).json()["sockets"])


def _leads(running: Running) -> bool:
    """Only the leader trains, and says so."""
    return any(line["event"] == "published" for line in running.events())


def postgres_restarted(trials: int, folder: Path) -> dict[str, Any]:
    """PostgreSQL crashes and recovers under load: what got 202 is there, once; ours is not restarted."""
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "retrain_packets": 10**6}
    with cluster() as database:
        store = database.create("fleetune")
        with server(folder, store=store, **settings) as running:
            results = [asyncio.run(_crashed(database, running)) for _ in range(trials)]
        told = [line["event"] for line in running.events()]
    result = {
        "trials": trials,
        "acknowledged": sum(r["acknowledged"] for r in results),
        "refused": sum(r["refused"] for r in results),
        "lost": sum(r["lost"] for r in results),
        "reads_failed": [path for r in results for path in r["reads_failed"]],
        "recovery_seconds_most": max(r["recovery_seconds"] for r in results),
        "log_lines": len(told),
    }
    clean = result["acknowledged"] and not result["lost"] and not result["reads_failed"]
    return result | {"clean": bool(clean) and len(told) < 12 * trials + 10}


async def _crashed(database: Server, running: Running) -> dict[str, Any]:
    packets = await asyncio.to_thread(_fresh, running, REPORTS)
    outcome = Outcome()
    load = asyncio.create_task(hammer(running.url, encode(packets), 16, outcome))
    while len(outcome.acknowledged) < 300:  # noqa: ASYNC110 - it only counts
        await asyncio.sleep(0.01)
    await asyncio.to_thread(database.stop, "immediate")
    failed = []
    async with httpx.AsyncClient(base_url=running.url, timeout=40) as client:
        latest = await client.get("api/model/latest")
        for path in ("healthz", latest.json()["url"].lstrip("/"), "metrics", "api/metrics", "api/kernels"):
            answer = await client.get(path)
            if answer.status_code != 200:
                failed.append(f"{path}: {answer.status_code}")
        await asyncio.to_thread(database.start)
        began = time.monotonic()
        await load
        while (await client.get("readyz")).status_code != 200:
            assert time.monotonic() - began < PATIENCE, "it does not recover"
            await asyncio.sleep(0.05)
        recovery = time.monotonic() - began
        kept, lost = [packets[index] for index in outcome.acknowledged], 0
        for start in range(0, len(kept), 100):
            answer = await client.post("api/telemetry", json=kept[start : start + 100])
            lost += answer.raise_for_status().json()["accepted"]
    return {
        "acknowledged": len(kept),
        "refused": REPORTS - len(kept),
        "lost": lost,
        "reads_failed": failed,
        "recovery_seconds": round(recovery, 1),
    }
