"""The application: one route table, one lifespan, one stack of middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from fleetune_server.common.errors import HTTP, RefusedError
from fleetune_server.common.health import open_files
from fleetune_server.http import decisions, own_kernels
from fleetune_server.http import endpoints as api
from fleetune_server.http.assets import ENTRIES, Assets
from fleetune_server.http.headers import BrowserHeaders
from fleetune_server.http.pages import missing as missing_page
from fleetune_server.http.pages import new_function, public
from fleetune_server.http.pages import privacy as privacy_page
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
    if error.status_code == 404 and missing_page.wanted(request):
        return missing_page.render(request)
    answer = RefusedError(HTTP[error.status_code], f"{error.detail}: {request.url.path}").to_wire()
    return JSONResponse(answer, status_code=error.status_code, headers=error.headers)
