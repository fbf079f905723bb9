"""Endless and slow senders against a server without a proxy: it answers others and stays small."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests import few_files, tiny
from tests.hostile import memory
from tests.running import Running, server
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleetune_server.commands import serve
from fleetune_server.commands.serve import RESERVE, SHARE
from fleetune_server.http.push import MAX_MESSAGE
from fleetune_server.settings import Settings

SECONDS = 3.0  # of each attack
ANSWER = (
    1.0  # seconds, at most, to an honest request meanwhile; busy machines get SLACK times a quiet answer more
)
SLACK = 5
GROWTH = 20e6  # bytes, at most
BODY_SECONDS = 1.5
ENDLESS = 64 << 20  # bytes: more than a sender should get rid of


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("slow")
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "body_seconds": BODY_SECONDS}
    with server(folder, **settings) as started:
        for _ in range(300):  # until its memory has its usual size
            httpx.get(started.url + "healthz")
        yield started


def port(running: Running) -> int:
    return httpx.URL(running.url).port or 80


async def send(running: Running, opening: bytes, drop: bytes, pause: float = 0) -> tuple[bytes, int]:
    """Open with this, then send drops until the server hangs up; what it answered, and how much it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(running))
    taken = 0
    begin = time.monotonic()
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(opening)
        while taken < ENDLESS and time.monotonic() < begin + SECONDS and not reader.at_eof():
            writer.write(drop)
            async with asyncio.timeout(SECONDS):
                await writer.drain()
            taken += len(drop)
            await asyncio.sleep(pause)
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(0.2):
            answer = await reader.read(1000)
    writer.transport.abort()
    return answer, taken


async def ask(running: Running) -> float:
    """Seconds until a stranger has an answer, on a connection of its own."""
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port(running))
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    return time.perf_counter() - begin


async def attacked(running: Running, attacks: list[tuple[bytes, bytes, float]]) -> list[tuple[bytes, int]]:
    """All attacks at once: others have their answers, and the server does not grow."""
    before = memory(running.process.pid)
    quiet = max([await ask(running) for _ in range(10)])
    under_way = asyncio.gather(*(send(running, *attack) for attack in attacks))
    await asyncio.sleep(
        0.1 if len(attacks) < 100 else 0.5
    )  # opening many sockets keeps this process busy, too
    waits: list[float] = []
    sizes: list[int] = []
    while not (waits and under_way.done()):
        waits.append(await ask(running))
        sizes.append(memory(running.process.pid))
        await asyncio.sleep(0.05)
    assert max(waits) < ANSWER + SLACK * quiet
    assert max(sizes) - before < GROWTH
    return await under_way


HEAD = b"POST /api/telemetry HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
UNWANTED = b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
BLOCK = 65_536
ATTACKS = {
    "an address": (b"GET /", b"a" * BLOCK),
    "one header": (HEAD + b"x: ", b"a" * BLOCK),
    "headers": (HEAD, b"x: y\r\n" * (BLOCK // 6)),
    "empty lines": (b"", b"\r\n" * (BLOCK // 2)),
    "a body": (HEAD + b"content-length: 99999999999\r\n\r\n", b"a" * BLOCK),
    "a body that nobody reads": (UNWANTED + b"content-length: 99999999999\r\n\r\n", b"a" * BLOCK),
    "chunks": (CHUNKED, b"10000\r\n" + b"a" * BLOCK + b"\r\n"),
    "chunks of one byte": (CHUNKED, b"1\r\na\r\n" * (BLOCK // 6)),
    "chunks of one byte that nobody reads": (
        UNWANTED + b"transfer-encoding: chunked\r\n\r\n",
        b"1\r\na\r\n" * (BLOCK // 6),
    ),
    "the size of a chunk": (CHUNKED, b"0" * BLOCK),
    "the extension of a chunk": (CHUNKED + b"1;", b"a" * BLOCK),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * (BLOCK // 6)),
    "one trailer": (CHUNKED + b"0\r\nx: ", b"a" * BLOCK),
    "requests": (b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * (BLOCK // 36)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ATTACKS)
async def test_nothing_without_end_stops_or_fills_the_server(running: Running, kind: str) -> None:
    opening, drop = ATTACKS[kind]
    await attacked(running, [(opening, drop, 0)] * 4)


@pytest.mark.parametrize(
    "opening",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        HEAD + b"x: " + b"a" * 8000,
        HEAD + b"content-length: 60000\r\n\r\n" + b"a" * 8000,
        CHUNKED + b"0\r\nx: " + b"a" * 8000,
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a trailer"],
)
async def test_many_sockets_that_say_no_more_stop_nobody(running: Running, opening: bytes) -> None:
    await attacked(running, [(opening, b"", 0.5)] * 500)


def test_one_network_leaves_connections_for_others_and_heads_must_end(tmp_path: Path) -> None:
    """`ulimit -n 160`: 139 sockets of one client, each of which stops in its head."""
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    with server(tmp_path, **settings, program="tests.few_files") as running, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", port(running))
        held = [
            stack.enter_context(socket.create_connection(address, 5, source_address=("127.0.1.1", 0)))
            for _ in range(139)
        ]
        for one in held:
            with contextlib.suppress(OSError):
                one.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        assert asyncio.run(ask(running)) < ANSWER * SLACK
        cut_off = sum(_ended(one, 0.01) for one in held)
        assert cut_off >= len(held) - (few_files.FILES - RESERVE) // SHARE
        assert all(_ended(one, 10) for one in held), "a head that does not end in time ends the connection"


def _ended(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side hangs up within this time."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_what_is_left_of_a_body_that_nobody_wants_is_not_listened_to(running: Running) -> None:
    for request, status in (
        (UNWANTED + b"content-length: 500\r\n\r\n", b"200"),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"404"),
        (HEAD + b"content-length: 100000\r\n\r\n", b"413"),
        (HEAD + b"content-length: 500\r\n\r\nhalf", b"408"),
    ):
        with socket.create_connection(("127.0.0.1", port(running)), timeout=5) as client:
            client.sendall(request)
            answer = b""
            while part := client.recv(1000):
                answer += part
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"\r\nconnection: close\r\n" in answer


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
    config = serve.config(lambda scope, receive, send: asyncio.sleep(0))
    fixed = {
        "h11_max_incomplete_event_size": 16_384,
        "loop": "uvloop",
        "ws": "websockets-sansio",
        "ws_max_size": MAX_MESSAGE,
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
    assert isinstance(config.http, type)
    assert issubclass(config.http, H11Protocol)  # httptools collects headers and trailers without end
