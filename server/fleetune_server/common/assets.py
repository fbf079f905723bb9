"""Answers from memory: right types, entity tags, gzip made once."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response

REVALIDATE = "no-cache"  # may be kept, must be asked for again: the entity tag answers
IMMUTABLE = "public, max-age=31536000, immutable"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
    ".whl": "application/zip",
    ".zip": "application/zip",
    ".gz": "application/gzip",
}
_PACKED = frozenset({".png", ".ico", ".woff2", ".whl", ".zip", ".gz"})  # compressed already


@dataclass
class Asset:
    """The bytes of one URL, plain and gzipped."""

    body: bytes
    suffix: str
    cache: str = REVALIDATE
    sha256: str = field(init=False)
    _zipped: bytes | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.body).hexdigest()

    @property
    def etag(self) -> str:
        """The entity tag: the same for the same bytes, whichever server answers."""
        return f'"{self.sha256[:32]}"'

    @property
    def zipped(self) -> bytes | None:
        """The gzip form, made on first use; None if that would not be smaller."""
        if self.suffix in _PACKED:
            return None
        if self._zipped is None:
            self._zipped = gzip.compress(self.body, compresslevel=6, mtime=0)
        return self._zipped if len(self._zipped) < len(self.body) else None

    def respond(self, headers: Headers, cache: str | None = None) -> Response:
        """200 or 304 with the encoding that the request accepts; `cache`: another header than this file's own."""
        common = {"etag": self.etag, "cache-control": cache or self.cache, "vary": "accept-encoding"}
        if self.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=common)
        body = self.zipped if "gzip" in headers.get("accept-encoding", "") else None
        if body is not None:
            common["content-encoding"] = "gzip"
        return Response(
            body if body is not None else self.body, headers=common, media_type=TYPES[self.suffix]
        )
