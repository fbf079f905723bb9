"""Read-only endpoints about the server itself: boot, catalogue, health."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetune import __version__
from fleetune.context import Context, Environment
from fleetune.fields import FIELDS, HONESTY, NEVER_SENT
from fleetune.packet import DAY, build, encode, told_environment
from fleetune.privacy import EPSILONS
from fleetune.signed import MAX_VERSION, canonical
from fleetune.version_log import PAGE
from fleetune_server.common import metrics as instruments
from fleetune_server.http.assets import Assets
from fleetune_server.http.pages import policy
from fleetune_server.publish.history import Adoption, adoption, contributors, held_places, summary
from fleetune_server.runtime import KEY, State, state_of
from fleetune_server.store.base import withdrawable_seconds
from fleetune_server.telemetry.limits import privacy_signal

SOMEBODY = Environment("firefox", 145, "linux", True, True, True, "8-15", "x86")  # of the sample packets
SECURITY_TXT_VALID = timedelta(days=90)  # made anew each day
SIMULATION = Path(__file__).with_name("simulation.json")  # written by fleetune_research


async def boot(request: Request) -> Response:
    """The root that names the keys, and where the newest Python side is: parts.json has the one of a page's release."""
    return JSONResponse(
        {
            **request.state.assets.parts,
            "root": state_of(request).keys.root(),
            "keys": state_of(request).keys.public(),  # for open pages of releases that knew no root
            "policyRevision": policy.REVISION,
            "withdrawableSeconds": withdrawable_seconds(state_of(request).settings.hold_seconds),
            "measuringBytes": request.state.assets.measuring_bytes(
                request.headers.get("accept-encoding", "")
            ),
            "privacySignal": privacy_signal(request.headers.raw),  # pages cannot read their own requests
            "version": __version__,
        },
        headers={"cache-control": "no-cache", "vary": "sec-gpc, accept-encoding"},
    )


@cache
def _simulation() -> Any:
    """The committed result of the simulator, with how it was made; None if there is none."""
    return json.loads(SIMULATION.read_text()) if SIMULATION.is_file() else None


async def kernels(request: Request) -> Response:
    """The catalogue: manifest.json plus `root`, where its files are."""
    return state_of(request).catalogue.listing.respond(request.headers)


def kernel_file(assets: Assets) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for the files of catalogues under their immutable addresses."""

    async def endpoint(request: Request) -> Response:
        root = f"/kernels/{request.path_params['sha256']}/"
        return await assets.immutable(
            request, state_of(request).served.file(root, request.path_params["name"])
        )

    return endpoint


class Intake:
    """A route whose ASGI application the lifespan made; no framework between, so no header is kept."""

    def __init__(self, pick: Callable[[State], ASGIApp]) -> None:
        self.pick = pick

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.pick(scope["state"][KEY])(scope, receive, send)


async def privacy(request: Request) -> Response:
    """What a packet holds, field by field, as the page, /privacy and the command line show it."""
    fields = [field.to_wire() for field in FIELDS]
    samples = {f"{epsilon:g}": _sample(state_of(request), epsilon) for epsilon in EPSILONS}
    return JSONResponse({"fields": fields, "honesty": HONESTY, "neverSent": NEVER_SENT, "samples": samples})


def _sample(state: State, epsilon: float) -> str:
    """A packet with made-up values, from the code that makes real ones; about the catalogue's first kernel."""
    kernel = next(iter(state.catalogue.manifest.kernels.values()))
    context = Context.of(kernel.sizes[0], kernel.dtype, kernel.patterns[0])
    day = int(time.time() // DAY)
    sample = build(
        kernel,
        context,
        told_environment(SOMEBODY, epsilon),
        next(iter(kernel.variants)),
        0.9,
        1.0,
        0.7,
        epsilon,
        state.library.stable,
        day,
    )
    return encode(sample).decode()


def dashboard(assets: Assets) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for the dashboard, if it is public."""

    async def endpoint(request: Request) -> Response:
        if not state_of(request).settings.dashboard:
            raise HTTPException(404)
        return await assets.respond(request, "static", "dashboard/index.html")

    return endpoint


async def prometheus(request: Request) -> Response:
    """The instruments in the Prometheus text format."""
    state = state_of(request)
    shares: dict[str, instruments.Estimate] = {
        "satisfaction": await state.feedback.satisfaction(),
        "adoption": _adoption(state),
    }
    await _measure(state)
    return Response(state.metrics.text() + instruments.estimates(shares), media_type=instruments.CONTENT_TYPE)


async def _measure(state: State) -> None:
    """Find what the instruments cannot read at once."""
    metrics, progress = state.metrics, state.pipeline.progress
    metrics.problems.set(len(await state.problems()))
    metrics.pending.set((await state.known.of("counts", state.store.counts)).pending)
    metrics.fresh.set(progress.fresh)
    metrics.refused.set(progress.refused)
    metrics.suspicious.set(progress.suspicious)
    metrics.held_back.set(progress.held_back)
    metrics.store_bytes.set(await state.known.of("size", state.store.size))
    metrics.free_bytes.set((await asyncio.to_thread(shutil.disk_usage, state.settings.data)).free)
    latest = state.library.records.get(state.library.version)
    metrics.held.set(held_places(latest.document) if latest else 0)
    metrics.age.set(max(0.0, time.time() - latest.created) if latest else 0.0)


def _adoption(state: State) -> Adoption:
    counted = state.metrics
    return adoption(
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
            "rejected": {code: count for code, count in state.metrics.rejected.values.items() if count},
            "sockets": state.metrics.sockets.read(),
            "learning": dataclasses.asdict(progress) | {"fresh": progress.fresh},
            "satisfaction": (await state.feedback.satisfaction()).to_wire(),
            "adoption": _adoption(state).to_wire(),
            "versions": [
                version | {"trial": state.rollout.trials.get(version["version"])}
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
    """The public keys of this server."""
    return JSONResponse(state_of(request).keys.public(), headers={"cache-control": "no-cache"})


async def root(request: Request) -> Response:
    """A root of the chain by its number, or the newest one."""
    return await state_of(request).distributor.root(request)


async def version_log(request: Request) -> Response:
    """`GET /api/log?version=`: what was published from that version on, a page at a time; its last entry signed."""
    first = request.query_params.get("version", "1")
    if not (first.isascii() and first.isdecimal() and len(first) <= 10 and int(first) <= MAX_VERSION):
        raise HTTPException(400)
    state = state_of(request)
    entries = await state.store.log(int(first) - 1, PAGE)
    head = {"type": "log", "version": entries[-1].version, "digest": entries[-1].digest} if entries else None
    return JSONResponse(
        {
            "entries": [entry.to_wire() for entry in entries],
            "head": head,
            "signature": state.keys.sign(canonical(head)) if head else {},
        },
        headers={"cache-control": "no-cache"},
    )


async def latest_model(request: Request) -> Response:
    """What a client that holds `?version=` should fetch."""
    return await state_of(request).distributor.latest(request)


async def model_file(request: Request) -> Response:
    """A full model or a delta."""
    return await state_of(request).distributor.blob(request)


async def security_txt(request: Request) -> Response:
    """Whom to tell of a security problem (RFC 9116), if the operator has said so."""
    contact = state_of(request).settings.contact
    if not contact:
        raise HTTPException(404)
    expires = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + SECURITY_TXT_VALID
    lines = (
        f"Contact: {contact}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en, ru",
        "",
    )
    return PlainTextResponse("\n".join(lines))


async def healthz(request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"ok": True})


async def readyz(request: Request) -> Response:
    """Whether everything works; what does not is named."""
    problems = await state_of(request).problems()
    return JSONResponse({"ready": not problems, "problems": problems}, status_code=503 if problems else 200)
