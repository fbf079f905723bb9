"""The signed manifest of a release: what is signed, by which keys, and when it is to be believed.

Ed25519 (RFC 8032) over canonical JSON. The threats are those of The Update Framework's specification:
rollback, freeze, mix-and-match, fast-forward, endless data; `app/update.py` acts on what is checked here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleetune.context import canonical_json

Verify = Callable[[bytes, bytes, bytes], Awaitable[bool]]  # public key, signature, message

MAX_SIZE = 5_000_000  # bytes of a model, by contract
MAX_VERSION = 2**31 - 1
MAX_TIME = 2**40
MAX_SIGNATURES = 8
CLOCK_SLACK = 86_400  # seconds that a visitor's clock may be behind the server's
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")


class SignedError(ValueError):
    """A manifest that must not be believed. `reason` is a stable code, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Release:
    """One signed manifest. `base`: the version that an incremental update starts from; None: a full one."""

    version: int
    base: int | None
    sha256: str  # of the resulting artefact, whichever way it came
    size: int  # bytes of the resulting artefact
    created: int  # Unix seconds
    expires: int  # Unix seconds
    clip: float

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: object) -> Release:
        """Read a manifest strictly; raise SignedError("manifest") for any other shape."""
        names = set(cls.__slots__)
        if not isinstance(wire, dict) or wire.keys() != names:
            raise SignedError("manifest", "the update's manifest has other fields than it must")
        version = integer(wire, "version", 1, MAX_VERSION)
        base = None if wire["base"] is None else integer(wire, "base", 1, version - 1)
        created = integer(wire, "created", 0, MAX_TIME)
        sha256, clip = wire["sha256"], wire["clip"]
        if type(sha256) is not str or not _SHA256.fullmatch(sha256):
            raise SignedError("manifest", "the update's checksum is malformed")
        if type(clip) is not float or not (math.isfinite(clip) and 0 < clip <= 16):
            raise SignedError("manifest", "the update's clip is out of range")
        return cls(
            version,
            base,
            sha256,
            integer(wire, "size", 1, MAX_SIZE),
            created,
            integer(wire, "expires", created + 1, MAX_TIME),
            clip,
        )


def canonical(manifest: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys, no spaces, UTF-8."""
    return canonical_json(dict(manifest))


def key_id(public_key: bytes) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def pack_keys(keys: Mapping[str, bytes]) -> dict[str, str]:
    """The wire form of public keys: {keyId: base64 of 32 raw bytes}."""
    return {name: base64.b64encode(raw).decode() for name, raw in keys.items()}


def read_keys(wire: object) -> dict[str, bytes]:
    """Pinned keys {keyId: base64 of 32 raw bytes}; SignedError("keys") unless each id is its key's own."""
    if not isinstance(wire, dict) or not wire or len(wire) > MAX_SIGNATURES:
        raise SignedError("keys", "no signing keys are pinned, so no model can be trusted")
    keys = {}
    for name, text in wire.items():
        raw = _base64(text)
        if raw is None or len(raw) != 32 or name != key_id(raw):
            raise SignedError("keys", "a pinned signing key is malformed")
        keys[name] = raw
    return keys


def read_signatures(wire: object) -> dict[str, bytes]:
    """Signatures {keyId: base64 of 64 raw bytes}; SignedError("signature") for any other shape."""
    if not isinstance(wire, dict) or not 1 <= len(wire) <= MAX_SIGNATURES:
        raise SignedError("signature", "the update is not signed")
    signatures = {}
    for name, text in wire.items():
        raw = _base64(text)
        if not isinstance(name, str) or not _KEY_ID.fullmatch(name) or raw is None or len(raw) != 64:
            raise SignedError("signature", "the update's signature is malformed")
        signatures[name] = raw
    return signatures


async def verify(
    manifest: object, signatures: object, keys: Mapping[str, bytes], ed25519_verify: Verify
) -> tuple[Release, tuple[str, ...]]:
    """The release and the pinned keys whose signatures on it are good: at least one, or SignedError.

    Signatures by unknown keys are passed over: during a rotation old and new keys both sign.
    """
    release = Release.from_wire(manifest)
    message = canonical(release.to_wire())
    good = []
    for name, raw in read_signatures(signatures).items():
        if name in keys:
            if not await ed25519_verify(keys[name], raw, message):
                raise SignedError("signature", "the update's signature is wrong")
            good.append(name)
    if not good:
        raise SignedError("signature", "the update is signed by no key that this page trusts")
    return release, tuple(good)


def check_time(release: Release, now: float) -> None:
    """Refuse an expired release (a freeze attack, or a very wrong clock) and one from the future."""
    if now >= release.expires:
        raise SignedError(
            "expired", "the update's signature has expired; the server may be frozen or out of date"
        )
    if release.created > now + CLOCK_SLACK:
        raise SignedError("future", "the update is dated in the future; check this device's clock")


def check_bytes(release: Release, artefact: bytes) -> None:
    """Refuse bytes that are not the ones that were signed."""
    if len(artefact) != release.size:
        raise SignedError(
            "size", f"the model has {len(artefact):,} bytes, not the {release.size:,} that were signed"
        )
    if hashlib.sha256(artefact).hexdigest() != release.sha256:
        raise SignedError("hash", "the model's checksum is not the one that was signed")


def integer(wire: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A whole number of a wire form within its range; SignedError("manifest") for anything else."""
    value = wire[name]
    if type(value) is not int or not least <= value <= most:  # a bool is an int to isinstance
        raise SignedError("manifest", f"the update's {name} is out of range")
    return value


def _base64(text: object) -> bytes | None:
    if not isinstance(text, str) or len(text) > 128:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if base64.b64encode(raw).decode() == text else None  # no second spelling of the same bytes
