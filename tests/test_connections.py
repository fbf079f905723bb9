"""Connections that are held open or filled up, over real sockets; the server's own socket and settings."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from fleetune_server.commands import serve
from fleetune_server.deliver.push import PushSocket
from fleetune_server.intake import connections
from fleetune_server.intake.connections import PatientProtocol
from fleetune_server.intake.lane import PacketProtocol
from fleetune_server.intake.limits import BodyError, read_body
from fleetune_server.settings import Settings

LIMIT = 0.4  # seconds for headers in these tests
BODY = 0.3  # and for bodies that are read
END = 5.0  # by then a connection must be over


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads bodies for POST alone, as our routes do."""
    answer = PlainTextResponse("ok")
    if scope["method"] == "POST":
        try:
            await read_body(scope["headers"], receive, 1000, BODY)
        except BodyError as error:
            answer = PlainTextResponse(error.code, error.status)
    await answer(scope, receive, send)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connections, "HEADER_SECONDS", LIMIT)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=PatientProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def trickle(port: int, opening: bytes, drop: bytes) -> tuple[bytes, float]:
    """Send `opening`, then `drop` again and again; what was answered until the end, and after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.monotonic()

    async def drip() -> None:
        writer.write(opening)
        while True:
            await asyncio.sleep(LIMIT / 8)
            writer.write(drop)
            await writer.drain()

    dripping = asyncio.create_task(drip())
    answer = b""
    try:
        async with asyncio.timeout(END):
            while data := await reader.read(1000):
                answer += data
    except ConnectionError:
        pass
    took = time.monotonic() - begin
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()
    return answer, took


GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n"


@pytest.mark.parametrize(
    ("opening", "drop", "answer"),
    [
        (b"", b"", b""),  # nothing at all
        (b"", b"\r\n", b""),  # what a parser skips before a request
        (GET, b"a: b\r\n", b""),  # headers without end
        (GET[:5], b"a", b""),  # an address without end
        (GET + b"\r\n", b"", b"HTTP/1.1 200"),  # after an answer
        (GET + b"\r\n", b"\r\n", b"HTTP/1.1 200"),
        (GET + b"content-length: 500\r\n\r\n", b"b", b"HTTP/1.1 200"),  # a body that nobody reads
        (GET + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nb\r\n", b"HTTP/1.1 200"),
        (POST, b"b", b"HTTP/1.1 408"),  # a body that somebody reads
        (POST, b"", b"HTTP/1.1 408"),
    ],
)
async def test_nobody_holds_a_connection_by_sending_slowly(
    port: int, opening: bytes, drop: bytes, answer: bytes
) -> None:
    got, took = await trickle(port, opening, drop)
    assert got.startswith(answer)
    assert bool(got) == bool(answer)
    assert took < LIMIT + BODY + 1
    assert took >= min(LIMIT, BODY)


async def test_one_connection_carries_many_requests_for_longer_than_one_may_take(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.monotonic()
    while time.monotonic() < begin + 2 * LIMIT:
        writer.write(POST + b"b" * 500)
        assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(LIMIT / 4)
    writer.close()


@pytest.mark.parametrize("line", [b"x: " + b"a" * 5000 + b"\r\n", b"x: y\r\n" * 1000, b"a" * 5000])
async def test_headers_that_are_too_large_are_refused(port: int, line: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    try:
        async with asyncio.timeout(END):
            writer.write(b"GET / HTTP/1.1\r\n")
            while sent < 100 * connections.HEADER_BYTES and not reader.at_eof():
                writer.write(line)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(line)
            answer = await reader.read(1000)
    except ConnectionError:
        answer = b"HTTP/1.1 400"  # the answer can be lost when the rest is still on its way
    assert answer.startswith(b"HTTP/1.1 400")
    assert sent < 100 * connections.HEADER_BYTES
    writer.close()


def test_a_peer_that_acknowledges_nothing_is_cut_off_by_the_kernel() -> None:
    with serve.listen(replace(Settings(), port=0)) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _address = listener.accept()
            with accepted:
                option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert option == serve.UNACKNOWLEDGED_MS > 0
            client.close()


def test_how_uvicorn_runs_is_fixed_in_code() -> None:
    config = serve.config(PlainTextResponse("ok"))
    fixed = {
        "http": PacketProtocol,  # on httptools
        "loop": "uvloop",
        "ws": PushSocket,
        "ws_max_size": 4096,
        "ws_per_message_deflate": False,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "log_config": None,
        "lifespan": "on",
        "workers": 1,
        "backlog": 2048,
        "timeout_graceful_shutdown": 10,
    }
    assert {name: getattr(config, name) for name in fixed} == fixed
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    assert issubclass(PacketProtocol, PatientProtocol)
    assert issubclass(PatientProtocol, HttpToolsProtocol)
