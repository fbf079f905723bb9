"""Operator tokens: who holds one may add and remove kernels. Only their hashes are kept.

A token is 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetune_server.common import private_file

PREFIX = "ft"
LIFETIME = 180 * 86_400  # seconds


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
