"""The application: one route table, one lifespan, one stack of middleware."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fleetune_server import api, wheel
from fleetune_server.assets import Assets
from fleetune_server.catalogue import Catalogue
from fleetune_server.intake.check import Checker
from fleetune_server.intake.headers import BrowserHeaders
from fleetune_server.intake.ingest import Intake
from fleetune_server.intake.limits import RateLimiter
from fleetune_server.learn.aggregate import is_heldout
from fleetune_server.library import Library
from fleetune_server.metrics import Metrics
from fleetune_server.settings import ROOT, Settings
from fleetune_server.state import KEY, State
from fleetune_server.stores import open_store

BROWSER = ROOT / "browser"
FOLDERS = {
    "/": (BROWSER / "web",),
    "/static/": (BROWSER / "web",),
    "/pyodide/": (BROWSER / "node_modules" / "pyodide", BROWSER / "vendor"),
    "/vendor/uplot/": (BROWSER / "node_modules" / "uplot" / "dist",),
}


def routes(assets: Assets) -> list[BaseRoute]:
    """The API, readable from top to bottom."""
    return [
        Route("/", assets.page("/", "index.html")),
        Route("/dashboard", assets.page("/", "dashboard.html")),
        Route("/privacy", assets.page("/", "privacy.html")),
        Route("/fleetune.js", assets.page("/", "fleetune.js")),
        Route("/static/{path:path}", assets.folder),
        Route("/pyodide/{path:path}", assets.folder),
        Route("/vendor/uplot/{path:path}", assets.folder),
        Route(f"/wheels/{wheel.NAME}", assets.wheel),
        Route("/kernels/{sha256}/{name}", api.kernel_file),
        Route("/api/boot.json", api.boot),
        Route("/api/kernels", api.kernels),
        Route("/api/privacy.json", api.privacy),
        Route("/api/telemetry", api.Telemetry()),
        Route("/api/metrics", api.metrics),
        Route("/metrics", api.prometheus),
        Route("/healthz", api.healthz),
        Route("/readyz", api.readyz),
        Route("/.well-known/gpc.json", api.gpc),
    ]


def create_app(settings: Settings) -> Starlette:
    """The ASGI application for these settings."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, State]]:
        catalogue = Catalogue.load(settings.kernels)
        async with open_store(settings) as store:
            metrics = Metrics()
            library = Library(settings.keep_versions)
            metrics.waiting.read = lambda: store.waiting
            metrics.version.read = lambda: library.version
            checker = Checker(
                catalogue.manifest.by_signature,
                library,
                settings.epsilons,
                settings.stale_days,
                is_heldout,
                time.time,
            )
            limiter = RateLimiter(settings.rate_packets, settings.trusted_proxy)
            intake = Intake(store, checker, limiter, metrics, settings.body_seconds)
            yield {KEY: State(settings, catalogue, store, library, intake, metrics)}

    return Starlette(
        routes=routes(Assets(FOLDERS)),
        middleware=[Middleware(BrowserHeaders, isolated=settings.isolated)],
        exception_handlers={HTTPException: failure},
        lifespan=lifespan,
    )


async def failure(request: Request, error: Exception) -> Response:
    """Errors leave as data: {"error": {"code", "message"}}."""
    assert isinstance(error, HTTPException)
    code = error.detail.lower().replace(" ", "_")
    return JSONResponse(
        {"error": {"code": code, "message": f"{error.detail}: {request.url.path}"}},
        status_code=error.status_code,
        headers=error.headers,
    )
