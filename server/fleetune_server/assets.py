"""Static files from memory: right types, entity tags, gzip made once."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetune_server import wheel

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
    etag: str = field(init=False)
    _zipped: bytes | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    @property
    def zipped(self) -> bytes | None:
        """The gzip form, made on first use; None if that would not be smaller."""
        if self.suffix in _PACKED:
            return None
        if self._zipped is None:
            self._zipped = gzip.compress(self.body, compresslevel=6, mtime=0)
        return self._zipped if len(self._zipped) < len(self.body) else None

    def respond(self, headers: Headers) -> Response:
        """200 or 304 with the encoding that the request accepts."""
        common = {"etag": self.etag, "cache-control": self.cache, "vary": "accept-encoding"}
        if self.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=common)
        body = self.zipped if "gzip" in headers.get("accept-encoding", "") else None
        if body is not None:
            common["content-encoding"] = "gzip"
        return Response(
            body if body is not None else self.body, headers=common, media_type=TYPES[self.suffix]
        )


class Assets:
    """Folders of files by URL prefix; a changed file is read again, so a developer need not restart."""

    def __init__(self, folders: Mapping[str, tuple[Path, ...]], package: Path = wheel.PACKAGE) -> None:
        self.folders = folders
        self.package = package
        self._cache: dict[str, tuple[object, Asset]] = {}

    async def folder(self, request: Request) -> Response:
        """Serve `/<prefix>/{path}` from the folders mounted at that prefix."""
        path = request.path_params["path"]
        prefix = request.url.path.removesuffix(path)
        return await self.respond(request, prefix, path)

    def page(self, prefix: str, path: str) -> Callable[[Request], object]:
        """An endpoint for one file under an address of its own."""

        async def endpoint(request: Request) -> Response:
            return await self.respond(request, prefix, path)

        return endpoint

    def entry(self, name: str) -> Callable[[Request], object]:
        """An endpoint for a module that embedders import: its files lie together under /static/."""
        module = Asset(f'export * from "./static/{name}";\n'.encode(), ".js")

        async def endpoint(request: Request) -> Response:
            return module.respond(request.headers)

        return endpoint

    async def wheel(self, request: Request) -> Response:
        """The wheel of browser/fleetune, rebuilt when a source changes."""
        stamp = tuple(_stamp(path) for path in wheel.sources(self.package))
        return await self._serve(request, wheel.NAME, stamp, lambda: wheel.build(self.package))

    async def respond(self, request: Request, prefix: str, path: str) -> Response:
        """Serve one file below a mounted prefix, or 404."""
        pure = PurePosixPath(path)
        if pure.suffix in TYPES and ".." not in pure.parts and not pure.is_absolute() and "\0" not in path:
            for folder in self.folders.get(prefix, ()):
                file = folder / pure
                if file.is_file():
                    return await self._serve(request, str(file), _stamp(file), file.read_bytes)
        raise HTTPException(404)

    async def _serve(self, request: Request, key: str, stamp: object, read: Callable[[], bytes]) -> Response:
        cached = self._cache.get(key)
        if cached is None or cached[0] != stamp:
            asset = await asyncio.to_thread(lambda: Asset(read(), PurePosixPath(key).suffix))
            self._cache[key] = cached = (stamp, asset)
        # The first gzip of a large file takes a while: not on the event loop.
        return await asyncio.to_thread(cached[1].respond, request.headers)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
