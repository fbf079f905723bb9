"""The push: newest wins, nobody holds up anybody, strangers stay out. Sockets are real, over uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fleetune_server.deliver.hub import Hub
from fleetune_server.deliver.push import allowed, push
from fleetune_server.settings import Settings


class Served:
    """A hub behind a real port; `version` is what it announces."""

    def __init__(self, beat: float, silent: float) -> None:
        self.version = 1
        self.hub = Hub(lambda _draw: self.version, settle=0.02, beat=beat, silent=silent)
        self.url = ""

    async def publish(self, version: int) -> None:
        self.version = version
        await self.hub.announce(version)


@asynccontextmanager
async def serving(beat: float = 30, silent: float = 100) -> AsyncIterator[Served]:
    served = Served(beat, silent)

    async def endpoint(websocket: WebSocket) -> None:
        await push(websocket, served.hub, origins=("https://listed.example",))

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    served.url = f"ws://127.0.0.1:{port}/ws"
    config = uvicorn.Config(
        Starlette(routes=[WebSocketRoute("/ws", endpoint)]),
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_per_message_deflate=False,
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield served
    finally:
        await served.hub.close()
        server.should_exit = True
        await task


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


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
    own = served.url.replace("ws:", "http:").removesuffix("/ws")
    for origin in (own, "https://listed.example", None):
        async with connect(served.url, origin=origin) as client:  # type: ignore[arg-type]
            await hello(client, 0)
            assert await next_model(client) == 1
    for origin in ("https://evil.example", "null", own + "0", "file://"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(served.url, origin=origin)  # type: ignore[arg-type]
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    ("setting", "status"), [("", 403), ("https://one.example, https://two.example", 101)]
)
def test_an_operator_lists_the_origins_of_embedding_pages(setting: str, status: int) -> None:
    origins = Settings.from_env({"FLEETUNE_PUSH_ORIGINS": setting}).push_origins
    headers = [(b"host", b"tuner.example"), (b"origin", b"https://two.example")]
    socket = WebSocket({"type": "websocket", "headers": headers}, unused, unused)
    assert allowed(socket, origins) == (status == 101)
    assert allowed(socket, ("*",))


async def unused(*_: object) -> Any:
    raise AssertionError("nothing is sent or received")


async def test_silent_clients_are_let_go_and_answering_ones_stay() -> None:
    async with serving(0.2, 0.6) as served, connect(served.url) as silent, connect(served.url) as alive:
        await hello(silent)
        await hello(alive)
        await joined(served.hub, 2)

        models: asyncio.Queue[int] = asyncio.Queue()

        async def answer() -> None:
            async for message in alive:
                await hello(alive)
                if json.loads(message)["type"] == "model":
                    await models.put(json.loads(message)["version"])

        async with asyncio.TaskGroup() as group:
            task = group.create_task(answer())
            await asyncio.sleep(1.5)
            assert len(served.hub) == 1
            assert served.hub.dropped == 1
            await served.publish(2)
            assert await asyncio.wait_for(models.get(), 5) == 2
            task.cancel()
        heard: list[str | bytes] = []
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(listen_to(silent, heard), 5)
        assert {json.loads(message)["type"] for message in heard} == {"heartbeat"}


async def test_at_shutdown_clients_are_told_to_come_back(served: Served) -> None:
    async with connect(served.url) as client:
        await hello(client)
        await joined(served.hub, 1)
        await served.hub.close()
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
