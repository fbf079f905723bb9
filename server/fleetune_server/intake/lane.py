"""A short way for packets: a request that came whole in one read needs no task and no ASGI messages.

They cost as much as all else that is done for a packet (tests/benchmarks/ingest.py). Whatever is unusual
about a request (a part of its body is missing, packed, a query, an older HTTP) goes through the application.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fleetune_server.intake.connections import PatientProtocol
from fleetune_server.intake.headers import TAKEN_HEADERS, shared_headers
from fleetune_server.intake.ingest import MAX_BODY, encoded
from fleetune_server.state import KEY

PATH = b"/api/telemetry"
UNUSUAL = frozenset((b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"))


class PacketProtocol(PatientProtocol):
    """Holds a request back until its read is over: then its body is there, or the application waits."""

    _held: bytes | None = None  # the body so far of a request that may take the short way

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.transport.is_closing():
            self._release()

    def on_headers_complete(self) -> None:
        if self._usual():
            self._held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._held += body

    def on_message_complete(self) -> None:
        body = self._held
        if body is None or not body or len(body) > MAX_BODY:
            self._release()
            super().on_message_complete()
            return
        self._held = None
        self._headers_are_in()
        exchange = _Exchange(self)
        self.cycle = exchange  # type: ignore[assignment]
        self.scope["method"] = "POST"
        self.app_state[KEY].intake.submit(self.scope, body, exchange.answer)

    def _usual(self) -> bool:
        return (
            self.url == PATH
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and (self.cycle is None or self.cycle.response_complete)
            and UNUSUAL.isdisjoint([name for name, _value in self.headers])
            and not self.app_state[KEY].intake.work_bits
        )

    def _release(self) -> None:
        """Let the application have the request after all."""
        body, self._held = self._held, None
        if body is not None:
            super().on_headers_complete()
            if body:
                super().on_body(body)


class _Exchange:
    """One request and its answer: what uvicorn's protocol asks of its RequestResponseCycle, and no more."""

    more_body = False

    def __init__(self, protocol: PacketProtocol) -> None:
        self.protocol = protocol
        self.message_event = self  # nobody waits for messages
        self.keep_alive = True  # until a shutdown
        self.disconnected = False
        self.response_complete = False

    def set(self) -> None:
        """As an event."""

    def answer(self, status: int, answer: Mapping[str, Any], more: Mapping[str, str]) -> None:
        """Write the whole answer at once."""
        self.response_complete = True
        protocol = self.protocol
        if self.disconnected or protocol.transport.is_closing():
            return
        headers, body = encoded(answer, more)
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in (*protocol.server_state.default_headers, *headers)]
        added = _added(status == 202, protocol.app_state[KEY].settings.isolated)
        protocol.transport.write(b"".join((STATUS_LINE[status], *lines, added, b"\r\n", body)))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


@cache
def _added(taken: bool, isolated: bool) -> bytes:
    headers = TAKEN_HEADERS if taken else shared_headers(isolated)
    return b"".join(b"%b: %b\r\n" % header for header in headers)
