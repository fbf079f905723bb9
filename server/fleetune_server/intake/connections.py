"""Connections that cannot be held open or filled up with half a request."""

from __future__ import annotations

import asyncio
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

    _expecting: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[PatientProtocol, float]]] = (
        WeakKeyDictionary()
    )
    _header_bytes = 0
    _in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.loop not in self._expecting:
            self._expecting[self.loop] = {}
            self.loop.call_later(SWEEP_SECONDS, _sweep, self.loop, self._expecting[self.loop])
        self._waiting = self._expecting[self.loop]
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.pop(self, None)
        super().connection_lost(exc)

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
        self._waiting.pop(self, None)
        self._in_headers = False
        super().on_headers_complete()

    def _expect_headers(self) -> None:
        self._in_headers = True
        self._header_bytes = 0
        self._waiting[self] = self.loop.time() + HEADER_SECONDS

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            # Nothing is under way: what is left of an unread body and the next headers must come in time.
            # uvicorn's own timer starts anew with every byte.
            self._waiting[self] = self.loop.time() + HEADER_SECONDS

    def give_up(self) -> None:
        """Close a connection that takes too long."""
        if not self.transport.is_closing():
            self.transport.close()


def _sweep(loop: asyncio.AbstractEventLoop, expecting: dict[PatientProtocol, float]) -> None:
    now = loop.time()
    for connection in [connection for connection, deadline in expecting.items() if deadline < now]:
        del expecting[connection]
        connection.give_up()
    loop.call_later(SWEEP_SECONDS, _sweep, loop, expecting)
