"""A WebSocket without a task: frames in, frames out, below ASGI."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

CLOSE_SECONDS = 10.0  # for the peer's part of the closing handshake
RESTART, BAD_TEXT = 1012, 1007  # close codes
DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Frames(ServerProtocol):
    """`websockets`' own reading and writing of frames, but a close may come between two fragments."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None  # what was begun is not finished
        super().recv_frame(frame)


class Socket(asyncio.Protocol):
    """One connection from its handshake on. A subclass says who may open it, and hears what is said.

    It takes the place of uvicorn's own (`ws=`), whose task, queue and scope for each connection need as much
    memory as all the rest, and whose sends cost more than the kernel's part of them. Compression is off.
    """

    __slots__ = (
        "_fragments",
        "_text",
        "_timer",
        "app_state",
        "conn",
        "connections",
        "full_since",
        "transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: object = None,
    ) -> None:
        self.connections = server_state.connections
        self.app_state = app_state
        self.conn = Frames(max_size=config.ws_max_size)
        self.full_since: float | None = None  # since when the peer takes no more, by the monotonic clock
        self._fragments: list[bytes] = []
        self._text = False  # whether they are text
        self._timer: asyncio.TimerHandle | None = None

    # What a subclass says.

    def welcome(self, request: Request) -> bool:
        """Whether the handshake may go on; else it is answered with 403."""
        return True

    def opened(self) -> None:
        """The handshake is done."""

    def hear(self, message: str | bytes) -> None:
        """A whole message."""

    # What it does.

    def write(self, frames: bytes) -> None:
        """Hand frames to the kernel, or to a buffer if the peer takes no more."""
        self.transport.write(frames)

    def close(self, code: int) -> None:
        """Begin to close; without the peer's part the connection is cut."""
        if self.conn.state is OPEN:
            self.conn.send_close(code)
            self._flush()
            self.within(CLOSE_SECONDS, self.transport.abort)

    def abort(self) -> None:
        """Cut the connection: a close frame would wait behind a full buffer."""
        self.transport.abort()

    def within(self, seconds: float, otherwise: Any, *arguments: object) -> None:
        """One deadline at a time: what happens unless another is set, or none is left."""
        self.in_time()
        self._timer = asyncio.get_running_loop().call_later(seconds, otherwise, *arguments)

    def in_time(self) -> None:
        """The deadline is met."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What uvicorn and the transport call.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # full as soon as the kernel takes no more
        self.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self.in_time()
        self.connections.discard(self)

    def pause_writing(self) -> None:
        self.full_since = time.monotonic()
        self.transport.pause_reading()  # who does not listen need not be heard: answers would pile up

    def resume_writing(self) -> None:
        self.full_since = None
        self.transport.resume_reading()

    def shutdown(self) -> None:
        """The server ends: come back."""
        if self.full_since is not None:
            self.abort()
            return
        if self.conn.state is OPEN:
            self.conn.send_close(RESTART)
            self._flush()
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self._flush()  # pongs go out before what is said in answer to what is heard
        for event in self.conn.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame) and event.opcode in DATA and self.conn.state is OPEN:
                self._collect(event)

    def _shake_hands(self, request: Request) -> None:
        response = self.conn.accept(request)
        if response.status_code == 101 and not self.welcome(request):
            response = self.conn.reject(403, "")
        self.conn.send_response(response)
        self._flush()
        if response.status_code == 101:
            self.opened()

    def _collect(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._fragments = b"".join(self._fragments), []
        try:
            said = message.decode() if self._text else message
        except UnicodeDecodeError:
            self.close(BAD_TEXT)
        else:
            self.hear(said)

    def _flush(self) -> None:
        self.write(b"".join(self.conn.data_to_send()))
        if self.conn.eof_sent:  # closed by both, or refused
            self.transport.close()
