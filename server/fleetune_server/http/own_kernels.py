"""`POST /api/own-kernels`, `DELETE /api/own-kernels/<name>`: an operator changes what is served, by a token.

Only the hashes of tokens are kept. A token is 256 random bits, so one round of SHA-256 is enough: there is nothing to
guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fleetune.manifest import ManifestError
from fleetune_server.common import private_file
from fleetune_server.common.errors import CODES, RefusedError
from fleetune_server.kernels.catalogue import CapacityError, FullError
from fleetune_server.kernels.shelf import MAX_BYTES
from fleetune_server.kernels.spec import SpecError
from fleetune_server.runtime import State, state_of
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.telemetry.limits import read_body

log = logging.getLogger(__name__)
PREFIX = "ft"  # of a token
LIFETIME = 180 * 86_400  # seconds
UPLOAD_SECONDS = 300.0  # for a whole document; whoever sends one has shown a token


class TokenFileError(Exception):
    """The token file cannot be read; the message names it."""


@dataclass(frozen=True)
class Token:
    """What is known of one token."""

    id: str
    digest: str
    created: int  # Unix seconds
    expires: int  # Unix seconds


class Tokens:
    """The tokens of one file, read again at each use: revoking one takes effect at once."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock

    def known(self) -> list[Token]:
        """Every token, oldest first; TokenFileError if the file is damaged."""
        if not self.path.exists():
            return []
        try:
            rows = json.loads(self.path.read_text())
            return [
                Token(row["id"], row["sha256"], row["created"], row.get("expires", row["created"] + LIFETIME))
                for row in rows
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise TokenFileError(f"{self.path} is damaged: remove it and make new tokens") from error

    def new(self) -> str:
        """Make a token that expires after LIFETIME; the text is shown once and never kept."""
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        name = secrets.token_hex(4)
        token = f"{PREFIX}-{name}-{secret}"
        now = int(self.clock())
        self._write([*self.known(), Token(name, _digest(token), now, now + LIFETIME)])
        return token

    def revoke(self, name: str) -> bool:
        """Forget a token; whether there was one of that id."""
        before = self.known()
        left = [token for token in before if token.id != name]
        if len(left) < len(before):
            self._write(left)
        return len(left) < len(before)

    def holder(self, token: str) -> str | None:
        """The id of this token, if it is one of them and has not expired.

        It takes a time that does not depend on how much of it is right.
        """
        digest, now = _digest(token), self.clock()
        found = [
            one.id for one in self.known() if hmac.compare_digest(digest, one.digest) and now < one.expires
        ]
        return found[0] if found else None

    def _write(self, tokens: list[Token]) -> None:
        rows = [{"id": t.id, "sha256": t.digest, "created": t.created, "expires": t.expires} for t in tokens]
        private_file.write(self.path, json.dumps(rows).encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


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
