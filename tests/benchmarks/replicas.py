"""What replicas on one PostgreSQL carry: `python tests/benchmarks/replicas.py [--replicas 4] [--sockets 4900]`.

Every replica holds that many sockets. Packets arrive at a steady pace for a minute, an equal share at each replica; the
leader trains on them and publishes a version by itself. Told: answers that were no `202`, how long an answer took, and
after the first notice of the new version how long it took until each replica told its first socket and until the last
socket of all had it. Everything shares this machine, the sockets' other ends too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import selectors
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.fanout import HELLO, connect, more_files  # noqa: E402
from tests.benchmarks.post_load import NONCE, Bodies, Load  # noqa: E402
from tests.load import Round  # noqa: E402
from tests.postgres import cluster  # noqa: E402
from tests.running import server  # noqa: E402

from fleetune.context import Environment  # noqa: E402

PACE = 1000.0  # packets a second, over all replicas
SECONDS = 60.0  # of packets at that pace
REPORTS = 10_000  # the leader trains after so many
ENVIRONMENT = Environment("firefox", 153, "windows", True, True, False, "4-7")
FRAME = bytes([0x81, 0x80 | len(HELLO), 0, 0, 0, 0]) + HELLO


def listen(ports: Sequence[int], sockets: int, ready: Any, done: Any) -> None:
    """Hold `sockets` open at each port, answer heartbeats, and hand back when each heard of a version, by port."""
    more_files()
    selector = selectors.EpollSelector()
    for port in ports:
        for _ in range(sockets):
            selector.register(connect(port, slow=False), selectors.EVENT_READ, port)
    ready.set()
    heard: dict[int, list[float]] = {port: [] for port in ports}
    lost = 0
    begin = time.monotonic()
    while (
        sum(map(len, heard.values())) + lost < sockets * len(ports) and time.monotonic() < begin + 4 * SECONDS
    ):
        for key, _events in selector.select(1):
            try:
                data = key.fileobj.recv(4096)  # type: ignore[union-attr]
            except OSError:
                data = b""
            if b'"model"' in data:
                heard[key.data].append(time.time())
            if b"heartbeat" in data:
                key.fileobj.sendall(FRAME)  # type: ignore[union-attr]
            if not data:
                lost += 1
                selector.unregister(key.fileobj)
    done.put((heard, lost))


def run(folder: Path, replicas: int, sockets: int, pace: float) -> dict[str, Any]:
    if (hard := more_files()) < sockets * replicas + 200:
        raise SystemExit(f"the limit is {hard} open files; ask for fewer sockets")
    settings = {
        "retrain_packets": REPORTS,
        "retrain_seconds": 0,
        "hold_seconds": 1,
        "rate_packets": 0,
        "rollout_clients": 1_000_000,
    }
    with cluster() as postgres, contextlib.ExitStack() as stack:
        shared = settings | {"store": postgres.create("fleetune")}
        running = [stack.enter_context(server(folder / "0", **shared))]
        for number in range(1, replicas):
            data = folder / str(number) / "data"
            shutil.copytree(folder / "0" / "data" / "keys", data / "keys")
            running.append(stack.enter_context(server(folder / str(number), **shared)))
        ports = [int(urlsplit(one.url).port or 0) for one in running]
        spawn = multiprocessing.get_context("spawn")
        ready, done = spawn.Event(), spawn.Queue()
        listener = spawn.Process(target=listen, args=(ports, sockets, ready, done))
        listener.start()
        ready.wait()
        packets = Round.fetch(running[0].url).packets(2000, ENVIRONMENT)
        bodies = Bodies([json.dumps(packet | {"nonce": NONCE.decode()}).encode() for packet in packets])
        loads = [Load(bodies, pace / replicas) for _ in ports]

        async def send() -> None:
            await asyncio.gather(*(load.run(port, SECONDS) for load, port in zip(loads, ports, strict=True)))

        begin = time.perf_counter()
        uvloop.run(send())
        sent_for = time.perf_counter() - begin
        heard, lost = done.get(timeout=5 * SECONDS)
        listener.join()
        latest = httpx.get(f"{running[-1].url}api/model/latest").json()
        said = [event for one in running for event in one.events() if event["level"] != "info"]
    times = [np.array(sorted(of)) for of in heard.values()]
    first = min(float(of[0]) for of in times if len(of))
    seconds = np.concatenate([load.seconds for load in loads])
    refused: dict[str, int] = {}
    for load in loads:
        for status, count in load.refused.items():
            refused[status.decode()] = refused.get(status.decode(), 0) + count
    return {
        "replicas": replicas,
        "sockets": sockets * replicas,
        "sockets_lost": lost,
        "packets": len(seconds),
        "packets_a_second": round(len(seconds) / sent_for, 1),
        "refused": refused,
        "answer_ms": {f"p{p}": round(float(np.percentile(seconds, p)) * 1000, 1) for p in (50, 99)},
        "version": latest["version"],
        "told": int(sum(map(len, times))),
        "first_notice_of_each_replica_ms": [
            round((float(of[0]) - first) * 1000) if len(of) else None for of in times
        ],
        "last_notice_ms": round((max(float(of[-1]) for of in times if len(of)) - first) * 1000),
        "logged": [event.get("event") or event.get("message") for event in said][:5],
        "cpus": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--sockets", type=int, default=4900, help="of each replica")
    parser.add_argument("--pace", type=float, default=PACE, help="packets a second in all")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetune-replicas-") as name:
        found = run(Path(name), args.replicas, args.sockets, args.pace)
    print(json.dumps(found) if args.json else "\n".join(f"{key}: {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
