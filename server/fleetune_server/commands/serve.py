"""`fleetune serve`: the server process, its socket, its uvicorn settings and its TCP connections.

In the open there are only so many connections, in all and of one network, and a head may take only so long.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import logging
import math
import os
import signal
import socket
import sys
from collections import Counter
from types import FrameType
from typing import Any, ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fleetune_server.common.health import MORE_FILES, open_files
from fleetune_server.common.logs import configure
from fleetune_server.http.app import create_app
from fleetune_server.http.push import MAX_MESSAGE
from fleetune_server.settings import Settings, SettingsError
from fleetune_server.telemetry.limits import sender_of

log = logging.getLogger(__name__)
BACKLOG = 2048
READ_BYTES = 1 << 12  # of one read, about; 1,000 chunks of one byte in it take h11 10 ms, and others wait
MAX_HEAD = 16_384  # bytes of a request's headers, of a chunk's size and of trailers
UNACKNOWLEDGED_MS = 20_000  # a peer that takes nothing for so long is gone: frees its buffers and its slot
SWITCH_SECONDS = (
    0.0005  # until the store's thread gets the interpreter from a busy event loop; 5 ms by default
)
GARBAGE = (50_000, 20, 100)  # requests leave hardly any cycles behind, so looking for them may be rare
FOLDER = "the folder of FLEETUNE_DATA must be one that this process can write to, with room left"
FOLDER_FAULTS = (  # as the system and SQLite put it
    "Read-only file system",
    "Permission denied",
    "Operation not permitted",
    "Not a directory",
    "File exists",
    "No space left",
    "readonly database",
    "disk is full",
)
ADVICE = "`fleetune db check` says what is wrong, `fleetune db restore FILE` puts a backup in its place"
OS_ERRORS = ("OSError", "PermissionError", "NotADirectoryError")
RESERVE = 48  # file descriptors of the process itself: database, log, listener
SHARE = 4  # one address prefix may hold one in so many of the connections
HEAD_SECONDS = 20.0  # from the first byte of a request's head, or from the connection's start, to its last
HERE = ("127.0.0.1", "::1")  # programs of this machine share no limit with anybody


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags for the settings that change most often; everything else is in the environment."""
    parser.add_argument("--host", help="address to listen on (FLEETUNE_HOST)")
    parser.add_argument("--port", help="port, 0 for a free one (FLEETUNE_PORT)")
    parser.add_argument("--data", help="folder for the database and keys (FLEETUNE_DATA)")
    parser.add_argument("--store", help="SQLite file or postgresql:// URL (FLEETUNE_STORE)")
    parser.add_argument(
        "--new-keys", action="store_true", help="sign with a new key although the old ones are gone"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; flags outrank the environment."""
    given = {key: getattr(args, key) for key in ("host", "port", "data", "store")}
    flags = {f"FLEETUNE_{key.upper()}": value for key, value in given.items() if value}
    settings = Settings.from_env({**os.environ, **flags})
    return serve(dataclasses.replace(settings, new_keys=args.new_keys))


def serve(settings: Settings) -> int:
    """Serve with these settings until SIGINT or SIGTERM."""
    configure()
    listener = listen(settings)
    host, port = listener.getsockname()[:2]
    settings = dataclasses.replace(settings, host=host, port=port)
    app = StartupErrorFilter(create_app(settings), str(settings.data))
    server = Server(
        config(app, bool(settings.trusted_proxy)),
        url=f"http://{f'[{host}]' if ':' in host else host}:{port}/",
    )
    server.run(sockets=[listener])
    return 0


def listen(settings: Settings) -> socket.socket:
    """A bound socket; port 0 becomes a real one here, before anything is announced."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)  # inherited, too
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(f"FLEETUNE_PORT={settings.port}: {error.strerror} on {settings.host}") from error
    return listener


def config(app: ASGIApp, proxied: bool = False) -> uvicorn.Config:
    """uvicorn as measured; no addresses in logs.

    h11 bounds headers, chunk sizes and trailers, and we bound its connections. httptools takes a third of the time
    and collects without end, so it is for servers behind a proxy, which has bounded all of that.
    """
    return uvicorn.Config(
        app,
        http="httptools" if proxied else bounded(open_files()),
        h11_max_incomplete_event_size=MAX_HEAD,
        loop="uvloop",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=None,  # the hub's heartbeats ask for an answer
        ws_per_message_deflate=False,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        lifespan="on",
        backlog=BACKLOG,
        timeout_graceful_shutdown=10,
    )


class StartupErrorFilter:
    """The application, whose start says in one line what is wrong with the store and what helps."""

    def __init__(self, app: ASGIApp, data: str) -> None:
        self.app = app
        self.data = data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; a traceback of the store or of the data folder becomes its last message."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                last = message["message"].strip().splitlines()[-1]
                name, _, reason = last.partition(": ")
                folder = self.data in reason and any(fault in reason for fault in FOLDER_FAULTS)
                if name.endswith((".KeyFileError", ".InUseError")):
                    message = {**message, "message": reason}
                elif name.endswith(".StoreError") or (folder and name in OS_ERRORS):
                    message = {**message, "message": f"{reason}. {FOLDER if folder else ADVICE}"}
            await send(message)

        await self.app(scope, receive, tell)


class Server(uvicorn.Server):
    """uvicorn that says where it is once it really answers."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self.url = url

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at a second SIGINT without waiting. uvicorn would raise the signal once more after its clean stop,
        and a supervisor would see a process that a signal killed."""
        self.force_exit |= self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.setswitchinterval(SWITCH_SECONDS)
            gc.collect()
            gc.freeze()  # models and catalogue stay for good
            gc.set_threshold(*GARBAGE)
            print(f"Fleetune is at {self.url}", flush=True)


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
