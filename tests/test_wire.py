"""The journeys' wire tap leaves nothing open, however it is closed: what it left failed another journey."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest
from e2e.wire import Wire

ROUNDS = 8
KNOCKERS = 2
OPEN_AT_ONCE = 20


@pytest.fixture
def upstream() -> Iterator[int]:
    """The port of a server that accepts everything and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        ended = threading.Event()
        thread = threading.Thread(target=accept, args=(listener, ended))
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


def accept(listener: socket.socket, ended: threading.Event) -> None:
    taken = []
    while not ended.is_set():
        taken.append(listener.accept()[0])
    for connection in taken:
        connection.close()


def knock(port: int, ended: Callable[[], bool]) -> None:
    """Connect again and again, with some connections kept open."""
    mine: list[socket.socket] = []
    while not ended():
        try:
            mine.append(socket.create_connection(("127.0.0.1", port), timeout=1))
        except OSError:
            continue
        if len(mine) > OPEN_AT_ONCE:
            mine.pop(0).close()
    for connection in mine:
        connection.close()


def test_closed_while_browsers_connect_it_leaves_no_socket_open(
    upstream: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: left.append(what.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for turn in range(ROUNDS):
            ended = threading.Event()
            tap = Wire(upstream)
            knockers = [
                threading.Thread(target=knock, args=(tap.port, ended.is_set)) for _ in range(KNOCKERS)
            ]
            for knocker in knockers:
                knocker.start()
            time.sleep(turn / 400)  # so that it is closed in every state
            tap.close()
            ended.set()
            for knocker in knockers:
                knocker.join()
            gc.collect()
    assert left == []
