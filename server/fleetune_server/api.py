"""Read-only endpoints about the server itself: boot, catalogue, health."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fleetune import __version__
from fleetune_server import wheel
from fleetune_server.state import state_of

POLICY_REVISION = 1  # raise when what is sent or kept changes: consent is asked for again


async def boot(request: Request) -> Response:
    """Where the page's Python side finds its parts, and the keys that it pins."""
    return JSONResponse(
        {
            "wheel": f"/wheels/{wheel.NAME}",
            "pyodide": "/pyodide/",
            "keys": {},
            "policyRevision": POLICY_REVISION,
            "version": __version__,
        },
        headers={"cache-control": "no-cache"},
    )


async def kernels(request: Request) -> Response:
    """The catalogue: manifest.json plus `root`, where its files are."""
    return state_of(request).catalogue.listing.respond(request.headers)


async def kernel_file(request: Request) -> Response:
    """One file of the catalogue under its immutable address."""
    catalogue = state_of(request).catalogue
    asset = catalogue.files.get(request.path_params["name"])
    if asset is None or catalogue.root != f"/kernels/{request.path_params['sha256']}/":
        raise HTTPException(404)
    return asset.respond(request.headers)


async def gpc(request: Request) -> Response:
    """Global Privacy Control: this site honours the signal."""
    return JSONResponse({"gpc": True, "lastUpdate": "2026-11-23"})


async def healthz(request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"ok": True})


async def readyz(request: Request) -> Response:
    """Whether everything works; what does not is named."""
    catalogue = state_of(request).catalogue
    problems = [catalogue.problem] if catalogue.problem else []
    return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)
