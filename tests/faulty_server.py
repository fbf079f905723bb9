"""`fleetune serve` whose handlers fail as nobody foresaw, quoting all they were given: for tests alone."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from websockets.http11 import Request as Handshake

from fleetune_server import decisions
from fleetune_server.cli import main
from fleetune_server.commands import serve
from fleetune_server.deliver.distribute import Distributor
from fleetune_server.deliver.push import PushSocket
from fleetune_server.intake.ingest import Intake


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


class Fails(PushSocket):
    """A connection that quotes its request and what is said."""

    __slots__ = ("request",)

    def welcome(self, request: Handshake) -> bool:
        self.request = request
        return super().welcome(request)

    def hear(self, message: str | bytes) -> None:
        raise OverflowError(f"{message!r} {self.request}")


if __name__ == "__main__":
    Distributor.latest = latest  # type: ignore[method-assign]
    Intake.take = take  # type: ignore[method-assign]
    Intake.withdraw = withdraw  # type: ignore[method-assign]
    decisions.parse_environment = parse_environment
    serve.__dict__["PushSocket"] = Fails
    sys.exit(main())
