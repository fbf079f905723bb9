"""`POST /api/own-kernels`, `DELETE /api/own-kernels/<name>`: an operator changes what is served."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fleetune.manifest import ManifestError
from fleetune_server.common.errors import CODES, RefusedError
from fleetune_server.kernels.catalogue import CapacityError, FullError
from fleetune_server.kernels.shelf import MAX_BYTES
from fleetune_server.kernels.spec import SpecError
from fleetune_server.kernels.tokens import TokenFileError, Tokens
from fleetune_server.runtime import State, state_of
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.telemetry.limits import read_body

log = logging.getLogger(__name__)
UPLOAD_SECONDS = 300.0  # for a whole document; whoever sends one has shown a token


def tokens_of(settings: Settings) -> Tokens:
    """The tokens of this server's operators."""
    return Tokens(settings.data / "operators.json")


async def add(request: Request) -> Response:
    """Take a kernel: 201 with its name and signature; 401, 409, 413 or 422 with the reasons."""
    state = state_of(request)
    operator = _operator(request, state)
    if operator is None:
        return _unauthorised()
    try:
        document = await read_body(request.headers.raw, request.receive, MAX_BYTES, UPLOAD_SECONDS)
        package = await state.served.add(document)
    except RefusedError as error:
        return _error(error.code, [str(error)])
    except SpecError as error:
        return _error("invalid", error.problems)
    except (FullError, CapacityError) as error:
        return _error("full", [str(error)])
    except ManifestError as error:
        return _error("conflict", [str(error)])
    except StoreError as error:
        return _error("store-unavailable", [str(error)])
    name = package.entry["name"]
    log.info("kernel added", extra={"kernel": name, "token": operator})
    answer = {"name": name, "profileSignature": package.entry["profileSignature"]}
    return JSONResponse(answer, status_code=201)


async def remove(request: Request) -> Response:
    """Forget a kernel: 200, or 404 if there is none of that name."""
    state, name = state_of(request), request.path_params["name"]
    operator = _operator(request, state)
    if operator is None:
        return _unauthorised()
    if not await state.served.remove(name):
        return _error("not-found", [f"there is no own kernel or job {name}"])
    log.info("kernel removed", extra={"kernel": name, "token": operator})
    return JSONResponse({"removed": name})


def _operator(request: Request, state: State) -> str | None:
    """The id of the token that the request brings; None if it brings none that is good."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return tokens_of(state.settings).holder(token.strip()) if scheme.lower() == "bearer" else None
    except TokenFileError as error:
        log.error("operator tokens", extra={"problem": str(error)})
        return None


def _unauthorised() -> Response:
    response = _error("unauthorised", [CODES["unauthorised"][1]])
    response.headers["www-authenticate"] = "Bearer"
    return response


def _error(code: str, problems: Sequence[str]) -> Response:
    error = {"code": code, "message": "\n".join(problems), "problems": list(problems)}
    return JSONResponse({"error": error}, status_code=CODES[code][0])
