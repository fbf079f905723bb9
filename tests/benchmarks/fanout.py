"""How fast a new version reaches every open page: the hub against `websockets`' own broadcast, in one run.

`python tests/benchmarks/fanout.py --clients 10000 [--stalled 0.1] [--json]`. Each server is a process of its
own with one worker; the clients are raw sockets in this process: a client library would cost more than
the server. A stalled client never reads. Memory is the server's growth per connection. At last a server
restarts, and its clients come back after the delays that browser/web/shared/socket.js draws.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import uvloop

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.returning import returning  # noqa: E402

HELLO = json.dumps({"type": "hello", "version": 1}).encode()
ROUNDS = 5
PAUSE = 0.5  # seconds between rounds


@dataclass
class Server:
    """A child process; commands go to its stdin, one line each, answered by one line."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(kind: str, port: int = 0) -> Server:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", kind, "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return Server(process, int(process.stdout.readline()))


def more_files() -> int:
    """Raise the limit of open files as far as it goes; what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connect(port: int, slow: bool) -> socket.socket:
    """A raw WebSocket that has said hello."""
    client = socket.socket()
    if slow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    assert b" 101 " in answer, answer
    client.sendall(bytes([0x81, 0x80 | len(HELLO), 0, 0, 0, 0]) + HELLO)
    client.setblocking(False)
    return client


def measure(kind: str, clients: int, stalled: float) -> dict[str, float]:
    """Medians over the rounds: milliseconds until 50, 99, 100 % of the reading clients have the notice."""
    server = start(kind)
    before = server.memory
    count = round(clients * stalled)
    sockets = [connect(server.port, number < count) for number in range(clients)]
    while int(server.ask("count")) < clients:
        time.sleep(0.1)
    memory = (server.memory - before) / clients
    selector = selectors.EpollSelector()
    for client in sockets[count:]:
        selector.register(client, selectors.EVENT_READ)
    times, cpu, stalls = [], [], []
    for version in range(2, ROUNDS + 2):
        time.sleep(PAUSE)
        cpu_before, begin = server.cpu, time.perf_counter()
        server.ask(f"announce {version}")
        arrived: list[float] = []
        while len(arrived) < clients - count:
            for key, _events in selector.select(10):
                key.fileobj.recv(4096)  # type: ignore[union-attr]
                arrived.append((time.perf_counter() - begin) * 1000)
        times.append(np.percentile(arrived, [50, 99, 100]))
        stalls.append(float(server.ask("stall")))
        cpu.append((server.cpu - cpu_before) * 1000)
    for client in sockets:
        client.close()
    server.process.kill()
    server.process.wait()
    half, most, every = np.median(times, axis=0)
    return {
        "half_ms": round(float(half), 1),
        "p99_ms": round(float(most), 1),
        "all_ms": round(float(every), 1),
        "cpu_ms": round(float(np.median(cpu)), 1),
        "stall_ms": round(float(np.median(stalls)), 1),
        "kib_per_connection": round(memory / 1024, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--stalled", type=float, default=0.1, help="share of clients that never read")
    parser.add_argument(
        "--returning", type=int, default=5000, help="clients of a server that restarts; 0: none"
    )
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        uvloop.run(SERVERS[args.serve](args.port))  # the loop of `fleetune serve`, for both
        return
    if args.clients + 200 > (hard := more_files()):
        raise SystemExit(f"the limit is {hard} open files; ask for fewer clients")
    figures = {
        "clients": args.clients,
        "stalled_share": args.stalled,
        "hub": measure("hub", args.clients, args.stalled),
        "hub_none_stalled": measure("hub", args.clients, 0),
        "websockets_broadcast": measure("broadcast", args.clients, 0),
    }
    hub, alone, bare = (figures[name] for name in ("hub", "hub_none_stalled", "websockets_broadcast"))
    assert isinstance(hub, dict)
    assert isinstance(alone, dict)
    assert isinstance(bare, dict)
    figures["cpu_vs_broadcast"] = round(alone["cpu_ms"] / max(bare["cpu_ms"], 10), 2)
    figures["all_vs_broadcast"] = round(alone["all_ms"] / bare["all_ms"], 2)
    figures["slowdown_by_stalled"] = round(hub["all_ms"] / alone["all_ms"], 2)
    figures["stall_share"] = round(alone["stall_ms"] / alone["all_ms"], 3)
    if args.returning:
        figures |= returning(start, HELLO, args.returning)
    lines = "\n".join(f"{key}: {value}" for key, value in figures.items())
    print(json.dumps(figures) if args.json else lines)


# The servers, each in a process of its own.


async def obey(count: Callable[[], int], announce: Callable[[int], None]) -> None:
    """Answer commands from stdin; watch how long the event loop keeps others waiting."""
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            begin = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - begin - 0.001)

    watching = loop.create_task(watch())
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "announce":
            longest = 0.0
            announce(int(line[1]))
            print("ok", flush=True)
        elif line[0] == "stall":
            print(longest * 1000, flush=True)
        else:
            print(count(), flush=True)
    watching.cancel()


def listen(port: int) -> socket.socket:
    more_files()
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    return listener


async def hub_server(port: int) -> None:
    """The push alone, on the uvicorn settings of `fleetune serve`."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    from fleetune_server.commands.serve import config
    from fleetune_server.http import push
    from fleetune_server.publish.hub import Hub
    from fleetune_server.runtime import KEY
    from fleetune_server.settings import Settings

    version = 1
    hub = Hub(lambda _draw: version, settle=0, beat=3600, stalled=3600)
    push.SILENT_SECONDS = 3600

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, SimpleNamespace]]:
        yield {KEY: SimpleNamespace(hub=hub, settings=Settings())}
        await hub.close()

    def announce(new: int) -> None:
        nonlocal version
        version = new
        announcing.append(asyncio.get_running_loop().create_task(hub.announce(new)))

    announcing: list[asyncio.Task[None]] = []
    app = Starlette(routes=[WebSocketRoute("/ws", push.Push(None))], lifespan=lifespan)
    server = uvicorn.Server(config(app))
    serving = asyncio.create_task(server.serve([listen(port)]))
    await obey(lambda: len(hub), announce)
    server.should_exit = True
    await serving


async def broadcast_server(port: int) -> None:
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    clients: set[ServerConnection] = set()

    async def handler(client: ServerConnection) -> None:
        await client.recv()
        clients.add(client)
        await client.wait_closed()
        clients.discard(client)

    def announce(new: int) -> None:
        broadcast(clients, json.dumps({"type": "model", "version": new}))

    async with serve(handler, sock=listen(port), compression=None, ping_interval=None):
        await obey(lambda: len(clients), announce)


SERVERS = {"hub": hub_server, "broadcast": broadcast_server}

if __name__ == "__main__":
    main()
