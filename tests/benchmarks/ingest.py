"""How many packets a second of the server's processor takes: `python tests/benchmarks/ingest.py [--json]`.

Interleaved rounds against real servers, each a process of its own: single packets in the open (h11) against a
bare Starlette echo of the same body on the same uvicorn settings (`single_vs_echo`) and on the settings behind
a proxy (httptools, `single_vs_proxied_echo`); packets behind a proxy against that echo (`proxied_vs_echo`);
batches of 50 (`batch_vs_single`), and one commit a request instead of group commit (`group_vs_naive`). Then
packets at a steady pace, alone (`p99_ms`) and while a model is trained on 100,000 reports
(`p99_while_training_ratio`). Rates are medians of packets per CPU-second of the server, its threads and the
kernel's work for it included; wall time stands beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.post_load import CONNECTIONS, NONCE, Bodies, Load  # noqa: E402
from tests.load import Round  # noqa: E402

from fleetune.context import Environment  # noqa: E402

BATCH = 50
PACE = 1000  # packets a second, one a request
TRAINED = 100_000  # reports


@dataclass
class Server:
    """A child process that answers at `port`."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def start(kind: str, folder: Path, **settings: object) -> Iterator[Server]:
    """Run `--serve kind` until the block ends."""
    own = {"port": 0, "data": folder / kind, "rate_packets": 0, "retrain_seconds": 0} | settings
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", kind],
        env=environ | {f"FLEETUNE_{key.upper()}": str(value) for key, value in own.items()},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().rstrip().rstrip("/").rsplit(":", 1)[1]
        yield Server(process, int(port))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@dataclass(frozen=True)
class Rate:
    """Packets a second: of the server's processor and of the clock; the 99th percentile of answers in ms."""

    cpu: float
    wall: float
    p99: float


def measure(server: Server, bodies: Bodies, batch: int, seconds: float, pace: float = 0) -> Rate:
    """One round."""
    load = Load(bodies, pace)
    cpu, begin = server.cpu, time.perf_counter()
    uvloop.run(load.run(server.port, seconds))
    wall, cpu = time.perf_counter() - begin, server.cpu - cpu
    if load.refused:
        raise SystemExit(f"answers other than 200 and 202: {load.refused}")
    packets = len(load.seconds) * batch
    return Rate(packets / max(cpu, 0.01), packets / wall, float(np.percentile(load.seconds, 99)) * 1000)


def while_training(server: Server, bodies: Bodies, seconds: float) -> tuple[float, float, float]:
    """p99 in ms at the steady pace before training, and while it runs on TRAINED reports; its seconds."""
    alone = [measure(server, bodies, 1, seconds, PACE).p99 for _ in range(3)]
    with httpx.Client(base_url=server.url) as client:

        def learning() -> dict[str, object]:
            return dict(client.get("/api/metrics").raise_for_status().json()["learning"])

        many = Bodies([before + NONCE + after for before, after in _take(bodies, 500)], 100)
        while learning()["state"] != "training":  # the server starts it by itself once it has enough
            if int(str(learning()["reports"])) > 2 * TRAINED:
                raise SystemExit("no training began")
            measure(server, many, 100, 0.3)
        begin, during = time.perf_counter(), []
        while learning()["state"] == "training":
            during.append(measure(server, bodies, 1, min(seconds, 2.0), PACE).p99)
        took = time.perf_counter() - begin
    if len(during) < 2:
        raise SystemExit("the training was over too soon to measure beside it")
    return median(alone), median(during[:-1]), took  # the last one may have outlived the training


def _take(bodies: Bodies, count: int) -> list[list[bytes]]:
    return [next(bodies.parts) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--trained", type=Path, help="folder that keeps the first training between runs")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        SERVERS[args.serve]()
        return
    figures = compare(args.rounds, args.seconds, args.trained)
    print(
        json.dumps(figures) if args.json else "\n".join(f"{name}: {value}" for name, value in figures.items())
    )


def compare(rounds: int, seconds: float, trained: Path | None) -> dict[str, object]:
    """All figures."""
    environment = Environment("firefox", 153, "linux", True, True, False, "2-3")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        first = trained or folder / "first"
        if not (first / "group").exists():
            with start("group", first):
                pass  # trains version 1; the others begin with its data
        for kind in ("plain", "proxied", "naive", "learning"):
            shutil.copytree(first / "group", folder / kind)
        servers = {kind: stack.enter_context(start(kind, folder)) for kind in ("echo", "proxied_echo")}
        for kind, data, packets in (
            ("group", "plain", 10**9),
            ("proxied", "proxied", 10**9),
            ("naive", "naive", 10**9),
            ("learning", "learning", TRAINED),
        ):
            server = start(
                "naive" if kind == "naive" else "group",
                folder,
                data=folder / data,
                retrain_packets=packets,
                trusted_proxy="192.0.2.1" if kind == "proxied" else "",
            )
            servers[kind] = stack.enter_context(server)
        servers |= {"single": servers["group"], "batch": servers["group"]}
        known = Round.fetch(servers["group"].url)
        templates = [
            json.dumps(packet | {"nonce": NONCE.decode()}, separators=(",", ":")).encode()
            for packet in known.packets(2000, environment)
        ]
        single, batches = Bodies(templates), Bodies(templates, BATCH)
        kinds = dict.fromkeys(("echo", "proxied_echo", "naive", "single", "proxied"), (single, 1)) | {
            "batch": (batches, BATCH)
        }
        found: dict[str, list[Rate]] = {kind: [] for kind in kinds}
        for _round in range(rounds):
            for kind, (bodies, batch) in kinds.items():
                found[kind].append(measure(servers[kind], bodies, batch, seconds))
        p99, training, took = while_training(servers["learning"], single, 2 * seconds)
    return {
        "single_vs_echo": _ratio(found, "single", "echo", "cpu"),
        "single_vs_proxied_echo": _ratio(found, "single", "proxied_echo", "cpu"),
        "proxied_vs_echo": _ratio(found, "proxied", "proxied_echo", "cpu"),
        "batch_vs_single": _ratio(found, "batch", "single", "cpu"),
        "group_vs_naive": _ratio(found, "single", "naive", "cpu"),
        "p99_ms": round(p99, 2),
        "p99_while_training_ratio": round(training / p99, 2),
        "wall": {
            "single_vs_echo": _ratio(found, "single", "echo", "wall"),
            "proxied_vs_echo": _ratio(found, "proxied", "proxied_echo", "wall"),
            "batch_vs_single": _ratio(found, "batch", "single", "wall"),
            "group_vs_naive": _ratio(found, "single", "naive", "wall"),
        },
        "packets_per_cpu_second": {kind: round(median(r.cpu for r in found[kind])) for kind in found},
        "packets_per_second": {kind: round(median(r.wall for r in found[kind])) for kind in found},
        "p99_at_full_load_ms": {kind: round(median(r.p99 for r in found[kind]), 1) for kind in found},
        "rounds": rounds,
        "pace": PACE,
        "connections": CONNECTIONS,
        "batch": BATCH,
        "training": {"reports": TRAINED, "seconds": round(took, 1), "p99_ms": round(training, 2)},
        "body_bytes": len(templates[0]),
    }


def _ratio(found: dict[str, list[Rate]], kind: str, base: str, what: str) -> float:
    """Median over the rounds of the ratio within each round."""
    pairs = zip(found[kind], found[base], strict=True)
    return round(median(float(getattr(a, what)) / float(getattr(b, what)) for a, b in pairs), 2)


# The servers, each in a process of its own.


def serve_group() -> None:
    from tests.serve import settings_of

    from fleetune_server.commands.serve import serve

    serve(settings_of(dict(os.environ)))


def serve_naive() -> None:
    """The same server, but every request waits its turn for a commit of its own."""
    from fleetune_server.store.base import StoredPacket
    from fleetune_server.store.sqlite import SqliteStore

    turn = asyncio.Lock()
    append = SqliteStore.append

    async def alone(self: SqliteStore, packets: Sequence[StoredPacket]) -> list[bool]:
        async with turn:
            return await append(self, packets)

    SqliteStore.append = alone  # type: ignore[method-assign]
    serve_group()


def serve_echo(proxied: bool = False) -> None:
    """As little as Starlette can do with a body, on the uvicorn settings of `fleetune serve`."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from fleetune_server.commands.serve import config, listen
    from fleetune_server.settings import Settings

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    listener = listen(replace(Settings(), port=0))
    print(f":{listener.getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/api/telemetry", echo, methods=["POST"])])
    uvicorn.Server(config(app, proxied)).run(sockets=[listener])


SERVERS: dict[str, Callable[[], None]] = {
    "echo": serve_echo,
    "proxied_echo": partial(serve_echo, True),
    "group": serve_group,
    "naive": serve_naive,
}

if __name__ == "__main__":
    main()
