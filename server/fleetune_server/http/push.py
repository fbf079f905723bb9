"""`WS /ws`: a client says which version it holds, the server says when there is a newer one. That is all."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from fleetune.signed import MAX_VERSION
from fleetune_server.common.health import MORE_FILES
from fleetune_server.publish.distribute import DRAWS
from fleetune_server.publish.hub import HEARTBEAT, Hub, Subscriber
from fleetune_server.runtime import KEY, State
from fleetune_server.settings import proxy_networks
from fleetune_server.telemetry.limits import Sender, sender_of

MAX_MESSAGE = 4096  # bytes; clients have next to nothing to say
HELLO_SECONDS = 10.0  # until the first hello
SILENT_SECONDS = 100.0  # between two; pages answer each heartbeat with one
CLOSE_SECONDS = 1.0  # until a close frame is on its way
POLICY = 1008  # close code
RESERVE = 64  # file descriptors that sockets leave for everything else, or a quarter of all
SHARE = 4  # one address prefix may hold one in so many of the sockets

log = logging.getLogger(__name__)


class Seats:
    """How many sockets may be open: in all, so that files are left for requests, and of one address prefix, so
    that one network cannot take them all. Who is refused asks for new versions by request instead."""

    def __init__(self, files: int | None) -> None:
        """`files`: file descriptors of this process; None for no limit."""
        self.most = math.inf if files is None else max(files - max(files // 4, RESERVE), 1)
        self.of_one = max(self.most // SHARE, 1)
        self._open = 0
        self._taken: Counter[str] = Counter()
        self._warned = False

    def take(self, sender: Sender) -> bool:
        """Whether one more may be open; `leave` gives it back."""
        full = self._open >= self.most
        if full and not self._warned:
            self._warned = True
            log.warning(
                "no files left for more sockets",
                extra={"sockets": self.most, "remedy": f"the limit of open files: {MORE_FILES}"},
            )
        if full or (not sender.local and self._taken[sender.prefix] >= self.of_one):
            return False
        self._taken[sender.prefix] += 1
        self._open += 1
        return True

    def leave(self, sender: Sender) -> None:
        """One that was taken is free again."""
        self._open -= 1
        self._taken[sender.prefix] -= 1
        if not self._taken[sender.prefix]:
            del self._taken[sender.prefix]


class HelloError(ValueError):
    """A message that is not a hello."""


class Push:
    """The endpoint. Plain ASGI, because ten thousand of these are open at once."""

    def __init__(self, files: int | None) -> None:
        self.seats = Seats(files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, if there is room for it."""
        state: State = scope["state"][KEY]
        headers = Headers(scope=scope)
        await receive()  # websocket.connect
        sender = sender_of(scope, proxy_networks(state.settings.trusted_proxy))
        ours = allowed(headers.get("origin"), headers.getlist("host"), state.settings.push_origins)
        if not ours or not self.seats.take(sender):
            await send({"type": "websocket.close"})  # before the handshake ends: 403
            return
        try:
            await send({"type": "websocket.accept"})
            await listen(state.hub, receive, send)
        finally:
            self.seats.leave(sender)


async def listen(hub: Hub, receive: Receive, send: Send) -> None:
    """After its hello the client is a subscriber of the hub, until it leaves or says nothing more."""
    client = Subscriber(
        lambda version: send(notice(version)),
        lambda: None if deadline.expired() else deadline.reschedule(0),
    )
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(HELLO_SECONDS) as deadline:
            while (message := await receive())["type"] == "websocket.receive":
                hub.hear(client, *hello(message.get("text")))
                deadline.reschedule(clock() + SILENT_SECONDS)
    except (HelloError, TimeoutError):
        hub.drop(client)
        with suppress(OSError):  # it may take nothing any more
            async with asyncio.timeout(CLOSE_SECONDS):
                await send({"type": "websocket.close", "code": POLICY})
    finally:
        hub.leave(client)


@lru_cache(maxsize=16)
def notice(version: int) -> Message:
    """What everyone with the same version ahead is sent."""
    wire = {"type": "model", "version": version} if version != HEARTBEAT else {"type": "heartbeat"}
    return {"type": "websocket.send", "text": json.dumps(wire)}


def allowed(origin: str | None, hosts: Collection[str], listed: Collection[str]) -> bool:
    """Browsers send Origin, and it must be our own host's or listed (`*`: any); other programs send none."""
    own = {f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts}
    return origin is None or origin in own or origin in listed or "*" in listed


def hello(message: str | None) -> tuple[int, int | None]:
    """`{"type": "hello", "version": n}` and perhaps `"draw": 0…999`; anything else raises HelloError."""
    if message is None:  # bytes
        raise HelloError
    try:
        wire = json.loads(message)
    except (ValueError, RecursionError):
        raise HelloError from None
    if not isinstance(wire, dict) or wire.get("type") != "hello" or wire.keys() - {"type", "version", "draw"}:
        raise HelloError
    version, draw = wire.get("version"), wire.get("draw")
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise HelloError
    if draw is not None and (type(draw) is not int or not 0 <= draw < DRAWS):
        raise HelloError
    return version, draw
