"""The push: newest wins, nobody holds up anybody, strangers stay out. Sockets are real, over uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fleetune_server.commands import serve
from fleetune_server.deliver import push
from fleetune_server.deliver.hub import Hub
from fleetune_server.deliver.push import allowed
from fleetune_server.settings import Settings
from fleetune_server.state import KEY


class Served:
    """A hub behind a real port, on the settings of `fleetune serve`; `version` is what it announces."""

    def __init__(self, beat: float, silent: float) -> None:
        self.version = 1
        self.hub = Hub(lambda _draw: self.version, settle=0.02, beat=beat, silent=silent)
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
async def serving(beat: float = 30, silent: float = 100) -> AsyncIterator[Served]:
    served = Served(beat, silent)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Served]]:
        yield {KEY: served}
        await served.hub.close()

    listener = serve.listen(served.settings)
    listener.listen()  # connections may come before the server has started
    port = listener.getsockname()[1]
    served.settings = replace(served.settings, port=port)
    served.url = f"ws://127.0.0.1:{port}/ws"
    server = uvicorn.Server(serve.config(Starlette(lifespan=lifespan)))
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


async def hello(socket: ClientConnection, version: int = 1, **more: object) -> None:
    await socket.send(json.dumps({"type": "hello", "version": version, **more}))


async def next_model(socket: ClientConnection, seconds: float = 5) -> int:
    async with asyncio.timeout(seconds):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == "model":
                return int(message["version"])


async def listen_to(socket: ClientConnection, heard: list[str | bytes]) -> None:
    while True:
        heard.append(await socket.recv())


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


async def test_a_close_between_two_fragments_is_answered_as_any_other(served: Served) -> None:
    async with connect(served.url) as client:
        client.protocol.send_text(b'{"type": "hello",', fin=False)
        client.protocol.send_close(1000)
        client.send_data()
        await asyncio.wait_for(client.wait_closed(), 5)
    assert (client.close_code, client.protocol.close_rcvd_then_sent) == (1000, False)


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


async def test_a_peer_that_takes_nothing_is_neither_read_nor_waited_for(served: Served) -> None:
    """Pings without end, whose answers nobody takes."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", served.settings.port, limit=1)
    writer.write(HANDSHAKE)
    taken = 0

    async def flood() -> None:
        nonlocal taken
        while True:
            writer.write(1000 * (b"\x89\xfd\0\0\0\0" + 125 * b"p"))
            await writer.drain()
            taken += 1

    flooding = asyncio.create_task(flood())
    before = -1
    async with asyncio.timeout(8):
        while taken > before:
            before = taken
            await asyncio.sleep(0.5)
    assert taken, "at first it is heard"
    flooding.cancel()
    writer.transport.abort()
