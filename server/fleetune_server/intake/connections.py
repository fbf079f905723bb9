"""Connections that cannot be held open or filled up with half a request."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0  # from the first byte (or the connection) to the end of the headers
HEADER_BYTES = 16_384


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the time and size of request headers, which it lacks."""

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
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
        self._stop()
        self._in_headers = False
        super().on_headers_complete()

    def _expect_headers(self) -> None:
        self._stop()
        self._in_headers = True
        self._header_bytes = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
