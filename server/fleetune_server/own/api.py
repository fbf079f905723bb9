"""`POST /api/own-kernels`, `DELETE /api/own-kernels/<name>`: an operator changes what is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fleetune.manifest import ManifestError
from fleetune_server.catalogue import Catalogue
from fleetune_server.decisions import Decisions
from fleetune_server.intake.limits import BodyError, read_body
from fleetune_server.own.fields import SpecError
from fleetune_server.own.package import build
from fleetune_server.own.shelf import MAX_BYTES, MAX_KERNELS, Shelf, read_document
from fleetune_server.own.tokens import TokenFileError, Tokens
from fleetune_server.settings import Settings
from fleetune_server.state import State, state_of
from fleetune_server.store.base import StoreError

log = logging.getLogger(__name__)
EARLIER = 4  # catalogues whose files stay, for pages that hold their address


def tokens_of(settings: Settings) -> Tokens:
    """The tokens of this server's operators."""
    return Tokens(settings.data / "operators.json")


async def stocked(catalogue: Catalogue, shelf: Shelf) -> Catalogue:
    """The catalogue with what is on the shelf; without it, and with a problem, if that cannot be used."""
    try:
        return await asyncio.to_thread(catalogue.with_own, await shelf.packages())
    except (SpecError, ManifestError) as error:
        return catalogue.without_own(f"own kernels: {error}")


async def follow(state: State) -> None:
    """Take over what was added or removed through another replica."""
    shelf = Shelf(state.store)
    if await shelf.marks() == state.own_marks:
        return
    async with state.own_kernels:
        marks = await shelf.marks()
        if marks == state.own_marks:  # it was this one's own operator
            return
        catalogue = await stocked(state.catalogue, shelf)
        if catalogue.problem:
            log.error("own kernels cannot be used", extra={"problem": catalogue.problem})
        adopt(state, catalogue, marks)
        log.info("kernels taken over", extra={"kernels": sorted(marks)})


async def add(request: Request) -> Response:
    """Take a kernel: 201 with its name and signature; 401, 409, 413 or 422 with the reasons."""
    state = state_of(request)
    if refused := _unauthorised(request, state):
        return refused
    try:
        document = await read_body(
            request.headers.raw, request.receive, MAX_BYTES, state.settings.body_seconds
        )
        kernel = await asyncio.to_thread(read_document, document)
        package = await asyncio.to_thread(build, kernel)
        async with state.own_kernels:
            shelf = Shelf(state.store)
            others = [p for p in await shelf.packages() if p.entry["name"] != kernel.name]
            if len(others) >= MAX_KERNELS:
                return _error(409, "full", [f"there are {MAX_KERNELS} kernels already: remove one"])
            catalogue = await asyncio.to_thread(state.catalogue.with_own, [*others, package])
            await shelf.put(kernel.name, document)
            adopt(state, catalogue, await shelf.marks())
    except BodyError as error:
        return _error(error.status, error.code, [str(error)])
    except SpecError as error:
        return _error(422, "invalid", error.problems)
    except ManifestError as error:
        return _error(409, "conflict", [str(error)])
    except StoreError as error:
        return _error(503, "store", [str(error)])
    log.info("kernel added", extra={"kernel": kernel.name})
    answer = {"name": kernel.name, "profileSignature": package.entry["profileSignature"]}
    return JSONResponse(answer, status_code=201)


async def remove(request: Request) -> Response:
    """Forget a kernel: 200, or 404 if there is none of that name."""
    state, name = state_of(request), request.path_params["name"]
    if refused := _unauthorised(request, state):
        return refused
    shelf = Shelf(state.store)
    async with state.own_kernels:
        if not await shelf.remove(name):
            return _error(404, "not-found", [f"there is no own kernel {name}"])
        adopt(state, await stocked(state.catalogue, shelf), await shelf.marks())
    log.info("kernel removed", extra={"kernel": name})
    return JSONResponse({"removed": name})


def adopt(state: State, catalogue: Catalogue, marks: dict[str, str]) -> None:
    """From now on serve, accept reports about, decide and learn this catalogue's kernels."""
    state.own_marks = marks
    state.earlier = [state.catalogue, *state.earlier][:EARLIER]
    state.catalogue = catalogue
    state.intake.checker.adopt(catalogue.manifest.by_signature)
    state.pipeline.manifest = catalogue.manifest
    state.decisions = Decisions(catalogue.manifest, catalogue.root)


def _unauthorised(request: Request, state: State) -> Response | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() == "bearer" and tokens_of(state.settings).allows(token.strip()):
            return None
    except TokenFileError as error:
        log.error("operator tokens", extra={"problem": str(error)})
    response = _error(401, "unauthorised", ["an operator token is needed: `fleetune kernels token new`"])
    response.headers["www-authenticate"] = "Bearer"
    return response


def _error(status: int, code: str, problems: Sequence[str]) -> Response:
    error = {"code": code, "message": "\n".join(problems), "problems": list(problems)}
    return JSONResponse({"error": error}, status_code=status)
