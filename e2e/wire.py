"""A wire tap: a TCP relay between browser and server that records every request, in every engine.

The browser is given the tap's address, so that what it asks for is seen as it travels, whatever its driver
can report; cutting the tap is a network failure in engines whose driver cannot go offline.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httptools

from e2e.closing import Closing
from e2e.frames import Frames

CHUNK = 65536
HASH = re.compile(r"^(/(?:static|pyodide|wheels))-[0-9a-f]{64}/")


@dataclass
class Request:
    """One request as it crossed the wire."""

    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    answered: bool = False  # something came back

    @property
    def route(self) -> str:
        """The path without its query, and without the hash that names a release's files."""
        return HASH.sub(r"\1/", self.path.split("?", 1)[0])


class _Recorder:
    """httptools callbacks of one connection: complete requests go to `into`."""

    def __init__(self, into: list[Request]) -> None:
        self._into = into
        self.request = Request()

    def on_message_begin(self) -> None:
        self.request = Request()

    def on_url(self, url: bytes) -> None:
        self.request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.request.method = self.parser.get_method().decode()
        self._into.append(self.request)  # at once: a WebSocket's message never completes

    def on_body(self, body: bytes) -> None:
        self.request.body += body

    def listen(self) -> httptools.HttpRequestParser:
        self.parser = httptools.HttpRequestParser(self)
        return self.parser


class Wire(Closing):
    """The relay, on an event loop in a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.requests: list[Request] = []
        self.received = 0  # bytes that the browser was sent
        self.delay = 0.0  # seconds that each piece of an answer is held back: a slow network
        self.rate = 0.0  # bytes a second of all answers together; 0: as fast as can be
        self._free = 0.0  # when the line has carried all that was given to it
        self.messages: list[bytes] = []  # what browsers said over WebSockets
        self._held: tuple[str, ...] = ()
        self._released = asyncio.Event()
        self.adds = b""  # a header that is put into every request, as some proxies do
        self._target_port = target_port
        self._connected = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._relays: set[asyncio.Task[None]] = set()
        # Not asyncio.start_server: closed while it accepts, it leaves connections open (Python 3.11).
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listener.setblocking(False)
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._listener, self._accept)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self) -> None:
        """Break every connection and refuse new ones, as a lost network would."""
        self._connected = False

        async def drop() -> None:
            self._abort()

        self._call(drop())

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def hold(self, *routes: str) -> None:
        """Keep back the answers to requests that begin like this, until `release`."""
        self._held = routes
        self._loop.call_soon_threadsafe(self._released.clear)

    def release(self) -> None:
        """Let every answer through."""
        self._held = ()
        self._loop.call_soon_threadsafe(self._released.set)

    def mend(self) -> None:
        """Let connections through again."""
        self._connected = True

    def seen(self, route: str, method: str | None = None) -> list[Request]:
        """Requests to exactly this path (without query)."""
        return [r for r in self.requests if r.route == route and method in (None, r.method)]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            accepted, _ = self._listener.accept()
            relay = self._loop.create_task(self._relay(accepted))
            self._relays.add(relay)
            relay.add_done_callback(self._relays.discard)

    async def _relay(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        if not self._connected:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        if not self._connected:  # cut while this was being made
            self._abort()
        recorder = _Recorder(self.requests)
        try:
            # Either side's end ends both: an HTTP client reconnects, a WebSocket is over.
            tasks = {
                asyncio.ensure_future(
                    _pump(reader, up_writer, recorder.listen(), said=self.messages.append, adds=self._adding)
                ),
                asyncio.ensure_future(
                    _pump(up_reader, writer, None, lambda size: self._passing(size, recorder.request))
                ),
            }
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._writers -= {writer, up_writer}
            for end in (writer, up_writer):
                end.close()
            for end in (writer, up_writer):
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    def _adding(self, data: bytes) -> bytes:
        return data.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\n" + self.adds + b"\r\n") if self.adds else data

    async def _passing(self, size: int, request: Request) -> None:
        request.answered = True
        if request.path.startswith(self._held):
            await self._released.wait()
        self.received += size
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.rate:
            now = self._loop.time()
            self._free = max(now, self._free) + size / self.rate
            await asyncio.sleep(self._free - now)

    def close(self) -> None:
        """Break every connection and wait until each has ended."""
        self.release()
        self.cut()

        async def end() -> None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            while self._relays:
                await asyncio.wait(self._relays)
            await asyncio.sleep(0)  # aborted connections close

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parser: httptools.HttpRequestParser | Frames | None,
    passing: Callable[[int], Awaitable[None]] | None = None,
    said: Callable[[bytes], None] = lambda message: None,
    adds: Callable[[bytes], bytes] = lambda data: data,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            if not isinstance(parser, Frames):
                data = adds(data)
            if parser is not None:
                try:
                    parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:
                    parser = Frames(said)  # WebSocket frames follow: no more requests on this connection
                    parser.feed_data(data[upgrade.args[0] :])
            if passing is not None:
                await passing(len(data))
            writer.write(data)
            await writer.drain()
