"""The operator's signing keys, and the chain of roots that leads clients from the keys they remember to these.

Keys are one private file each, several at a time so that they can be rotated. A key is made `standby` (the root names
it, it signs no release yet), then `signing`, then removed. While two keys sign, every page that knows either of them
accepts the release.

Each change of the set adds a root: one file beside the keys, never changed once it is there. Replicas share the
folder; the first one that writes a number has it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleetune.root import Document, Root, read_root
from fleetune.signed import MAX_SIGNATURES, SignedError, canonical, key_id
from fleetune_server.common import private_file

log = logging.getLogger(__name__)
VALID_SECONDS = 366 * 86_400  # an attacker who replays an old root can hide a rotation for so long
RENEW_SECONDS = VALID_SECONDS // 2  # with less left, the next root says the same for longer
THRESHOLD = 1
LOST = (
    "clients that remember the old keys refuse the new ones, and every version that these sign, until their visitors "
    "clear this site's data in the browser"
)
KeyState = Literal["standby", "signing"]
_STATES = ("standby", "signing")


class RootError(Exception):
    """The chain cannot be read or go on; the message says what to do."""


class Roots:
    """The roots of one folder, `1.json` and so on."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._now = now
        self._newest: tuple[int, Root, Document] | None = None

    def document(self, version: int) -> Document | None:
        """A root as clients get it; None if there is none of that number. RootError if it is damaged."""
        path = self.folder / f"{version}.json"
        try:
            document: Document = json.loads(path.read_bytes())
            read_root(document)
        except FileNotFoundError:
            return None
        except (ValueError, SignedError) as error:
            raise RootError(f"{path} is damaged: restore it from a backup") from error
        return document

    def newest(self) -> tuple[Root, Document] | None:
        """The root that holds now; None before the first one."""
        names = self.folder.iterdir() if self.folder.is_dir() else ()
        version = max((int(path.stem) for path in names if path.stem.isdecimal()), default=0)
        if not version:
            return None
        if self._newest is None or self._newest[0] != version:
            document = self.document(version)
            assert document is not None
            self._newest = version, read_root(document), document
        return self._newest[1:]

    def follow(
        self, keys: Mapping[str, Ed25519PrivateKey], least: Callable[[], int], anew: bool = False
    ) -> Document:
        """The newest root, which names exactly these keys; the chain goes on if the last one does not, or soon expires.

        `least` is asked when keys went: no client shall then take an older version. RootError if none of the last
        root's keys is left to sign its successor, unless `anew`: then clients that remember it refuse what follows.
        """
        while True:
            found = self.newest()
            root = found[0] if found else None
            public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
            if found and root and root.keys == public and root.expires - self._now() > RENEW_SECONDS:
                return found[1]
            signers = {name for name in keys if root is None or name in root.keys}
            if root and len(signers) < root.threshold:
                if not anew:
                    raise RootError(
                        f"none of the keys that root {root.version} names is left: restore them from a backup, or "
                        f"start once with --new-keys; {LOST}"
                    )
                log.warning("the chain of roots begins anew", extra={"reason": LOST})
            before = root.least if root else 0
            gone = root is not None and not root.keys.keys() <= keys.keys()
            fresh = Root(
                root.version + 1 if root else 1,
                public,
                THRESHOLD,
                max(before, least()) if gone else before,
                int(self._now()) + VALID_SECONDS,
            )
            self._write(fresh, keys)

    def _write(self, root: Root, keys: Mapping[str, Ed25519PrivateKey]) -> None:
        """Sign a root with every key and keep it, unless another process was first with that number."""
        message = canonical(root.to_wire())
        signatures = {name: base64.b64encode(key.sign(message)).decode() for name, key in keys.items()}
        text = json.dumps({"signed": root.to_wire(), "signatures": signatures})
        draft = self.folder / f".{root.version}.{os.getpid()}.draft"
        private_file.write(draft, text.encode())
        try:
            os.link(draft, self.folder / f"{root.version}.json")
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        private_file.sync_folder(self.folder)


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
