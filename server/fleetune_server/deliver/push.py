"""`WS /ws`: a client says which version it holds, the server says when there is a newer one. That is all."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from fleetune.signed import MAX_VERSION
from fleetune_server.deliver.distribute import DRAWS
from fleetune_server.deliver.hub import Hub
from fleetune_server.deliver.socket import Socket
from fleetune_server.state import KEY

PATH = "/ws"
MAX_MESSAGE = 4096  # bytes; clients have next to nothing to say
HELLO_SECONDS = 10.0
POLICY = 1008


class HelloError(ValueError):
    """A message that is not a hello."""


class PushSocket(Socket):
    """One client: after its hello it is a subscriber of the hub."""

    __slots__ = ("draw", "heard", "hub", "version")

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: object = None
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.hub: Hub = app_state[KEY].hub
        self.version = 0
        self.draw: int | None = None
        self.heard = 0.0

    def welcome(self, request: Request) -> bool:
        """A page of another origin is refused before the handshake (403) unless listed."""
        listed = self.app_state[KEY].settings.push_origins
        here = request.path.partition("?")[0] == PATH
        return here and allowed(request.headers.get("origin"), request.headers.get_all("host"), listed)

    def opened(self) -> None:
        self.within(HELLO_SECONDS, self.close, POLICY)

    def hear(self, message: str | bytes) -> None:
        try:
            version, draw = hello(message)
        except HelloError:
            self.close(POLICY)
            return
        self.in_time()
        self.hub.hear(self, version, draw)

    def send(self, version: int) -> None:
        """Tell of a version; 0 is a heartbeat."""
        self.write(notice(version))

    def close(self, code: int) -> None:
        self.hub.leave(self)
        super().close(code)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.hub.drained(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.hub.leave(self)


@lru_cache(maxsize=16)
def notice(version: int) -> bytes:
    """The frame that everyone with the same version ahead is sent."""
    wire = {"type": "model", "version": version} if version else {"type": "heartbeat"}
    return Frame(Opcode.TEXT, json.dumps(wire).encode()).serialize(mask=False)


def allowed(origin: str | None, hosts: Collection[str], listed: Collection[str]) -> bool:
    """Browsers send Origin, and it must be our own host's or listed (`*`: any); other programs send none."""
    own = {f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts}
    return origin is None or origin in own or origin in listed or "*" in listed


def hello(message: str | bytes) -> tuple[int, int | None]:
    """`{"type": "hello", "version": n}` and perhaps `"draw": 0…999`; anything else raises HelloError."""
    if isinstance(message, bytes):
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
