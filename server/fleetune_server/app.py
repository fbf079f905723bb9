"""The application: one route table, one lifespan, one stack of middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from fleetune_server import api, decisions, missing_page, privacy_page, wheel
from fleetune_server.assets import Assets
from fleetune_server.intake.headers import BrowserHeaders
from fleetune_server.intake.ingest import BROKEN_SECONDS
from fleetune_server.own import api as own_kernels
from fleetune_server.runtime import running
from fleetune_server.settings import ROOT, Settings
from fleetune_server.state import KEY, State
from fleetune_server.store.base import StoreError

BROWSER = ROOT / "browser"
FOLDERS = {
    "/": (BROWSER / "web",),
    "/static/": (BROWSER / "web",),
    "/pyodide/": (BROWSER / "node_modules" / "pyodide", BROWSER / "vendor"),
    "/vendor/uplot/": (BROWSER / "node_modules" / "uplot" / "dist",),
}


# Beside the route table: every packet passes here (raw ASGI, before Starlette's routing). `WS /ws` is below
# ASGI: deliver/push.py.
HOT = {"/api/telemetry": api.Telemetry()}


def routes(assets: Assets) -> list[BaseRoute]:
    """The API, readable from top to bottom (and HOT)."""
    return [
        Route("/api/feedback", api.Feedback()),
        Route("/", assets.page("/", "index.html")),
        Route("/dashboard", api.dashboard(assets)),
        Route("/privacy", privacy_page.page),
        Route("/fleetune.js", assets.entry("fleetune.js")),
        Route("/widget.js", assets.entry("widget.js")),
        Route("/sw.js", assets.page("/", "sw.js")),  # at the root: it may serve every page
        Route("/static/{path:path}", assets.folder),
        Route("/pyodide/{path:path}", assets.folder),
        Route("/vendor/uplot/{path:path}", assets.folder),
        Route(f"/wheels/{wheel.NAME}", assets.wheel),
        Route("/kernels/{sha256}/{name:path}", api.kernel_file),
        Route("/models/{sha256}", api.model_file),
        Route("/keys.json", api.keys),
        Route("/api/boot.json", api.boot),
        Route("/api/kernels", api.kernels),
        Route("/api/own-kernels", own_kernels.add, methods=["POST"]),
        Route("/api/own-kernels/{name}", own_kernels.remove, methods=["DELETE"]),
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
    ]


def create_app(settings: Settings) -> ASGIApp:
    """The ASGI application for these settings. The headers are outermost: on what no route answers, too."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, State]]:
        async with running(settings) as state:
            yield {KEY: state}

    app = Starlette(
        routes=routes(Assets(FOLDERS)),
        exception_handlers={HTTPException: failure, StoreError: unavailable},
        lifespan=lifespan,
    )
    return BrowserHeaders(app, settings.isolated, HOT)


async def unavailable(request: Request, error: Exception) -> Response:
    """What only the store knows, while it does not answer."""
    code, message = "store-unavailable", "the server cannot read this at present"
    headers = {"retry-after": str(BROKEN_SECONDS)}
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=503, headers=headers)


async def failure(request: Request, error: Exception) -> Response:
    """Errors leave as data: {"error": {"code", "message"}}; a person who follows a dead link gets a page."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and missing_page.wanted(request):
        return missing_page.render(request)
    code = error.detail.lower().replace(" ", "_")
    return JSONResponse(
        {"error": {"code": code, "message": f"{error.detail}: {request.url.path}"}},
        status_code=error.status_code,
        headers=error.headers,
    )
