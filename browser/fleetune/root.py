"""The root of trust: which keys a server signs with, as a chain of signed documents that clients follow.

After the root role of The Update Framework (specification 1.0, section 5.3): each root is signed by its own keys
and by those of the root before it. The same keys sign roots and releases. `app/trust.py` remembers the newest one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetune.signed import (
    MAX_SIGNATURES,
    MAX_TIME,
    MAX_VERSION,
    SignedError,
    Verify,
    canonical,
    integer,
    pack_keys,
    read_keys,
    read_signatures,
)

TYPE = "root"
MAX_BYTES = 16_384  # of a root's JSON; MAX_SIGNATURES keys with their signatures take 1,600
MAX_STEPS = 1_000  # roots that are followed in one go

Document = Mapping[str, Any]  # {"signed": a root's wire form, "signatures": {keyId: base64}}


@dataclass(frozen=True, slots=True)
class Root:
    """One root: whose signatures count from now on."""

    version: int  # one more than that of the root before
    keys: Mapping[str, bytes]  # raw public keys by id
    threshold: int  # signatures that a root needs, of its own keys and of those of the root before
    least: int  # release versions below this one were superseded when the keys changed
    expires: int  # Unix seconds

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": TYPE,
            "version": self.version,
            "keys": pack_keys(self.keys),
            "threshold": self.threshold,
            "least": self.least,
            "expires": self.expires,
        }

    @classmethod
    def from_wire(cls, wire: object) -> Root:
        """Read a root strictly; raise SignedError("root-form") for any other shape."""
        names = {"type", *cls.__slots__}
        if not isinstance(wire, dict) or wire.keys() != names or wire["type"] != TYPE:
            raise SignedError("root-form", "the server's root has other fields than it must")
        try:
            keys = read_keys(wire["keys"])
            return cls(
                integer(wire, "version", 1, MAX_VERSION),
                keys,
                integer(wire, "threshold", 1, min(len(keys), MAX_SIGNATURES)),
                integer(wire, "least", 0, MAX_VERSION),
                integer(wire, "expires", 1, MAX_TIME),
            )
        except SignedError as error:
            raise SignedError("root-form", f"the server's root is malformed: {error}") from error


async def verify_root(document: object, before: Root | None, ed25519_verify: Verify) -> Root:
    """The root in this document; SignedError unless it is signed by itself and follows from `before`.

    Without `before` this is a first use: the root vouches for itself. Expiry is `check_root_time`'s matter, since only
    the newest root of a chain must be in date.
    """
    root = read_root(document)
    assert isinstance(document, dict)
    try:
        signatures = read_signatures(document["signatures"])
    except SignedError as error:
        raise SignedError("root-keys", f"the server's root: {error}") from error
    if before and root.version != before.version + 1:
        raise SignedError("root-skipped", f"root {root.version} cannot follow root {before.version}")
    if before and root.least < before.least:
        raise SignedError("root-rollback", "the server's root would allow older models than the one before")
    message = canonical(root.to_wire())
    for signers, threshold in [(root.keys, root.threshold)] + (
        [(before.keys, before.threshold)] if before else []
    ):
        good = 0
        for name, signature in signatures.items():
            if name in signers:
                if not await ed25519_verify(signers[name], signature, message):
                    raise SignedError("root-keys", "a signature on the server's root is wrong")
                good += 1
        if good < threshold:
            raise SignedError(
                "root-keys",
                "the server shows keys that those of your earlier visits have not signed",
            )
    return root


def read_root(document: object) -> Root:
    """The root in a document, whose signatures are not looked at; SignedError for any other shape."""
    if not isinstance(document, dict) or document.keys() != {"signed", "signatures"}:
        raise SignedError("root-form", "the server's root is not one that this page understands")
    return Root.from_wire(document["signed"])


def parse_root(body: bytes) -> object:
    """The JSON of a document as it came; SignedError if it is too long or none."""
    if len(body) > MAX_BYTES:
        raise SignedError("root-form", "the server's root is far too long")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SignedError("root-form", "the server's root is not JSON") from None


def check_root_time(root: Root, now: float) -> None:
    """Refuse a root that has expired: whoever shows it may hide a newer one (freeze)."""
    if now >= root.expires:
        raise SignedError(
            "root-expired", "the server's root has expired; the server may be frozen or out of date"
        )
