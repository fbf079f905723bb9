"""The chain of roots: what clients follow from the keys that they remember to those that sign now.

One file a root beside the keys, never changed once it is there. Replicas share the folder; the first one that writes a
number has it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleetune.root import Document, Root, read_root
from fleetune.signed import SignedError, canonical
from fleetune_server.common import private_file

log = logging.getLogger(__name__)
VALID_SECONDS = 366 * 86_400  # an attacker who replays an old root can hide a rotation for so long
RENEW_SECONDS = VALID_SECONDS // 2  # with less left, the next root says the same for longer
THRESHOLD = 1
LOST = (
    "clients that remember the old keys refuse the new ones, and every version that these sign, until their visitors "
    "clear this site's data in the browser"
)


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
