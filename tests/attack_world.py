"""What attacks are made on: two real servers, and packets that each will take."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import httpx
from tests import tiny
from tests.running import Running

from fleetune_server.telemetry.limits import PLACE_SHARE

RATE = 1500  # packets an hour from one network, on both servers
OF_PLACES = int(RATE * PLACE_SHARE) * len(tiny.manifest().kernels)  # that it may send of one environment
BATCH = 5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an attack achieved, and whether it failed, as it should."""

    before: Any
    after: Any
    held: bool


@dataclasses.dataclass
class World:
    """A server in the open, one behind a proxy on this machine, and packets that each will take."""

    open: Running
    proxied: Running
    packets: Mapping[str, Iterator[dict[str, Any]]]

    def next(self, running: Running) -> dict[str, Any]:
        return next(self.packets[running.url])

    def post(self, running: Running, count: int, **headers: str) -> int:
        """How many of so many packets were accepted, sent in requests of BATCH."""
        taken = 0
        for _ in range(count // BATCH):
            batch = [self.next(running) for _ in range(BATCH)]
            answer = httpx.post(running.url + "api/telemetry", json=batch, headers=headers)
            taken += answer.json().get("accepted", 0)
        return taken

    def database(self, running: Running) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(running.log.parent / "data" / "fleetune.db"))
