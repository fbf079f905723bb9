"""The application: one route table, one lifespan, and what every answer says to browsers.

Headers say who may embed an answer, run it, keep it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetune_server.common.assets import ISOLATION, SECURITY
from fleetune_server.common.errors import HTTP, RefusedError
from fleetune_server.common.health import open_files
from fleetune_server.http import decisions, own_kernels
from fleetune_server.http import endpoints as api
from fleetune_server.http.assets import ENTRIES, Assets
from fleetune_server.http.pages import new_function, public
from fleetune_server.http.pages import privacy as privacy_page
from fleetune_server.http.pages.document import missing, wants_page
from fleetune_server.http.push import Push
from fleetune_server.runtime import KEY, State, running
from fleetune_server.settings import ROOT, Settings
from fleetune_server.store.base import Store, StoreError
from fleetune_server.telemetry.ingest import BROKEN_SECONDS

BROWSER = ROOT / "browser"
FOLDERS = {
    "static": (("", BROWSER / "web"), ("uplot/", BROWSER / "node_modules" / "uplot" / "dist")),
    "pyodide": (("", BROWSER / "dist" / "pyodide"),),
}
TREES = (*FOLDERS, "wheels", "translator")

# Beside the route table, without Starlette's routing: every packet passes here.
HOT = {"/api/telemetry": api.Intake(lambda state: state.intake)}
# What pages of other origins may fetch; there are no cookies, so any origin may.
EMBEDDABLE = (
    *(f"/{name}{end}" for name in ENTRIES for end in (".js", "-")),
    "/integrity.json",
    *(f"/{tree}{end}" for tree in ("static", "pyodide", "wheels") for end in "-/"),  # with a hash and without
    "/kernels/",
    "/keys.json",
    "/models/",
    "/roots/",
    "/api/boot.json",
    "/api/decisions",
    "/api/feedback",
    "/api/kernels",
    "/api/log",
    "/api/model/",
    "/api/plan",
    "/api/telemetry",
    "/data/",
)
_SHARED = {
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "etag, retry-after",
}
_ALLOWED = {
    "access-control-allow-methods": "GET, HEAD, POST, DELETE",
    "access-control-allow-headers": "content-type, content-encoding, x-fleetune-work",
    "access-control-max-age": "86400",
}


def routes(assets: Assets) -> list[BaseRoute]:
    """The API, readable from top to bottom (and HOT)."""
    return [
        Route("/api/feedback", api.Intake(lambda state: state.feedback)),
        WebSocketRoute("/ws", Push(open_files())),
        Route("/", assets.page("page/index.html")),
        Route("/dashboard", api.dashboard(assets)),
        Route("/privacy", privacy_page.page),
        Route("/functions", public.functions),
        Route("/functions/new", new_function.page),
        Route("/functions/{name}", public.page),
        Route("/regressions", public.page),
        Route("/data/", public.data),
        Route("/data/{file}", public.export),
        *(Route(f"/{name}.js", assets.entry(name)) for name in ENTRIES),
        *(Route(f"/{name}-{{hash}}.js", assets.hashed) for name in ENTRIES),
        Route("/integrity.json", assets.integrity),
        Route("/sw.js", assets.page("page/sw.js")),  # at the root: it may serve every page
        *(Route(f"/{tree}-{{hash}}/{{path:path}}", assets.hashed) for tree in TREES),
        *(Route(f"/{tree}/{{path:path}}", assets.newest) for tree in TREES),
        Route("/kernels/{sha256}/{name:path}", api.kernel_file(assets)),
        Route("/models/{sha256}", api.model_file),
        Route("/keys.json", api.keys),
        Route("/roots/{version}", api.root),
        Route("/api/boot.json", api.boot),
        Route("/api/kernels", api.kernels),
        Route("/api/own-kernels", own_kernels.add, methods=["POST"]),
        Route("/api/own-kernels/{name}", own_kernels.remove, methods=["DELETE"]),
        Route("/api/log", api.version_log),
        Route("/api/model/latest", api.latest_model),
        Route("/api/decisions", decisions.decisions),
        Route("/api/decisions/{engine}", decisions.of_engine),
        Route("/api/plan", decisions.measuring_plan),
        Route("/api/privacy.json", api.privacy),
        Route("/api/metrics", api.metrics),
        Route("/metrics", api.prometheus),
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
        Route("/.well-known/gpc.json", privacy_page.gpc),
        Route("/.well-known/security.txt", api.security_txt),
    ]


def create_app(settings: Settings) -> ASGIApp:
    """The ASGI application for these settings. The headers are outermost: on what no route answers, too."""

    assets = Assets(FOLDERS)

    @asynccontextmanager
    async def lifespan(
        app: Starlette,
    ) -> AsyncIterator[dict[str, State | Assets | Store | public.Public]]:
        await assets.read()
        async with running(settings) as state, public.public_pages(state) as pages:
            await assets.keep(state.store, state.catalogue)
            state.served.adopted = partial(assets.keep, state.store)
            yield {
                KEY: state,
                "assets": assets,
                "store": state.store,
                "public": pages,
            }

    app = Starlette(
        routes=routes(assets),
        exception_handlers={HTTPException: failure, RefusedError: refused, StoreError: unavailable},
        lifespan=lifespan,
    )
    return BrowserHeaders(app, settings.isolated, HOT, proxied=bool(settings.trusted_proxy))


async def refused(request: Request, error: Exception) -> Response:
    """Errors leave as data: {"error": {"code", "message"}}."""
    assert isinstance(error, RefusedError)
    return JSONResponse(error.to_wire(), status_code=error.status, headers=error.headers)


async def unavailable(request: Request, error: Exception) -> Response:
    """What only the store knows, while it does not answer."""
    return await refused(request, RefusedError("store-unavailable", wait=BROKEN_SECONDS))


async def failure(request: Request, error: Exception) -> Response:
    """What Starlette refuses, likewise; a person who follows a dead link gets a page."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and wants_page(request):
        return missing(request)
    answer = RefusedError(HTTP[error.status_code], f"{error.detail}: {request.url.path}").to_wire()
    return JSONResponse(answer, status_code=error.status_code, headers=error.headers)


class BrowserHeaders:
    """Plain ASGI around the application: security headers on everything, CORS on what embedders need.

    Paths in `hot` are answered right behind it: Starlette's routing costs as much as checking a packet. It
    also ends connections whose request body was not read to its end: a sender without end would otherwise
    be listened to for nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        isolated: bool,
        hot: Mapping[str, ASGIApp] | None = None,
        proxied: bool = False,
    ) -> None:
        self.app = app
        self.hot = hot or {}
        self.proxied = (
            proxied  # then httptools parses, and drops the bodies of requests that offer an upgrade
        )
        fixed = SECURITY | (ISOLATION if isolated else {})
        self.own = _encode({**fixed, "cross-origin-resource-policy": "same-origin"})
        self.shared = _encode({**fixed, **_SHARED})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        embeddable = scope["path"].startswith(EMBEDDABLE)
        added = self.shared if embeddable else self.own
        if self.proxied and OVER_TLS in scope["headers"]:
            added = [*added, *STRICT]
        unread = any(name in _BODY and value != b"0" for name, value in scope["headers"])

        async def receive_and_note() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and message.get("more_body", False)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = TAKEN_HEADERS if message["status"] == 202 else added
                message["headers"] = [*message.get("headers", ()), *more, *(_CLOSE if unread else ())]
            await send(message)

        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
        if unread and self.proxied and any(name == b"upgrade" for name, _ in scope["headers"]):
            error = RefusedError("unsupported-upgrade")
            await JSONResponse(error.to_wire(), error.status)(scope, receive, send_with_headers)
        elif preflight and embeddable:
            await Response(status_code=204, headers=_ALLOWED)(scope, receive, send_with_headers)
        else:
            await self.hot.get(scope["path"], self.app)(
                scope, receive_and_note if unread else receive, send_with_headers
            )


def _encode(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


OVER_TLS = (b"x-forwarded-proto", b"https")  # a trusted proxy says so; over plain HTTP browsers ignore STRICT
STRICT = _encode({"strict-transport-security": "max-age=31536000"})
_BODY = (b"content-length", b"transfer-encoding")
_CLOSE = [(b"connection", b"close")]
# Enough for the only answer that is sent by the million (202): JSON of two numbers.
TAKEN_HEADERS = _encode(
    {
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }
)
