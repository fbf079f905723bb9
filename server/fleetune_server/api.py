"""Read-only endpoints about the server itself: boot, catalogue, health."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fleetune import __version__
from fleetune.fields import FIELDS, HONESTY, NEVER_SENT
from fleetune_server import adoption, policy, wheel
from fleetune_server import metrics as instruments
from fleetune_server.adoption import Adoption
from fleetune_server.assets import Assets
from fleetune_server.history import contributors, summary
from fleetune_server.settings import ROOT
from fleetune_server.state import KEY, State, state_of

SNAPSHOT = ROOT / "browser" / "node_modules" / "pyodide" / "snapshot.bin.gz"  # made by browser/snapshot.mjs
SIMULATION = Path(__file__).with_name("simulation.json")  # what `fleetune simulate --json` printed


async def boot(request: Request) -> Response:
    """Where the page's Python side finds its parts, and the keys that it pins."""
    return JSONResponse(
        {
            "wheel": f"/wheels/{wheel.NAME}",
            "pyodide": "/pyodide/",
            "snapshot": _snapshot(),
            "keys": state_of(request).keys.public(),
            "policyRevision": policy.REVISION,
            "privacySignal": request.headers.get("sec-gpc") == "1",  # pages cannot read their own requests
            "version": __version__,
        },
        headers={"cache-control": "no-cache", "vary": "sec-gpc"},
    )


@cache
def _snapshot() -> dict[str, str] | None:
    """Python's memory after its start, beside Pyodide's files; None if the build could not make it."""
    if not SNAPSHOT.is_file():
        return None
    return {"file": SNAPSHOT.name, "sha256": hashlib.sha256(SNAPSHOT.read_bytes()).hexdigest()}


@cache
def _simulation() -> Any:
    """The committed result of `fleetune simulate`, with how it was made; None if there is none."""
    return json.loads(SIMULATION.read_text()) if SIMULATION.is_file() else None


async def kernels(request: Request) -> Response:
    """The catalogue: manifest.json plus `root`, where its files are."""
    return state_of(request).catalogue.listing.respond(request.headers)


async def kernel_file(request: Request) -> Response:
    """One file of the catalogue under its immutable address."""
    state, root = state_of(request), f"/kernels/{request.path_params['sha256']}/"
    for catalogue in (state.catalogue, *state.earlier):
        asset = catalogue.files.get(request.path_params["name"])
        if asset is not None and catalogue.root == root:
            return asset.respond(request.headers)
    raise HTTPException(404)


class Telemetry:
    """`/api/telemetry`, handed to the intake that the lifespan made; raw ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"][KEY].intake(scope, receive, send)


class Feedback:
    """`/api/feedback`, likewise."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"][KEY].feedback(scope, receive, send)


async def privacy(request: Request) -> Response:
    """What a packet holds, field by field, as the page, /privacy and the command line show it."""
    fields = [field.to_wire() for field in FIELDS]
    return JSONResponse({"fields": fields, "honesty": HONESTY, "neverSent": NEVER_SENT})


def dashboard(assets: Assets) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for the dashboard, if it is public."""

    async def endpoint(request: Request) -> Response:
        if not state_of(request).settings.dashboard:
            raise HTTPException(404)
        return await assets.respond(request, "/", "dashboard.html")

    return endpoint


async def prometheus(request: Request) -> Response:
    """The instruments in the Prometheus text format."""
    state = state_of(request)
    shares: dict[str, instruments.Estimate] = {
        "satisfaction": await state.feedback.satisfaction(),
        "adoption": _adoption(state),
    }
    return Response(state.metrics.text() + instruments.estimates(shares), media_type=instruments.CONTENT_TYPE)


def _adoption(state: State) -> Adoption:
    counted = state.metrics
    return adoption.estimate(
        counted.packets.values["accepted"], counted.withdrawn.values[""], counted.sessions.values[""]
    )


async def metrics(request: Request) -> Response:
    """The same for people: what came in, what is kept, what was learned. Totals only."""
    state = state_of(request)
    if not state.settings.dashboard:
        raise HTTPException(404)
    known = state.known.of
    counts = await known("counts", state.store.counts)
    progress = state.pipeline.progress
    hours = await known("hours", state.history.hours)
    shelf = [summary(record) for record in state.library.records.values()]
    recorded = await known("versions", state.history.versions)
    earlier = [old for old in recorded if old["version"] < shelf[0]["version"]]
    return JSONResponse(
        {
            "version": state.library.stable,
            "uptimeSeconds": round(time.time() - state.started),
            "store": dataclasses.asdict(counts),
            "packets": dict(state.metrics.packets.values),
            "rejected": dict(state.metrics.rejected.values),
            "sockets": state.metrics.sockets.read(),
            "learning": dataclasses.asdict(progress) | {"fresh": progress.fresh},
            "satisfaction": (await state.feedback.satisfaction()).to_wire(),
            "adoption": _adoption(state).to_wire(),
            "versions": [
                version | {"canary": state.canary.trials.get(version["version"])}
                for version in (*earlier, *shelf)
            ],
            "hours": hours,
            "contributors": contributors(hours, counts.reports, time.time()),
            "telemetryToModel": state.metrics.delay.to_wire(),
            "simulation": _simulation(),
            "retrainPackets": state.settings.retrain_packets,
            "environments": [e.to_wire() for e in state.pipeline.lab.rows.frame.environments],
            "kernels": len(state.catalogue.manifest.kernels),
        },
        headers={"cache-control": "no-store"},
    )


async def keys(request: Request) -> Response:
    """The public keys that pages of this server pin."""
    return JSONResponse(state_of(request).keys.public(), headers={"cache-control": "no-cache"})


async def latest_model(request: Request) -> Response:
    """What a client that holds `?version=` should fetch."""
    return await state_of(request).distributor.latest(request)


async def model_file(request: Request) -> Response:
    """A full model or a delta."""
    return await state_of(request).distributor.blob(request)


async def healthz(request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"ok": True})


async def readyz(request: Request) -> Response:
    """Whether everything works; what does not is named."""
    state = state_of(request)
    store = state.store.problem
    problems = [problem for problem in (state.catalogue.problem, store and f"store: {store}") if problem]
    return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)
