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

from fleetune_server.deliver.hub import Hub, Subscriber
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


# Below, clients whose buffers are full: their sends wait on a gate.


class Slow:
    """A client that takes messages only while its gate is open."""

    def __init__(self, version: int = 1) -> None:
        self.gate = asyncio.Event()
        self.received: list[int] = []
        self.ended = False
        self.subscriber = Subscriber(self.send, self.close, self.end, version)

    async def send(self, version: int) -> None:
        await self.gate.wait()
        self.received.append(version)

    async def close(self, code: int) -> None:
        await self.gate.wait()

    def end(self) -> None:
        self.ended = True


async def test_one_slow_client_holds_up_nobody_and_gets_only_the_newest() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0, stalled=60)
    slow, fast = Slow(), Slow()
    fast.gate.set()
    for client in (slow, fast):
        hub.join(client.subscriber)
    for version in range(2, 7):
        await hub.announce(version)
        await hub.settled()
    assert fast.received == [2, 3, 4, 5, 6]
    assert slow.received == []
    slow.gate.set()
    await asyncio.sleep(0.05)
    assert slow.received == [2, 6], "the one under way, then the newest"
    await hub.close()


async def test_a_client_that_never_reads_is_dropped() -> None:
    hub = Hub(lambda _draw: 2, settle=0, stalled=0.1)
    slow = Slow()
    hub.join(slow.subscriber)
    await asyncio.sleep(0.3)
    assert (len(hub), hub.dropped, slow.ended, slow.subscriber.gone) == (0, 1, True, True)
    await hub.close()


async def test_a_send_that_fails_drops_only_that_client() -> None:
    hub = Hub(lambda _draw: 2, settle=0)
    good = Slow()
    good.gate.set()
    broken = Slow()

    async def fail(version: int) -> None:
        raise ConnectionResetError

    broken.subscriber.send = fail
    hub.join(broken.subscriber)
    hub.join(good.subscriber)
    assert (len(hub), good.received, broken.ended) == (1, [2], True)
    await hub.close()


async def test_other_work_goes_on_during_a_broadcast() -> None:
    version = 1
    hub = Hub(lambda _draw: version, settle=0)
    order: list[str] = []

    async def send(_version: int) -> None:
        order.append("send")

    async def close(_code: int) -> None:
        return

    for _ in range(1000):
        hub.join(Subscriber(send, close, lambda: None, 1))
    version = 2
    await hub.announce(2)

    async def other() -> None:
        while len(order) < 1000:
            order.append("other")
            await asyncio.sleep(0)

    await other()
    assert order.count("other") >= 8, "a turn every hundred sends"
    await hub.close()


async def test_closing_does_not_wait_for_clients_that_never_read() -> None:
    hub = Hub(lambda _draw: 1)
    hub.join(Slow().subscriber)
    async with asyncio.timeout(3):
        await hub.close()
    assert len(hub) == 0


async def test_a_session_draw_decides_who_is_told_of_a_candidate() -> None:
    hub = Hub(lambda draw: 2 if draw is not None and draw < 100 else 1, settle=0)
    chosen, other, silent = (Slow() for _ in range(3))
    for client, draw in ((chosen, 99), (other, 100), (silent, None)):
        client.gate.set()
        client.subscriber.draw = draw
        hub.join(client.subscriber)
    await hub.announce(2)
    await hub.settled()
    assert (chosen.received, other.received, silent.received) == ([2], [], [])
    await hub.close()
