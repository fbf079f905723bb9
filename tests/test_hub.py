"""The push: newest wins, nobody holds up anybody, strangers stay out. Sockets are real, over uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fleetune_server.commands import serve
from fleetune_server.http import push
from fleetune_server.http.push import allowed
from fleetune_server.publish.hub import Hub
from fleetune_server.runtime import KEY
from fleetune_server.settings import Settings


class Served:
    """A hub behind a real port, on the settings of `fleetune serve`; `version` is what it announces."""

    def __init__(self, beat: float) -> None:
        self.version = 1
        self.hub = Hub(lambda _draw: self.version, settle=0.02, beat=beat)
        self.settings = replace(Settings(), port=0, push_origins=("https://listed.example",))
        self.url = ""

    @property
    def own(self) -> str:
        """The origin of its own pages."""
        return self.url.replace("ws:", "http:").removesuffix("/ws")

    async def publish(self, version: int) -> None:
        self.version = version
        await self.hub.announce(version)


@asynccontextmanager
async def serving(beat: float = 30, files: int | None = None) -> AsyncIterator[Served]:
    served = Served(beat)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Served]]:
        yield {KEY: served}
        await served.hub.close()

    listener = serve.listen(served.settings)
    listener.listen()  # connections may come before the server has started
    port = listener.getsockname()[1]
    served.settings = replace(served.settings, port=port)
    served.url = f"ws://127.0.0.1:{port}/ws"
    app = Starlette(routes=[WebSocketRoute("/ws", push.Push(files))], lifespan=lifespan)
    server = uvicorn.Server(serve.config(app))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield served
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def hello(client: ClientConnection, version: int = 1, **more: object) -> None:
    await client.send(json.dumps({"type": "hello", "version": version, **more}))


async def next_model(client: ClientConnection, seconds: float = 5) -> int:
    async with asyncio.timeout(seconds):
        while True:
            message = json.loads(await client.recv())
            if message["type"] == "model":
                return int(message["version"])


async def joined(hub: Hub, count: int) -> None:
    async with asyncio.timeout(5):
        while len(hub) != count:  # noqa: ASYNC110  (the hub has no event for tests)
            await asyncio.sleep(0.01)


async def test_a_client_that_is_behind_is_told_at_once_and_no_other(
    served: Served,
) -> None:
    served.version = 5
    async with connect(served.url) as behind, connect(served.url) as current, connect(served.url) as ahead:
        await hello(behind, 3)
        assert await next_model(behind) == 5
        await hello(current, 5)
        await hello(ahead, 6)
        for quiet in (current, ahead):
            with pytest.raises(TimeoutError):
                await next_model(quiet, 0.3)


async def test_a_new_version_reaches_everyone_and_says_nothing_else(served: Served) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(served.url)) for _ in range(30)]
        for client in clients:
            await hello(client)
        await joined(served.hub, 30)
        await served.publish(2)
        for client in clients:
            assert json.loads(await client.recv()) == {"type": "model", "version": 2}


async def test_one_network_cannot_take_every_socket_nor_all_of_them_every_file() -> None:
    async with serving(files=100) as served, contextlib.AsyncExitStack() as stack:
        served.settings = replace(served.settings, trusted_proxy=("127.0.0.1",))

        async def come(address: str) -> ClientConnection | None:
            made = connect(served.url, additional_headers={"X-Forwarded-For": address})
            try:
                return await stack.enter_async_context(made)
            except InvalidStatus:
                return None

        crowd = [await come(f"203.0.113.{n}") for n in range(30)]
        held = [client for client in crowd if client]
        assert len(held) == 9, "a quarter of 36, for all of one /24 together"
        others = [await come(f"198.51.{n}.1") for n in range(60)]
        assert sum(client is not None for client in others) == 36 - 9, "64 files are left for requests"
        await held[0].close()
        async with asyncio.timeout(5):
            while not await come("192.0.2.1"):  # noqa: ASYNC110  (nothing tells when a seat is free)
                await asyncio.sleep(0.05)


async def test_a_burst_of_publications_is_told_once_with_the_newest(served: Served) -> None:
    async with connect(served.url) as client:
        await hello(client)
        await joined(served.hub, 1)
        for version in range(2, 20):
            await served.publish(version)
        assert await next_model(client) == 19
        with pytest.raises(TimeoutError):
            await next_model(client, 0.3)


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        "null",
        '{"type": "hello"}',
        '{"type": "hello", "version": -1}',
        '{"type": "hello", "version": true}',
        '{"type": "hello", "version": 1e400}',
        '{"type": "hello", "version": 99999999999}',
        '{"type": "hello", "version": 1, "draw": 1000}',
        '{"type": "hello", "version": 1, "name": "Ann"}',
        '{"type": "other", "version": 1}',
        "[" * 4000,
        b"\x00\x01",
    ],
)
async def test_anything_but_a_hello_ends_the_connection(served: Served, message: str | bytes) -> None:
    async with connect(served.url) as client:
        await client.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    await joined(served.hub, 0)


async def test_a_message_over_four_kilobytes_ends_the_connection(served: Served) -> None:
    async with connect(served.url) as client:
        await client.send(json.dumps({"type": "hello", "version": 1, "draw": "x" * 5000}))
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009


async def test_pages_of_other_origins_are_refused_before_the_handshake(served: Served) -> None:
    for origin in (served.own, "https://listed.example", None):
        async with connect(served.url, origin=origin) as client:  # type: ignore[arg-type]
            await hello(client, 0)
            assert await next_model(client) == 1
    for origin in ("https://evil.example", "null", served.own + "0", "file://", "http://["):
        with pytest.raises(InvalidStatus) as caught:
            await connect(served.url, origin=origin)  # type: ignore[arg-type]
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    ("setting", "status"), [("", 403), ("https://one.example, https://two.example", 101)]
)
def test_an_operator_lists_the_origins_of_embedding_pages(setting: str, status: int) -> None:
    origins = Settings.from_env({"FLEETUNE_PUSH_ORIGINS": setting}).push_origins
    assert allowed("https://two.example", ["tuner.example"], origins) == (status == 101)
    assert allowed("https://two.example", ["tuner.example"], ["*"])


@pytest.mark.parametrize("path", ["/", "/ws/", "/api/model/latest"])
async def test_other_paths_are_refused(served: Served, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(served.url.removesuffix("/ws") + path)
    assert caught.value.response.status_code == 403


async def test_two_origins_are_refused(served: Served) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(served.url, additional_headers=[("Origin", served.own)] * 2)
    assert caught.value.response.status_code == 400


async def test_messages_in_fragments_and_control_frames_between_them_are_heard(served: Served) -> None:
    served.version = 5
    async with connect(served.url) as client:
        pong = await client.ping()
        await client.send(['{"type": "hello",', ' "version"', ": 4}"])
        await asyncio.wait_for(pong, 5)
        assert await next_model(client) == 5


async def test_text_that_is_not_utf_8_ends_the_connection(served: Served) -> None:
    async with connect(served.url) as client:
        await client.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1007


async def test_a_client_that_never_says_hello_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "HELLO_SECONDS", 0.1)
    async with connect(served.url) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


async def test_a_ping_between_two_fragments_is_answered_before_what_they_say(served: Served) -> None:
    served.version = 5
    reader, writer = await asyncio.open_connection("127.0.0.1", served.settings.port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    first, second = b'{"type": "hello",', b' "version": 4}'
    frames = ((0x01, first), (0x89, b"ping"), (0x80, second))
    writer.write(b"".join(bytes([kind, 0x80 | len(data), 0, 0, 0, 0]) + data for kind, data in frames))
    assert await asyncio.wait_for(reader.readexactly(6), 5) == b"\x8a\x04ping"
    assert await asyncio.wait_for(reader.readexactly(33), 5) == b'\x81\x1f{"type": "model", "version": 5}'
    writer.close()


async def test_heartbeats_ask_for_an_answer_and_the_silent_are_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "SILENT_SECONDS", 0.5)
    async with serving(0.1) as served, connect(served.url) as loud, connect(served.url) as silent:
        for client in (loud, silent):
            await hello(client)
        for _ in range(12):
            assert json.loads(await loud.recv()) == {"type": "heartbeat"}
            await hello(loud)
        await asyncio.wait_for(silent.wait_closed(), 5)
        assert (len(served.hub), served.hub.dropped, silent.close_code) == (1, 1, 1008)


async def test_a_client_that_never_reads_is_evicted_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its buffers are filled with notices; then it hears nothing more and its connection ends."""
    monkeypatch.setattr(push, "notice", lambda version: large(version))

    def large(version: int) -> dict[str, str]:
        return {
            "type": "websocket.send",
            "text": json.dumps({"type": "model", "version": version}) + " " * 500_000,
        }

    async with serving() as served, connect(served.url, max_size=None) as reader:
        served.hub.stalled = 0.5
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", served.settings.port))
        said = json.dumps({"type": "hello", "version": 1}).encode()
        await loop.sock_sendall(raw, HANDSHAKE)
        assert b" 101 " in await loop.sock_recv(raw, 1000)
        await loop.sock_sendall(raw, bytes([0x81, 0x80 | len(said), 0, 0, 0, 0]) + said)
        await hello(reader)
        await joined(served.hub, 2)
        for version in range(2, 30):
            await served.publish(version)
            assert await next_model(reader) == version
            if len(served.hub) == 1:
                break
        await joined(served.hub, 1)
        assert served.hub.dropped == 1
        raw.close()


async def test_stopping_sends_everyone_away_to_come_back() -> None:
    async with serving() as served:
        client = await connect(served.url)
        await hello(client)
        await joined(served.hub, 1)
    await asyncio.wait_for(client.wait_closed(), 5)
    assert client.close_code == 1012


async def test_messages_are_not_compressed(served: Served) -> None:
    async with connect(served.url) as client:
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers
