"""What a million distinct cells cost a server: `python tests/benchmarks/million_cells.py [--cells 1000000] [--json]`.

Every cell has one report, about the real catalogue in kinds of browsers that there can be. A server with this database
folds them, trains, publishes and makes its public pages, while /healthz and single packets are timed. `--merge` instead
merges what is old, as if 31 days had passed: seconds, cells and bytes before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.load import Round, encode  # noqa: E402
from tests.running import Running, server  # noqa: E402

from fleetune.context import CORES, SYSTEMS, Environment  # noqa: E402
from fleetune.privacy import mechanism  # noqa: E402
from fleetune_research.fleet.simulate import draw_many  # noqa: E402
from fleetune_server.learning import Merging  # noqa: E402
from fleetune_server.store.base import Cell, StoredPacket  # noqa: E402
from fleetune_server.store.sqlite import SqliteStore, open_sqlite  # noqa: E402

NEWEST = {"chromium": 156, "firefox": 153, "webkit": 26}
GROUP = 2000  # packets of one commit
PAUSE = 0.02  # seconds between two probes
EFFECT = 0.1  # ln speedup that every cell is faster than version 1 says
PATIENCE = 3600.0  # seconds that one training may take
SETTINGS: dict[str, object] = {"rate_packets": 0, "hold_seconds": 0, "retrain_seconds": 0, "check_seconds": 0}


def environments() -> Iterator[Environment]:
    """Kinds of browsers as people have them."""
    for (browser, newest), system, cores, threads in itertools.product(
        NEWEST.items(), SYSTEMS, CORES, (False, True)
    ):
        for version in range(newest - 8, newest + 1):
            yield Environment(browser, version, system, True, browser != "webkit", threads, cores)


def packets(known: Round, count: int) -> Iterator[list[StoredPacket]]:
    """A report of each of so many cells, drawn from all that there are, in groups."""
    rng, kernels = np.random.default_rng(1), list(known.manifest.kernels.values())
    kinds = list(environments())
    rng.shuffle(kinds)
    left, group = count, list[StoredPacket]()
    for number, environment in enumerate(kinds):
        cells = [
            (row.kernel, row.context, name, mean)
            for row in known.model.predict_table(kernels, environment)
            for name, mean in zip(row.predictions.candidates, row.predictions.mean.tolist(), strict=True)
            if name != "js"
        ]
        share = -(-left // (len(kinds) - number))
        left -= min(share, len(cells))
        for index in rng.choice(len(cells), min(share, len(cells)), replace=False).tolist():
            kernel, context, name, mean = cells[index]
            clip = known.model.clip_at(kernel, environment)
            cell = Cell(kernel.signature, context, environment, name, known.model.version, 2.0, clip, mean)
            symbol = int(draw_many(mechanism(2.0), np.array([EFFECT / clip]), rng)[0])
            group.append(StoredPacket(cell, symbol, rng.bytes(16).hex(), bool(rng.random() < 0.1)))
            if len(group) == GROUP:
                yield group
                group = []
    yield group


async def fill(path: Path, known: Round, count: int) -> None:
    """A stopped server's database with these packets in it."""
    async with open_sqlite(path, 10 * GROUP) as store:
        for group in packets(known, count):
            await store.append(group)


@dataclass
class Probe:
    """How long strangers wait: for /healthz and for the answer to a packet, each on a connection of its own."""

    url: str
    bodies: Iterator[bytes]
    waits: dict[str, float] = field(default_factory=lambda: {"healthz": 0.0, "packet": 0.0})
    refused: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            await asyncio.gather(self._ask(client), self._send(client))

    async def _ask(self, client: httpx.AsyncClient) -> None:
        while True:
            begin = time.perf_counter()
            (await client.get("healthz")).raise_for_status()
            self.waits["healthz"] = max(self.waits["healthz"], time.perf_counter() - begin)
            await asyncio.sleep(PAUSE)

    async def _send(self, client: httpx.AsyncClient) -> None:
        headers = {"content-type": "application/json"}
        for body in self.bodies:
            begin = time.perf_counter()
            answer = await client.post("api/telemetry", content=body, headers=headers)
            self.refused += answer.status_code != 202
            self.waits["packet"] = max(self.waits["packet"], time.perf_counter() - begin)
            await asyncio.sleep(PAUSE)


async def watched(running: Running, known: Round, version: int) -> dict[str, Any]:
    """The longest waits until this version is published and its public pages are made, and what it took."""
    bodies = encode(known.packets(2000, next(environments())))
    probe = Probe(running.url, itertools.cycle(bodies))
    probing = asyncio.create_task(probe.run())
    figures: dict[str, Any] = {}
    begin = time.perf_counter()
    async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE) as client:
        while True:
            learning = (await client.get("api/metrics")).json()["learning"]
            latest = (await client.get("api/model/latest")).json()["version"]
            if latest >= version or learning["outcome"] in ("refused", "failed"):
                break
            if time.perf_counter() - begin > PATIENCE:
                raise SystemExit("no training ended")
            await asyncio.sleep(1)
        figures["outcome"], figures["reasons"] = learning["outcome"], learning["reasons"]
        figures["until_published_s"] = round(time.perf_counter() - begin, 1)
        figures["longest_wait_s"] = {k: round(v, 3) for k, v in probe.waits.items()}
        begin = time.perf_counter()
        (await client.get("functions")).raise_for_status()
        figures["public_pages_s"] = round(time.perf_counter() - begin, 1)
        figures["longest_wait_with_public_pages_s"] = {k: round(v, 3) for k, v in probe.waits.items()}
        figures["refused_packets"] = probe.refused
        text = (await client.get("metrics")).text
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    for name in ("fold", "train"):
        found = re.search(rf"^fleetune_{name}_seconds_sum (\S+)$", text, re.MULTILINE)
        figures[f"{name}_s"] = round(float(found[1]), 1) if found else None
    children = [running.process.pid, *trainers(running.process.pid)]
    for name, pid in zip(("server", "trainer"), children, strict=False):
        figures[f"{name}_peak_mb"], figures[f"{name}_cpu_s"] = _peak(pid), _cpu(pid)
    return figures


def trainers(pid: int) -> list[int]:
    """The children of a process, the largest first."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return sorted(found, key=_peak, reverse=True)


def _cpu(pid: int) -> float:
    """Seconds of processor time: on a busy machine they say more than the clock's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1000 if found else 0


def size_mb(data: Path) -> int:
    """Database and log."""
    return round(sum(path.stat().st_size for path in data.glob("fleetune.db*")) / 1e6)


def cells(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT COUNT(*) FROM cells").fetchone()[0])


async def merged(path: Path) -> dict[str, Any]:
    """All rounds of a folded database merged, a part at a time as a server does; a waiting packet meanwhile."""
    figures: dict[str, Any] = {"cells_before": cells(path)}
    waits, begin = [0.0], time.perf_counter()
    async with open_sqlite(path, 10 * GROUP) as store:
        await store.fold(time.time() + 1)
        reports = (await store.counts()).reports
        figures["fold_s"] = round(time.perf_counter() - begin, 1)
        probe = asyncio.create_task(_append(store, (await store.sums(1))[0].cell, waits))
        begin = time.perf_counter()
        cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        while parts := await asyncio.to_thread(Merging(str(path)), 1):
            for part in parts:
                await store.merge(Merging.read(part))
        figures["merge_s"] = round(time.perf_counter() - begin, 1)
        figures["merge_cpu_s"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu, 1)
        probe.cancel()
        figures["reports_lost"] = reports - ((await store.counts()).reports - len(waits) + 1)
    return figures | {"longest_commit_s": round(max(waits), 3), "cells_after": cells(path)}


async def _append(store: SqliteStore, cell: Cell, waits: list[float]) -> None:
    """Packets of the next round, each after the last, and how long each commit takes."""
    while True:
        begin = time.perf_counter()
        packet = StoredPacket(replace(cell, version=2), 9, os.urandom(16).hex(), False)
        await asyncio.shield(store.append([packet]))
        waits.append(time.perf_counter() - begin)
        await asyncio.sleep(PAUSE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="folder that keeps the filled database for another run")
    parser.add_argument("--merge", action="store_true", help="only merge what is old")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args()
    figures: dict[str, Any] = {"load": [round(one, 1) for one in os.getloadavg()]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = args.keep / "data" if args.keep else folder / "kept"
        if not kept.is_dir():
            with server(folder / "first", **SETTINGS, data=kept, retrain_packets=10**9) as running:
                known = Round.fetch(running.url)
            begin = time.perf_counter()
            asyncio.run(fill(kept / "fleetune.db", known, args.cells))
            figures["fill_s"] = round(time.perf_counter() - begin, 1)
        data = folder / "data"
        shutil.copytree(kept, data)
        figures["filled_mb"] = size_mb(data)
        if args.merge:
            figures |= asyncio.run(merged(data / "fleetune.db"))
        else:
            with server(folder / "run", **SETTINGS, data=data, retrain_packets=10_000) as running:
                known = Round.fetch(running.url)
                figures |= uvloop.run(watched(running, known, 2))
                figures["database_mb"] = size_mb(data)
            figures["cells"] = cells(data / "fleetune.db")
    if args.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{key}: {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
