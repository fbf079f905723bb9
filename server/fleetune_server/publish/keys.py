"""The operator's signing keys: one private file each, several at a time so that they can be rotated.

A key is made `standby` (the root names it, it signs no release yet), then `signing`, then removed. While two keys
sign, every page that knows either of them accepts the release. Each change of the set adds a root to the chain that
clients follow (`roots.py`).
"""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleetune.root import Document
from fleetune.signed import MAX_SIGNATURES, key_id
from fleetune_server.common import private_file
from fleetune_server.publish.roots import LOST, RootError, Roots

KeyState = Literal["standby", "signing"]
_STATES = ("standby", "signing")


class KeyFileError(Exception):
    """A key file that must not or cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Key:
    """One Ed25519 key pair."""

    id: str  # first 16 hex digits of the SHA-256 of the raw public key
    state: KeyState
    created: int  # Unix seconds
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()


class KeyRing:
    """The keys of one folder. Reads the folder again when a key was added, changed or removed there."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.roots = Roots(folder / "roots", now)
        self.least: Callable[[], int] = lambda: 0  # the newest version that every client may have
        self._stamp: object = None
        self._keys: tuple[Key, ...] = ()

    @classmethod
    def open(cls, folder: Path, signed: bool = False, now: Callable[[], float] = time.time) -> KeyRing:
        """The ring of a folder; the first signing key is made here if there is none.

        `signed`: versions were published already. Then keys that are gone raise KeyFileError, since clients
        that remember them refuse everything that a new key signs.
        """
        ring = cls(folder, now)
        if not ring.keys:
            if signed:
                raise KeyFileError(
                    f"{folder} holds no signing key, but versions are published: restore the keys from a "
                    f"backup, or start once with --new-keys; {LOST}"
                )
            ring._make("signing")
        ring.root(anew=not signed)
        return ring

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key, oldest first; raises KeyFileError for a file that others can read or that is damaged."""
        paths = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        stamp = tuple((path.name, path.stat().st_mtime_ns) for path in paths)
        if stamp != self._stamp:
            self._keys = tuple(sorted(map(_read, paths), key=lambda key: (key.created, key.id)))
            self._stamp = stamp
        return self._keys

    def sign(self, message: bytes) -> dict[str, str]:
        """The wire form of the signatures by every signing key: {keyId: base64}."""
        return {
            key.id: base64.b64encode(key.private.sign(message)).decode()
            for key in self.keys
            if key.state == "signing"
        }

    def root(self, anew: bool = False) -> Document:
        """The root that names these keys, as clients get it; made now if there is none yet.

        KeyFileError if the last root's keys are all gone, unless the chain may begin `anew`.
        """
        try:
            return self.roots.follow({key.id: key.private for key in self.keys}, self.least, anew)
        except RootError as error:
            raise KeyFileError(str(error)) from error

    def public(self) -> dict[str, str]:
        """What clients trust: {keyId: base64 of the raw public key}, standby keys included."""
        return {key.id: base64.b64encode(key.public).decode() for key in self.keys}

    def new(self, state: KeyState = "standby") -> Key:
        """Make a key, which the next root names."""
        if self.keys:
            self.root()  # so that an older key is there to sign it
        if len(self.keys) == MAX_SIGNATURES:
            raise KeyFileError(f"there are {MAX_SIGNATURES} keys already: `fleetune keys retire` one first")
        if not self.keys and self.roots.newest():
            raise KeyFileError(
                f"the keys of {self.folder} are gone: restore them from a backup, or start once with --new-keys; {LOST}"
            )
        key = self._make(state)
        self.root()
        return key

    def _make(self, state: KeyState) -> Key:
        private = Ed25519PrivateKey.generate()
        key = Key(key_id(private.public_key().public_bytes_raw()), state, int(time.time()), private)
        self._write(key)
        return key

    def rotate(self) -> Key:
        """Let the oldest standby key sign from now on, or a new one if there is none; older ones sign too."""
        standby = next((key for key in self.keys if key.state == "standby"), None)
        if standby is None:
            return self.new("signing")
        key = replace(standby, state="signing")
        self._write(key)
        return key

    def retire(self, name: str) -> None:
        """Delete a key: nothing is signed by it, and the next root does not name it. The last one stays."""
        key = next((key for key in self.keys if key.id == name), None)
        if key is None:
            raise KeyFileError(f"no key {name} in {self.folder}; `fleetune keys list` names them")
        if key.state == "signing" and sum(other.state == "signing" for other in self.keys) == 1:
            raise KeyFileError(f"{name} is the only signing key: run `fleetune keys rotate` first")
        self.root()  # so that the keys that stay are there to sign the next one
        self._path(key).unlink()
        self.root()

    def _path(self, key: Key) -> Path:
        return self.folder / f"{key.id}.json"

    def _write(self, key: Key) -> None:
        secret = base64.b64encode(key.private.private_bytes_raw()).decode()
        text = json.dumps({"state": key.state, "created": key.created, "private": secret})
        private_file.write(self._path(key), text.encode())
        self._stamp = None


def _read(path: Path) -> Key:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(f"{path} can be read by others: chmod 600 it; retire that key if it may be known")
    try:
        raw: Mapping[str, object] = json.loads(path.read_text())
        state, created, secret = raw["state"], raw["created"], raw["private"]
        if state not in _STATES or not isinstance(created, int) or not isinstance(secret, str):
            raise ValueError("fields")
        private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret, validate=True))
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"{path} is not a key file; restore it from a backup or remove it") from error
    key = Key(path.stem, "signing" if state == "signing" else "standby", created, private)
    if key_id(key.public) != key.id:
        raise KeyFileError(f"{path} holds another key than its name says")
    return key
