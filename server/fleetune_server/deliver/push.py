"""`WS /ws`: a client says which version it holds, the server says when there is a newer one. That is all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from functools import partial
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect

from fleetune.signed import MAX_VERSION
from fleetune_server.deliver.distribute import DRAWS
from fleetune_server.deliver.hub import Hub, Subscriber

MAX_MESSAGE = 4096  # bytes
HELLO_SECONDS = 10.0
POLICY, TOO_BIG = 1008, 1009
HEARTBEAT = json.dumps({"type": "heartbeat"})


class HelloError(ValueError):
    """A message that is not a hello; `code` closes the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(f"close {code}")
        self.code = code


async def push(websocket: WebSocket, hub: Hub, origins: Collection[str] = ()) -> None:
    """Serve one connection. A page of another origin is refused before the handshake (403) unless listed."""
    if not allowed(websocket, origins):
        await websocket.close(POLICY)
        return
    await websocket.accept()
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            version, draw = await _hello(websocket)
    except (HelloError, TimeoutError) as error:
        await websocket.close(error.code if isinstance(error, HelloError) else POLICY)
        return
    except WebSocketDisconnect:
        return
    task = asyncio.current_task()
    assert task is not None
    subscriber = Subscriber(partial(_send, websocket), websocket.close, task.cancel, version, draw)
    hub.join(subscriber)
    try:
        code = await _listen(websocket, hub, subscriber)
        if code:
            await websocket.close(code)
    except asyncio.CancelledError:
        if not subscriber.gone:
            raise
        # Dropped: a close frame would wait behind the full buffer. Returning cuts the connection.
    finally:
        hub.leave(subscriber)


def allowed(websocket: WebSocket, origins: Collection[str]) -> bool:
    """Browsers send Origin, and it must be our own host's or listed (`*`: any); other programs send none."""
    origin = websocket.headers.get("origin")
    listed = origin is None or origin in origins or "*" in origins
    return listed or urlsplit(origin).netloc == websocket.headers.get("host")


async def _listen(websocket: WebSocket, hub: Hub, subscriber: Subscriber) -> int:
    """Hear a client until it leaves (0) or breaks the rules (a close code)."""
    while True:
        try:
            version, draw = await _hello(websocket)
        except WebSocketDisconnect:
            return 0
        except HelloError as error:
            return error.code
        hub.heard(subscriber, version, draw)


async def _hello(websocket: WebSocket) -> tuple[int, int | None]:
    """`{"type": "hello", "version": n}` and perhaps `"draw": 0…999`; anything else raises HelloError."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text = message.get("text")
    if text is None:
        raise HelloError(POLICY)
    if len(text) > MAX_MESSAGE:
        raise HelloError(TOO_BIG)
    try:
        wire = json.loads(text)
    except (ValueError, RecursionError):
        raise HelloError(POLICY) from None
    if not isinstance(wire, dict) or wire.get("type") != "hello" or wire.keys() - {"type", "version", "draw"}:
        raise HelloError(POLICY)
    version, draw = wire.get("version"), wire.get("draw")
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise HelloError(POLICY)
    if draw is not None and (type(draw) is not int or not 0 <= draw < DRAWS):
        raise HelloError(POLICY)
    return version, draw


async def _send(websocket: WebSocket, version: int) -> None:
    text = f'{{"type": "model", "version": {version}}}' if version else HEARTBEAT
    await websocket.send({"type": "websocket.send", "text": text})
