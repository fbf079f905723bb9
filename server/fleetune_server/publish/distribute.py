"""What a browser is given: the newest release, signed for it, the files that releases are made of, sealed answers.

A page believes a sealed answer without believing who brought it: JSON whose last field signs the text before it. The
text is signed, not its meaning, so no two programs need agree on how to write a number. `type` keeps an answer apart
from the other things that the same keys sign (`fleetune/root.py`, `fleetune/signed.py`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import brotli
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fleetune.signed import MAX_VERSION, Release, canonical
from fleetune_server.common.assets import IMMUTABLE, REVALIDATE, Asset
from fleetune_server.common.errors import RefusedError
from fleetune_server.publish.keys import KeyRing
from fleetune_server.store.base import VersionRecord

VALID_SECONDS = 14 * 86_400  # how long a signature holds: an attacker can freeze a browser for so long
RENEW_SECONDS = 86_400  # signed afresh when older, so that an honest server's answers never expire
CACHED_FILES = 64
DRAWS = 1000  # a session draws one of so many numbers, once, for canaries
IDENTITY = "identity"

Target = Callable[[int | None], int]  # a session's draw → the version meant for it
Stamp = tuple[int, tuple[tuple[str, str], ...]]  # what a signature depends on beside the text


@dataclass(frozen=True)
class _Signed:
    """A signed answer and when and with which keys it was made."""

    made: float
    keys: tuple[str, ...]
    answer: Mapping[str, Any]


class Distributor:
    """Answers from records that the store keeps; signs when asked, so rotated keys hold at once."""

    def __init__(
        self,
        records: Mapping[int, VersionRecord],
        read: Callable[[str], Awaitable[bytes | None]],
        keys: KeyRing,
        target: Target | None = None,
        work: Callable[[], Mapping[str, Any]] = dict,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.records = records  # a live view: publishing adds to it
        self.keys = keys
        self.target: Target = target or (lambda draw: max(self.records, default=0))
        self.work = work  # that reports of every place must bring: {"bits", "challenge"}, or nothing
        self._read = read
        self._now = now
        self._signed: dict[tuple[int, int | None], _Signed] = {}
        self._files: dict[str, Mapping[str, bytes]] = {}  # by hash, then by content coding

    def answer(self, version: int, draw: int | None = None) -> Mapping[str, Any]:
        """The answer for a browser that holds `version` (0: none); KeyError before the first publication.

        Who holds a candidate on trial keeps it although the next session draws another lot: a version number
        never goes back.
        """
        record = self.records[max(self.target(draw), version if version in self.records else 0)]
        if version == record.version:
            return {"upToDate": True, "version": version}
        base = version if str(version) in record.document["incremental"] else None
        return self._sign(record, base).answer

    async def latest(self, request: Request) -> Response:
        """`GET /api/model/latest?version=&draw=`."""
        version = _number(request, "version", MAX_VERSION) or 0
        try:
            answer = self.answer(version, _number(request, "draw", DRAWS - 1))
        except KeyError:
            raise RefusedError("no-model", wait=5) from None
        manifest = answer.get("manifest", {})
        work = self.work()
        parts = answer["version"], manifest.get("base", version), manifest.get("expires", 0), *work.values()
        etag = f'"{"-".join(map(str, parts))}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return JSONResponse({**answer, **({"work": work} if work else {})}, headers=headers)

    async def blob(self, request: Request) -> Response:
        """`GET /models/{sha256}`: a full artefact or a delta, for ever the same bytes."""
        name = request.path_params["sha256"]
        if len(name) != 64:
            raise HTTPException(404)
        if name not in self._files:
            data = await self._read(name)
            if data is None:
                raise HTTPException(404)
            self._files[name] = await asyncio.to_thread(_packed, data)
            while len(self._files) > CACHED_FILES:
                del self._files[next(iter(self._files))]
        forms = self._files[name]
        headers = {"etag": f'"{name}"', "cache-control": IMMUTABLE, "vary": "accept-encoding"}
        if f'"{name}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        accepted = _codings(request.headers.get("accept-encoding", ""))
        coding = next((coding for coding in forms if coding in accepted), IDENTITY)
        if coding != IDENTITY:
            headers["content-encoding"] = coding
        return Response(forms[coding], headers=headers, media_type="application/octet-stream")

    async def root(self, request: Request) -> Response:
        """`GET /roots/{version}`: a root by its number, for ever the same, or the `newest` one."""
        name = request.path_params["version"]
        if name == "newest":
            return JSONResponse(self.keys.root(), headers={"cache-control": "no-cache"})
        number = int(name) if name.isascii() and name.isdecimal() and len(name) <= 10 else 0
        document = self.keys.roots.document(number)
        if document is None:
            raise HTTPException(404)
        return JSONResponse(document, headers={"cache-control": IMMUTABLE})

    def _sign(self, record: VersionRecord, base: int | None) -> _Signed:
        key = record.version, base
        known = self._signed.get(key)
        ring = tuple(key.id for key in self.keys.keys if key.state == "signing")
        now = self._now()
        if known is None or known.keys != ring or not 0 <= now - known.made < RENEW_SECONDS:
            known = self._signed[key] = _Signed(now, ring, self._make(record, base, now))
            for old in [key for key in self._signed if key[0] not in self.records]:
                del self._signed[old]
        return known

    def _make(self, record: VersionRecord, base: int | None, now: float) -> Mapping[str, Any]:
        document = record.document
        release = Release(
            record.version,
            base,
            record.sha256,
            document["size"],
            int(record.created),
            int(now) + VALID_SECONDS,
            float(record.clip),
        )
        file = {"sha256": record.sha256, "size": document["size"]}
        if base is not None:
            file = document["incremental"][str(base)]
        answer: dict[str, Any] = {
            "upToDate": False,
            "updateType": "full" if base is None else "incremental",
            "version": record.version,
            "url": f"/models/{file['sha256']}",
            "size": file["size"],
            "checksum": record.sha256,
            "manifest": release.to_wire(),
            "signature": self.keys.sign(canonical(release.to_wire())),
        }
        return answer | ({"metadata": document["metadata"]} if base is None else {"base": base})


def _packed(data: bytes) -> dict[str, bytes]:
    """The file in every content coding that is worth it, best first."""
    forms = {"br": brotli.compress(data, quality=10), "gzip": gzip.compress(data, mtime=0)}
    return {name: form for name, form in forms.items() if len(form) < 0.95 * len(data)} | {IDENTITY: data}


def _codings(header: str) -> set[str]:
    """The content codings that an Accept-Encoding header allows (RFC 9110, 12.5.3; q only matters if 0)."""
    entries = [entry.replace(" ", "").lower().split(";") for entry in header.split(",")]
    return {name for name, *weight in entries if weight not in (["q=0"], ["q=0.0"], ["q=0.00"], ["q=0.000"])}


def _number(request: Request, name: str, most: int) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
        raise HTTPException(400)
    return int(text)


class Sealer:
    """Signs texts with the keys of a ring. Replicas that share it give the same bytes on the same day."""

    def __init__(self, keys: KeyRing, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    def stamp(self) -> Stamp:
        """Changes each day, and when keys do."""
        return int(self._now() // RENEW_SECONDS), tuple((key.id, key.state) for key in self._keys.keys)

    def seal(self, text: str) -> bytes:
        """A JSON object with the number of the root that names the keys, its expiry and its signatures."""
        expires = int(self._now() // RENEW_SECONDS) * RENEW_SECONDS + VALID_SECONDS
        more = _json({"keys": self._keys.root()["signed"]["version"], "expires": expires})
        signed = f"{text[:-1]},{more[1:]}"
        return f'{signed[:-1]},"signature":{_json(self._keys.sign(signed.encode()))}}}'.encode()


class SealedAnswer:
    """One answer, signed when it is asked for: anew each day, and when the keys change."""

    def __init__(self, kind: str, answer: Mapping[str, Any], sealer: Sealer) -> None:
        self._text = _json({"type": kind, **answer})
        self._sealer = sealer
        self._signed: tuple[Stamp, Asset] | None = None

    @property
    def asset(self) -> Asset:
        """As it is served now; zipped once at most."""
        stamp = self._sealer.stamp()
        if self._signed is None or self._signed[0] != stamp:
            self._signed = stamp, Asset(self._sealer.seal(self._text), ".json", REVALIDATE)
        return self._signed[1]


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
