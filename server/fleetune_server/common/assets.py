"""Answers from memory: right types, entity tags, Brotli and gzip made once (here, or where the package is built).

And the security headers of every page that we serve, also of the one that checks an own kernel.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import brotli
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
}
_PACKED = frozenset({".png", ".ico", ".woff2"})  # compressed already
LARGE = 32_768  # bytes from which Brotli is worth its time
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {  # the first that a browser takes
    "br": lambda body: brotli.compress(body, quality=7, lgwin=24),
    "gzip": lambda body: gzip.compress(body, compresslevel=6, mtime=0),
}
SUFFIXES = {"br": ".br", "gzip": ".gz"}  # of the packed forms that lie beside a file
OURS = b"// @ts-check"  # the first line of our own scripts
COMMENT = re.compile(rb"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)[ \t]*$", re.MULTILINE)
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",  # the search on /functions
        "frame-ancestors 'self'",
    )
)
SECURITY = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": ", ".join(
        f"{feature}=()"
        for feature in ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
    ),
}
ISOLATION = {"cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp"}


def sri(body: bytes) -> str:
    """The integrity of a file as browsers compare it (Subresource Integrity)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()


def without_comments(script: bytes) -> bytes:
    """A script of ours without the comments that have lines to themselves. Lines keep their numbers."""
    return COMMENT.sub(lambda found: b"\n" * found[0].count(b"\n"), script)


@dataclass
class Asset:
    """The bytes of one URL, plain and packed."""

    body: bytes
    suffix: str
    cache: str = REVALIDATE
    sha256: str = field(init=False)
    _packed: dict[str, bytes] = field(default_factory=dict, repr=False)
    _packing: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.body).hexdigest()

    @classmethod
    def of(cls, path: Path, cache: str = REVALIDATE) -> Asset:
        """A file, and the packed forms that lie beside it; a script of ours without its comments."""
        beside = {name: path.with_name(path.name + suffix) for name, suffix in SUFFIXES.items()}
        packed = {name: form.read_bytes() for name, form in beside.items() if form.is_file()}
        body = path.read_bytes()
        return cls(without_comments(body) if body.startswith(OURS) else body, path.suffix, cache, packed)

    @property
    def etag(self) -> str:
        """The entity tag: the same for the same bytes, whichever server answers."""
        return f'"{self.sha256[:32]}"'

    def packed(self, accepted: str) -> tuple[str, bytes]:
        """The content encoding that an Accept-Encoding header allows, and the bytes, made on first use; none where
        that would not be smaller."""
        if self.suffix not in _PACKED:
            for encoding, pack in PACKERS.items():
                if encoding in accepted and (encoding != "br" or len(self.body) >= LARGE):
                    with self._packing:
                        if encoding not in self._packed:
                            self._packed[encoding] = pack(self.body)
                    if len(self._packed[encoding]) < len(self.body):
                        return encoding, self._packed[encoding]
        return "", self.body

    def respond(self, headers: Headers, cache: str | None = None) -> Response:
        """200 or 304 with the encoding that the request accepts; `cache`: another header than this file's own."""
        common = {"etag": self.etag, "cache-control": cache or self.cache, "vary": "accept-encoding"}
        if self.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=common)
        encoding, body = self.packed(headers.get("accept-encoding", ""))
        if encoding:
            common["content-encoding"] = encoding
        return Response(body, headers=common, media_type=TYPES[self.suffix])
