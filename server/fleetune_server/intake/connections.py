"""Connections that cannot be held open or filled up with half a request."""

from __future__ import annotations

import asyncio
import math
from typing import ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0  # from the connection, the last answer or the first byte to the end of the headers
HEADER_BYTES = 16_384
SWEEP_SECONDS = 0.5


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits on request headers (time, size) and on bodies that nobody reads (time).

    One sweep for all connections of a loop: a timer for each request would cost more than reading it.
    """

    _watched: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch]] = WeakKeyDictionary()
    _header_bytes = 0
    _in_headers = True
    deadline = math.inf  # while nothing is under way: when the next headers must be complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.loop not in self._watched:
            self._watched[self.loop] = _Watch()
        self._watch = self._watched[self.loop]
        self._watch.connections.add(self)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.connections.discard(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._watch.connections.discard(self)
        super().handle_websocket_upgrade()
        del self.parser, self.scope, self.headers  # they hold each other, and would wait for the collector

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
            # One read may hold several small requests, so only what goes on for longer is too much.
            if self._header_bytes > HEADER_BYTES + len(data):
                self.send_400_response("Request headers too large.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_headers()

    def on_headers_complete(self) -> None:
        self._headers_are_in()
        super().on_headers_complete()

    def _headers_are_in(self) -> None:
        self.deadline = math.inf
        self._in_headers = False

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # Without uvicorn's timer: it starts anew with every byte, and costs as much as checking a packet.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        if self.cycle.response_complete:
            # Nothing is under way: what is left of an unread body and the next headers must come in time.
            self.deadline = self._watch.now + HEADER_SECONDS

    def _expect_headers(self) -> None:
        self._in_headers = True
        self._header_bytes = 0
        self.deadline = self._watch.now + HEADER_SECONDS


class _Watch:
    """The connections of one loop and a clock that is as exact as the sweep."""

    def __init__(self) -> None:
        self.connections: set[PatientProtocol] = set()
        self.sweep()

    def sweep(self) -> None:
        """Close connections that take too long, now and again and again."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        for connection in [one for one in self.connections if one.deadline < self.now]:
            self.connections.discard(connection)
            if not connection.transport.is_closing():
                connection.transport.close()
        loop.call_later(SWEEP_SECONDS, self.sweep)
