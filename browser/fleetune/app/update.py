"""From the model that is in use to the newest good one: ask, fetch, verify, swap, keep.

Nothing is believed before it is checked, and nothing replaces the last good model before everything was:
size, signature, expiry, version, hash, structure. What is kept is one value under one key, so a tab that is
killed leaves the old model or the new one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetune.app import trust
from fleetune.app.platform import NetworkError, Platform, PlatformError
from fleetune.app.session import Args, Operation, Session, VerifiedModel
from fleetune.app.witness import witness
from fleetune.delta import DeltaError, apply
from fleetune.model import Model, ModelError
from fleetune.signed import Release, SignedError, check_bytes, check_time, verify

MODEL = "model"  # store key and lock name
RENEW_SECONDS = 7 * 86_400  # a signature with less time left is asked for again
MAX_ANSWER = 65_536  # bytes of JSON
_URL = re.compile(r"/models/([0-9a-f]{64})")
_Refusals = (SignedError, DeltaError, ModelError, PlatformError)


@dataclass(frozen=True)
class UpdateOutcome:
    """What came of an update: `current` (nothing newer), `updated`, or `kept` (refused or unreachable)."""

    status: str
    version: int  # in use now; 0: none
    previous: int
    update_type: str | None = None  # incremental or full
    bytes: int = 0  # downloaded
    reason: str | None = None  # stable code
    error: str | None = None  # plain words

    def to_wire(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "version": self.version,
            "from": self.previous,
            "updateType": self.update_type,
            "bytes": self.bytes,
            "reason": self.reason,
            "error": self.error,
        }


async def restore(platform: Platform, keys: Mapping[str, bytes]) -> VerifiedModel | None:
    """The last good model from the store, verified again; None if there is none that the keys vouch for.

    Its expiry does not matter here: offline, an old good model is better than none.
    """
    kept = await platform.store.get(MODEL)
    try:
        artefact = base64.b64decode(kept["artefact"], validate=True)
        release, signed_by = await verify(kept["manifest"], kept["signature"], keys, platform.ed25519_verify)
        return VerifiedModel(_read(release, artefact), artefact, release, kept["signature"], signed_by)
    except (TypeError, KeyError, ValueError):  # nothing kept, or damaged, or by a key that was retired
        return None


async def update(
    platform: Platform,
    keys: Mapping[str, bytes],
    current: VerifiedModel | None,
    rollout_bucket: int | None = None,
    least: int = 0,
) -> tuple[UpdateOutcome, VerifiedModel | None]:
    """Bring `current` up to date; returns what happened and the model to use, which is never a worse one.

    `rollout_bucket` (0 … 999) decides whether this session tries a version in trial. `least` is the root's: no older
    version is taken, even by who has none. Tabs take turns, so one downloads for all.
    """
    before = current.version if current else 0
    async with platform.store.lock(MODEL):
        stored = await restore(platform, keys)
        if current and not set(current.signed_by) & keys.keys():
            current = None  # its keys are no longer trusted, nor is its version number (fast-forward)
        if stored and (current is None or stored.version > current.version):
            current = stored
        request = _Request(platform, keys, current, rollout_bucket, least)
        try:
            found, kind = await request.newest()
        except _Refusals as error:
            return _kept(error, before, current), current
        now = found or current
        if found:
            await _keep(platform, found)
        version = now.version if now else 0
        status = "updated" if version != before else "current"
        return UpdateOutcome(status, version, before, kind, request.received), now


class _Request:
    """One attempt; counts what it downloads."""

    def __init__(
        self,
        platform: Platform,
        keys: Mapping[str, bytes],
        current: VerifiedModel | None,
        rollout_bucket: int | None,
        least: int,
    ) -> None:
        self.platform = platform
        self.keys = keys
        self.current = current
        self.least = least
        self.rollout_bucket = rollout_bucket
        self.received = 0

    async def newest(self) -> tuple[VerifiedModel | None, str | None]:
        """The newest good model and how it came, or None if `current` is the newest."""
        current = self.current
        answer = await self._ask(current.version if current else 0)
        if answer.get("upToDate") is True:
            if current is None or answer.get("version") != current.version:
                raise SignedError("manifest", "the server calls a model current which is not in use here")
            if current.release.expires - self.platform.now() > RENEW_SECONDS:
                return None, None
            return await self._renew(current)
        if answer.get("updateType") == "incremental" and current:
            release, signed_by = await self._release(answer, current.version)
            try:
                # A delta that is longer than what it gives would be no saving.
                delta = await self._download(answer, release.size)
                artefact = apply(current.artefact, delta, release.size)
                return self._accept(answer, release, signed_by, artefact), "incremental"
            except (DeltaError, SignedError) as error:
                if isinstance(error, SignedError) and error.reason not in ("size", "hash", "missing"):
                    raise
            answer = await self._ask(0)  # the full file, once
        return await self._full(answer)

    async def _full(self, answer: Mapping[str, Any]) -> tuple[VerifiedModel, str]:
        release, signed_by = await self._release(answer, None)
        if answer.get("url") != f"/models/{release.sha256}" or answer.get("size") != release.size:
            raise SignedError("manifest", "the update's address is not the one that was signed")
        artefact = await self._download(answer, release.size)
        return self._accept(answer, release, signed_by, artefact), "full"

    async def _renew(self, current: VerifiedModel) -> tuple[VerifiedModel | None, str | None]:
        """A fresh signature on the model in use. Without one we could be kept on it for ever (freeze)."""
        try:
            answer = await self._ask(0)
            release, signed_by = await verify(
                answer.get("manifest"), answer.get("signature"), self.keys, self.platform.ed25519_verify
            )
            check_time(release, self.platform.now())
            if release.version > current.version:
                return await self._full(answer)
            if (release.version, release.sha256) != (current.version, current.release.sha256):
                raise SignedError("rollback", "the server offers an older model than the one in use")
        except (SignedError, PlatformError):
            check_time(current.release, self.platform.now())  # not expired yet: there is time to ask again
            return None, None
        return VerifiedModel(current.model, current.artefact, release, answer["signature"], signed_by), None

    async def _ask(self, version: int) -> Mapping[str, Any]:
        draw = "" if self.rollout_bucket is None else f"&draw={self.rollout_bucket}"
        response = await self.platform.fetch("GET", f"/api/model/latest?version={version}{draw}")
        if response.status != 200:
            raise NetworkError(f"the server answered {response.status} instead of a model; try again later")
        if len(response.body) > MAX_ANSWER:
            raise SignedError("manifest", "the server's answer is far too long")
        try:
            answer = json.loads(response.body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise SignedError("manifest", "the server's answer is not one that this page understands")
        return answer

    async def _release(self, answer: Mapping[str, Any], base: int | None) -> tuple[Release, tuple[str, ...]]:
        """The signed release of an answer, if it is for us, now, and newer."""
        release, signed_by = await verify(
            answer.get("manifest"), answer.get("signature"), self.keys, self.platform.ed25519_verify
        )
        check_time(release, self.platform.now())
        if release.version < self.least or (self.current and release.version <= self.current.version):
            raise SignedError("rollback", "the server offers an older model than the one in use")
        if release.base != base:
            raise SignedError("base", "the update was made for another model than the one in use")
        if (answer.get("version"), answer.get("checksum")) != (release.version, release.sha256):
            raise SignedError("mixed", "parts of different updates were put together")
        return release, signed_by

    async def _download(self, answer: Mapping[str, Any], limit: int) -> bytes:
        """The named file: exactly as long as announced; a delta also hashes to its name."""
        url, size = answer.get("url"), answer.get("size")
        match = _URL.fullmatch(url) if isinstance(url, str) else None
        if not match or type(size) is not int or not 0 < size <= limit:
            raise SignedError("manifest", "the update's address or size is malformed")
        response = await self.platform.fetch("GET", match[0])
        self.received += len(response.body)
        if response.status != 200:
            raise SignedError("missing", f"the server answered {response.status} instead of the model's file")
        if len(response.body) != size:
            raise SignedError("size", f"{len(response.body):,} bytes came instead of {size:,}")
        if hashlib.sha256(response.body).hexdigest() != match[1]:
            raise SignedError("hash", "the download is damaged: its checksum is wrong")
        return response.body

    def _accept(
        self, answer: Mapping[str, Any], release: Release, signed_by: tuple[str, ...], artefact: bytes
    ) -> VerifiedModel:
        return VerifiedModel(_read(release, artefact), artefact, release, answer["signature"], signed_by)


def _read(release: Release, artefact: bytes) -> Model:
    """The model in these bytes if they are the signed ones and sound."""
    check_bytes(release, artefact)
    model = Model.from_bytes(artefact)  # shapes, names, finiteness of every weight
    if (model.version, model.clip) != (release.version, release.clip):
        raise SignedError("mixed", "the model is not of the version that was signed")
    return model


async def _keep(platform: Platform, verified: VerifiedModel) -> None:
    value = {
        "manifest": verified.release.to_wire(),
        "signature": dict(verified.signatures),
        "artefact": base64.b64encode(verified.artefact).decode(),
    }
    try:
        await platform.store.set(MODEL, value)
    except PlatformError as error:  # full or forbidden: the model serves this tab all the same
        platform.emit("log", {"level": "warning", "text": f"the model could not be kept for later: {error}"})


def _kept(error: Exception, before: int, current: VerifiedModel | None) -> UpdateOutcome:
    reason = {NetworkError: "network", DeltaError: "delta", ModelError: "model"}.get(type(error), "platform")
    if isinstance(error, SignedError):
        reason = error.reason
    version = current.version if current else 0
    last = f"model {version}, the last good one, stays in use" if version else "there is no model yet"
    return UpdateOutcome("kept", version, before, reason=reason, error=f"{error}; {last}")


async def update_operation(session: Session, args: Args) -> dict[str, Any]:
    """Update the session's model by the keys of the remembered root; `draw` holds from now on.

    A page that was open while the keys changed has an older root from its start: it asks for the newest one.
    """
    if type(draw := args.get("draw")) is int:
        session.rollout_bucket = draw
    outcome = await _update(session, session.boot.get("root"))
    if outcome.reason == "signature":
        try:
            newest = await trust.ask(session.platform)
        except _Refusals as error:
            return _kept(error, outcome.previous, session.verified).to_wire()
        if newest is not None and newest != session.boot.get("root"):
            session.boot = {**session.boot, "root": newest}
            outcome = await _update(session, newest)
    if outcome.status == "updated" and session.verified:
        await witness(session.platform, session.verified.release)
        session.platform.emit("model", outcome.to_wire())
    return outcome.to_wire()


async def _update(session: Session, offered: object) -> UpdateOutcome:
    try:
        root = await trust.follow(session.platform, offered)
    except _Refusals as error:
        return _kept(error, session.verified.version if session.verified else 0, session.verified)
    outcome, session.verified = await update(
        session.platform, root.keys, session.verified, session.rollout_bucket, root.least
    )
    return outcome


OPS: dict[str, Operation] = {"update": update_operation}
