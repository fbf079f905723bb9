"""How clients come back to a server that restarts, with the delays that the page's own code draws."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from tests import node

SOCKET = Path(__file__).parents[2] / "browser" / "web" / "shared" / "socket.js"
ATTEMPTS = 12  # delays drawn for each client
DOWN = 3.0  # seconds without a server
LONGEST = 150.0  # seconds until the measurement ends in any case
WINDOW = 1.0  # seconds
DRAW = """
const { delayAfter } = await import(process.argv[1]);
const one = () => Array.from({ length: ATTEMPTS }, (_, i) => delayAfter(i + 1, true) / 1000);
console.log(JSON.stringify(Array.from({ length: CLIENTS }, one)));
"""


class Server(Protocol):
    """What fanout.py starts."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, command: str) -> str: ...


def delays(clients: int) -> list[list[float]]:
    """Seconds before each attempt of each client, drawn by the page's module in Node."""
    script = DRAW.replace("ATTEMPTS", str(ATTEMPTS)).replace("CLIENTS", str(clients))
    return cast(list[list[float]], node.evaluate(script, SOCKET.as_uri()))


class Client(asyncio.Protocol):
    """One page: says hello, and comes back when the connection is lost or refused, until the end."""

    ended = False

    def __init__(self, port: int, hello: bytes, waits: Sequence[float]) -> None:
        self.port = port
        self.frame = bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello
        self.waits = iter(waits)
        self.joined: list[float] = []  # when each handshake was answered
        self.coming: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, "127.0.0.1", self.port)
        except OSError:
            self.again()

    def again(self) -> None:
        """As the page does after `onclose`."""
        if not self.ended:
            asyncio.get_running_loop().call_later(next(self.waits), self.come)

    def come(self) -> None:
        self.coming = asyncio.create_task(self.connect())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.received.endswith(b"joined"):
            if data[0] == 0x88:  # a close frame
                self.transport.close()
            return
        self.received += data
        if b"\r\n\r\n" in self.received:
            assert b" 101 " in self.received, self.received
            self.joined.append(time.perf_counter())
            self.received = b"joined"
            self.transport.write(self.frame)

    def connection_lost(self, error: Exception | None) -> None:
        self.again()


def returning(start: Callable[..., Server], hello: bytes, clients: int) -> dict[str, Any]:
    """Connect, stop the server, start it again: the busiest second's share of all, and how long it takes."""
    return asyncio.run(_measure(start, hello, clients))


async def _measure(start: Callable[..., Server], hello: bytes, clients: int) -> dict[str, Any]:
    server = start("hub")
    pages = [Client(server.port, hello, waits) for waits in delays(clients)]
    for at in range(0, clients, 100):
        await asyncio.gather(*(page.connect() for page in pages[at : at + 100]))
    while int(await asyncio.to_thread(server.ask, "count")) < clients:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert server.process.stdin is not None
    server.process.stdin.close()  # told to stop: closes its sockets with 1012
    stopped = time.perf_counter()
    await asyncio.to_thread(server.process.wait)
    await asyncio.sleep(max(0.0, stopped + DOWN - time.perf_counter()))
    again = await asyncio.to_thread(start, "hub", server.port)
    up = time.perf_counter()
    end = up + LONGEST
    while sum(len(page.joined) > 1 for page in pages) < clients and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    back = np.sort([page.joined[1] - up for page in pages if len(page.joined) > 1])
    stall = float(await asyncio.to_thread(again.ask, "stall"))
    for page in pages:
        page.ended = True
    again.process.kill()
    again.process.wait()
    await asyncio.gather(*(page.coming for page in pages if page.coming), return_exceptions=True)
    busiest = max(int(np.searchsorted(back, begin + WINDOW) - at) for at, begin in enumerate(back))
    return {
        "returning_clients": clients,
        "returned": len(back),
        "busiest_second_share": round(busiest / clients, 3),
        "return_seconds": {
            "half": round(float(np.percentile(back, 50)), 1),
            "p99": round(float(np.percentile(back, 99)), 1),
            "all": round(float(back[-1]), 1),
        },
        "return_stall_ms": round(stall, 1),
        "down_seconds": DOWN,
    }
