"""A relay that lies about models and kernels: each request goes to the real server, but its answer may be exchanged."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from e2e.closing import Closing

Lie = Callable[[str, bytes], bytes]  # path with query, the true answer → what the browser is given
HOP = ("content-encoding", "content-length", "transfer-encoding", "connection", "etag")


class Tamper(Closing):
    """The relay, on an event loop in a thread of its own; `lie` is applied to the answers that it is `about`."""

    def __init__(self, target: str) -> None:
        self.lie: Lie | None = None
        self.about: tuple[str, ...] = ("/api/model/", "/models/")  # how the addresses begin that it lies for
        self._target = target
        application = Starlette(
            routes=[Route("/{path:path}", self._relay, methods=["GET"])], lifespan=self._connected
        )
        config = uvicorn.Config(application, port=0, log_config=None, loop="asyncio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"

    @asynccontextmanager
    async def _connected(self, application: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=self._target, timeout=60) as self._client:
            yield

    async def _relay(self, request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer = await self._client.get(path)
        headers = {name: value for name, value in answer.headers.items() if name not in HOP}
        body = answer.content
        if self.lie is not None and request.url.path.startswith(self.about):
            body = self.lie(path, body)
            headers["cache-control"] = "no-store"
        return Response(body, answer.status_code, headers)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
