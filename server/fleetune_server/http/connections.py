"""TCP connections in the open: how many there may be, in all and of one network, and how long a head may take."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleetune_server.common.health import MORE_FILES
from fleetune_server.telemetry.limits import sender_of

RESERVE = 48  # file descriptors of the process itself: database, log, listener
SHARE = 4  # one address prefix may hold one in so many of the connections
HEAD_SECONDS = 20.0  # from the first byte of a request's head, or from the connection's start, to its last
HERE = ("127.0.0.1", "::1")  # programs of this machine share no limit with anybody

log = logging.getLogger(__name__)


class Connections:
    """What is open now, by address prefix; a prefix is forgotten with its last connection.

    Pages' WebSockets have seats of their own (`push.py`) and count here in all only.
    """

    def __init__(self, files: int | None) -> None:
        """`files`: file descriptors of this process; None for no limit."""
        self.most = math.inf if files is None else max(files - RESERVE, 1)
        self.of_one = max(self.most // SHARE, 1)
        self._taken: Counter[str] = Counter()
        self._warned = False

    def take(self, prefix: str, opened: int) -> bool:
        """Whether one more may be open, of `opened` in all; `leave` gives it back."""
        if opened > self.most and not self._warned:
            self._warned = True
            log.warning(
                "no files left for more connections",
                extra={"connections": self.most, "remedy": f"the limit of open files: {MORE_FILES}"},
            )
        if opened > self.most or (prefix and self._taken[prefix] >= self.of_one):
            return False
        self._taken[prefix] += 1
        return True

    def leave(self, prefix: str) -> None:
        """One that was taken is free again."""
        self._taken[prefix] -= 1
        if not self._taken[prefix]:
            del self._taken[prefix]


class Bounded(H11Protocol):
    """uvicorn's h11 within these limits: a connection beyond them is reset, and one whose head does not end."""

    open: ClassVar[Connections]
    _prefix: str | None = None  # of the seat that it holds
    _late: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a seat, or be reset."""
        super().connection_made(transport)
        local = self.client is not None and self.client[0] in HERE
        prefix = "" if local else sender_of({"client": self.client, "headers": []}, ()).prefix
        if self.open.take(prefix, len(self.connections)):
            self._prefix = prefix
            self._await_head()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """A head that has begun must end in time; what it asks for has limits of its own."""
        super().data_received(data)
        if self._upgraded or (self.cycle is not None and not self.cycle.response_complete):
            self._stop_waiting()
        elif self._late is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the seat back."""
        self._leave()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From now on another protocol has the connection."""
        self._upgraded = True
        self._leave()
        super().handle_websocket_upgrade(event)

    def _leave(self) -> None:
        self._stop_waiting()
        if self._prefix is not None:
            self.open.leave(self._prefix)
            self._prefix = None

    def _await_head(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def bounded(files: int | None) -> type[Any]:
    """The protocol of one server's connections."""
    return type("BoundedProtocol", (Bounded,), {"open": Connections(files)})
