"""`/api/decisions`, `/api/decisions/<engine>`, `/api/plan`: what a kind of browser would run or measure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from fleetune.context import (
    ARCHITECTURES,
    BROWSERS,
    CORES,
    MAX_BROWSER_VERSION,
    SYSTEMS,
    UNKNOWN,
    Environment,
)
from fleetune.model import Model
from fleetune_server.common.assets import Asset
from fleetune_server.common.errors import RefusedError
from fleetune_server.publish.decisions import ENGINES, EngineAnswer
from fleetune_server.publish.distribute import SealedAnswer
from fleetune_server.runtime import state_of

_FLAGS = {"1": True, "0": False}


def parse_environment(query: Mapping[str, str]) -> Environment:
    """The environment that a query string names; 400 naming the field that is wrong."""
    try:
        values = {name: query[name] for name in ("browser", "version", "os", "cores")}
        flags = {name: _FLAGS[query[name]] for name in ("simd", "relaxedSimd", "threads")}
    except KeyError as error:
        raise RefusedError("bad-environment", f"{error.args[0]}: missing or not 0 or 1") from None
    for name, words in (("browser", BROWSERS), ("os", SYSTEMS), ("cores", CORES)):
        if values[name] not in words:
            raise RefusedError("bad-environment", f"{name}: one of {', '.join(words)}")
    version = values["version"]
    if not (version.isascii() and version.isdigit() and int(version[:9]) <= MAX_BROWSER_VERSION):
        raise RefusedError("bad-environment", f"version: a number up to {MAX_BROWSER_VERSION}")
    arch = query.get("arch", UNKNOWN)
    if arch not in (*ARCHITECTURES, UNKNOWN):
        raise RefusedError("bad-environment", f"arch: one of {', '.join(ARCHITECTURES)}, or absent")
    return Environment.from_wire({**values, **flags, "version": int(version), "arch": arch})


async def _answer(request: Request) -> tuple[Asset, Asset]:
    environment = parse_environment(request.query_params)
    return await state_of(request).decisions.answer(_model(request), environment)


def _model(request: Request) -> Model:
    library = state_of(request).library
    # A page that tries a candidate asks for it by number, so that answers can be cached for everyone.
    asked = request.query_params.get("model", "")
    if asked == "first" and library.models:  # against which a page sees what reports brought
        return library.models[min(library.models)]
    wanted = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 10 else 0
    model = library.models.get(max(wanted, library.stable)) or library.models.get(library.stable)
    if model is None:
        raise RefusedError("no-model", wait=2)
    return model


async def of_engine(request: Request) -> Response:
    """`GET /api/decisions/<engine>`: one answer for every browser of an engine, its kinds within.

    `?kernel=NAME` gives this kernel alone, `?kernel=` the names of all, `?job=NAME` a job with its description.
    """
    engine, query = request.path_params["engine"], request.query_params
    if engine not in ENGINES:
        raise RefusedError("unknown-engine", f"engines are {', '.join(ENGINES)}")
    # A page's first question, and not about a version that it heard of later.
    if not query.get("kernel") and "model" not in query:
        state_of(request).metrics.sessions.add()
    answer = await state_of(request).decisions.of_engine(_model(request), engine)
    found = _asked(answer, query)
    if found is None:
        raise RefusedError(
            "not-found", f"there is no such kernel or job; kernels: {', '.join(answer.kernels)}"
        )
    return await asyncio.to_thread(lambda: found.asset.respond(request.headers))


def _asked(answer: EngineAnswer, query: Mapping[str, str]) -> SealedAnswer | None:
    if "job" in query:
        return answer.jobs.get(query["job"])
    kernel = query.get("kernel")
    if kernel is None:
        return answer.whole
    return answer.kernels.get(kernel) if kernel else answer.names


async def decisions(request: Request) -> Response:
    """`GET /api/decisions`: kernel → pattern → sizes, each with the choice and every candidate's speedup."""
    return (await _answer(request))[0].respond(request.headers)


async def measuring_plan(request: Request) -> Response:
    """`GET /api/plan`: cells worth measuring in this kind of browser."""
    return (await _answer(request))[1].respond(request.headers)
