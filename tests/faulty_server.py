"""`fleetune serve` whose handlers fail as nobody foresaw, quoting all they were given: for tests alone."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from tests.serve import settings_of

from fleetune_server.commands.serve import serve
from fleetune_server.http import decisions
from fleetune_server.http.push import Push
from fleetune_server.publish.distribute import Distributor
from fleetune_server.telemetry.ingest import Intake


def all_of(scope: Any) -> str:
    """Address, query and headers of a request."""
    return f"{scope['path']} {scope['query_string']!r} {scope['headers']!r}"


async def latest(self: Distributor, request: Request) -> Response:
    raise KeyError(all_of(request.scope), request.headers["user-agent"])


async def take(self: Intake, scope: Any, body: bytes) -> Any:
    """Fails while it handles a failure: a chain of two."""
    try:
        raise ValueError(body.decode())
    except ValueError as error:
        raise RuntimeError(all_of(scope)) from error


async def withdraw(self: Intake, scope: Any, body: bytes) -> Any:
    """A task whose failure nobody awaits."""

    async def later() -> None:
        raise ExceptionGroup(body.decode(), [LookupError(all_of(scope))])

    asyncio.create_task(later())  # noqa: RUF006 - forgotten on purpose
    await asyncio.sleep(0)
    return 200, {"removed": 0, "alreadyFolded": 0}


def parse_environment(query: Any) -> Any:
    raise UnicodeError(str(query))


async def push(self: Push, scope: Any, receive: Any, send: Any) -> None:
    """A connection that quotes its request and what is said."""
    await receive()
    await send({"type": "websocket.accept"})
    raise OverflowError(f"{await receive()!r} {all_of(scope)}")


if __name__ == "__main__":
    Distributor.latest = latest  # type: ignore[method-assign]
    Intake.take = take  # type: ignore[method-assign]
    Intake.withdraw = withdraw  # type: ignore[method-assign]
    decisions.parse_environment = parse_environment
    Push.__call__ = push  # type: ignore[method-assign]
    sys.exit(serve(settings_of(dict(os.environ))))
