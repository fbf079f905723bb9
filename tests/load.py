"""Packets by the thousand against a running server: keep-alive connections, prepared requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from fleetune.context import Context, Environment
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.packet import DAY, build


@dataclass(frozen=True)
class Round:
    """What a client knows: the catalogue and the newest model of one server."""

    url: str
    manifest: Manifest
    model: Model

    @classmethod
    def fetch(cls, url: str) -> Round:
        with httpx.Client(base_url=url) as client:
            latest = client.get("/api/model/latest").raise_for_status().json()
            body = client.get(latest["url"]).raise_for_status().content
            catalogue = client.get("/api/kernels").raise_for_status().json()
        return cls(url, Manifest.load(catalogue), Model.from_bytes(body))

    def packets(self, count: int, environment: Environment) -> list[dict[str, Any]]:
        """Packets that go round all contexts and candidates of the catalogue."""
        rows = self.model.predict_table(list(self.manifest.kernels.values()), environment)
        cells: list[tuple[Any, Context, str, float]] = [
            (row.kernel, row.context, name, mean)
            for row in rows
            for name, mean in zip(row.predictions.candidates, row.predictions.mean.tolist(), strict=True)
            if name != "js"
        ]
        day = int(time.time()) // DAY
        result = []
        for i in range(count):
            kernel, context, name, mean = cells[i * 7919 % len(cells)]
            packet = build(
                kernel,
                context,
                environment,
                name,
                mean,
                mean + 0.1,
                self.model.clip_at(kernel, environment),
                2.0,
                self.model.version,
                day,
            )
            result.append(packet.to_wire())
        return result


@dataclass
class Outcome:
    """Which requests were acknowledged, how long each took, and all of it."""

    acknowledged: list[int] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0


async def hammer(
    url: str, bodies: Sequence[bytes], connections: int = 64, outcome: Outcome | None = None
) -> Outcome:
    """POST every body once; a broken connection ends its share of the work (the server was killed).

    An `outcome` that is handed in can be watched meanwhile.
    """
    outcome = outcome or Outcome()
    queue = iter(range(len(bodies)))
    start = time.perf_counter()
    await asyncio.gather(*(_connection(url, bodies, queue, outcome) for _ in range(connections)))
    outcome.wall = time.perf_counter() - start
    return outcome


async def _connection(url: str, bodies: Sequence[bytes], queue: Any, outcome: Outcome) -> None:
    parts = urlsplit(url)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            for index in queue:
                sent = time.perf_counter()
                head = (
                    f"POST /api/telemetry HTTP/1.1\r\nhost: {parts.netloc}\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(bodies[index])}\r\n\r\n"
                )
                writer.write(head.encode() + bodies[index])
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                status = int(answer[9:12])
                outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
                outcome.seconds.append(time.perf_counter() - sent)
                if status == 202:
                    outcome.acknowledged.append(index)
        finally:
            writer.close()


def encode(packets: Sequence[dict[str, Any]], batch: int = 1) -> list[bytes]:
    """Request bodies of `batch` packets each."""
    if batch == 1:
        return [json.dumps(packet).encode() for packet in packets]
    return [json.dumps(packets[i : i + batch]).encode() for i in range(0, len(packets), batch)]
