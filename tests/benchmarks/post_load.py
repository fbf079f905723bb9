"""Requests as fast as they are answered, or at a steady pace: raw keep-alive connections, prepared bodies."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from itertools import cycle
from typing import cast

CONNECTIONS = 64
NONCE = b"0" * 32  # stands for the nonce in a prepared packet


class Bodies:
    """Requests without end: real packets, each time with another nonce."""

    def __init__(self, packets: Sequence[bytes], batch: int = 1) -> None:
        assert all(packet.count(NONCE) == 1 for packet in packets)
        self.parts = cycle([packet.split(NONCE) for packet in packets])
        self.batch = batch

    def __next__(self) -> bytes:
        packets = []
        for _ in range(self.batch):
            before, after = next(self.parts)
            packets.append(before + secrets.token_hex(16).encode() + after)
        body = packets[0] if self.batch == 1 else b"[" + b",".join(packets) + b"]"
        lines = ("host: x", "content-type: application/json", f"content-length: {len(body)}", "", "")
        head = "\r\n".join(("POST /api/telemetry HTTP/1.1", *lines))
        return head.encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection; `answered` is called with itself after each whole response."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.begun = 0.0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self, begun: float) -> None:
        self.begun = begun
        self.transport.write(next(self.load.bodies))

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        self.received = b""
        self.load.answered(self, head[9:12])


class Load:
    """Either as fast as answers come (pace 0) or `pace` requests a second, from the moment each was due."""

    def __init__(self, bodies: Bodies, pace: float) -> None:
        self.bodies = bodies
        self.pace = pace
        self.seconds: list[float] = []
        self.refused: dict[bytes, int] = {}
        self.idle: list[Connection] = []
        self.due: list[float] = []
        self.ending = False
        self.quiet = asyncio.Event()

    def answered(self, connection: Connection, status: bytes) -> None:
        now = time.perf_counter()
        self.seconds.append(now - connection.begun)
        if status not in (b"200", b"202"):
            self.refused[status] = self.refused.get(status, 0) + 1
        if not self.pace and not self.ending:
            connection.ask(now)
        elif self.due:
            connection.ask(self.due.pop(0))
        else:
            self.idle.append(connection)
            if self.ending and len(self.idle) == CONNECTIONS:
                self.quiet.set()

    async def run(self, port: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            for _ in range(CONNECTIONS)
        ]
        begin = time.perf_counter()
        self.idle = [connection for _transport, connection in made]
        if not self.pace:
            starting, self.idle = self.idle, []
            for connection in starting:
                connection.ask(begin)
            await asyncio.sleep(seconds)
        sent = 0
        while self.pace and (now := time.perf_counter()) < begin + seconds:
            while sent < (now - begin) * self.pace:
                due = begin + sent / self.pace
                self.idle.pop(0).ask(due) if self.idle else self.due.append(due)
                sent += 1
            await asyncio.sleep(0.001)
        self.ending = True
        if len(self.idle) < CONNECTIONS:
            await self.quiet.wait()
        for transport, _connection in made:
            transport.close()
