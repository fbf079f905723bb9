"""What pages load: trees of files whose address names their content, this release's and those before it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetune_server.common.assets import IMMUTABLE, REVALIDATE, TYPES, Asset, sri
from fleetune_server.http import wheel
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.settings import IN_CHECKOUT
from fleetune_server.store.base import Store, StoreError

log = logging.getLogger(__name__)
FETCHED = (".wasm", ".json", ".zip", ".whl")  # by workers, of Python's files; scripts are imported
RELEASES = 3  # whose files are served: this one and the two before it
ENTRIES = ("fleetune", "widget", "choose")  # modules that embedders import, in `embed/` of the pages
EMBEDDED = ("embed/", "shared/", "words/")  # where their imports are

Folders = Mapping[
    str, tuple[tuple[str, Path], ...]
]  # by tree: folders, and where in the tree their files lie


@dataclass(frozen=True)
class Tree:
    """Files that only work together, so one hash over all of them is in the address of each."""

    name: str
    files: Mapping[str, Asset]

    @cached_property
    def root(self) -> str:
        """`/<name>-<hash>/`: a module's `../../` is the server, as it is below `/<name>/`."""
        listing = "".join(f"{asset.sha256} {path}\n" for path, asset in sorted(self.files.items()))
        return f"/{self.name}-{hashlib.sha256(listing.encode()).hexdigest()}/"


class Assets:
    """The trees of this release, and the files of others that the store keeps.

    Everything is in memory, so that nothing mixes while another release is installed over this one. In a
    checkout a changed file is read again, so a developer need not restart.
    """

    def __init__(self, folders: Folders, package: Path = wheel.PACKAGE) -> None:
        self.folders = folders
        self.package = package
        self.parts: Mapping[str, object] = {}  # where pages find Python
        self._stamps: Mapping[Path, tuple[int, int]] = {}
        self._trees: Mapping[str, Tree] = {}
        self._pages: Mapping[str, Asset] = {}  # HTML, which names the scripts of this release
        self._entries: Mapping[str, Asset] = {}  # by name
        self._integrity = Asset(b"", ".json")
        self._hashed: dict[str, Asset] = {}  # by address
        self._others: dict[str, Asset] = {}  # the same, of other releases; bounded by what the store keeps
        self._reading = asyncio.Lock()

    async def read(self) -> None:
        """Read the files if they were not read yet, or changed in a checkout."""
        async with self._reading:
            if not self._trees or (IN_CHECKOUT and _stamps(self._sources()) != self._stamps):
                await asyncio.to_thread(self._read)

    def _sources(self) -> list[Path]:
        folders = [folder for tree in self.folders.values() for _, folder in tree]
        return [path for folder in folders for path in folder.rglob("*")] + [
            *wheel.sources(self.package),
            *wheel.translator_sources(),
        ]

    def _read(self) -> None:
        self._stamps = _stamps(self._sources())
        trees = {name: Tree(name, _files(tree)) for name, tree in self.folders.items()}
        for name in (name for name, tree in trees.items() if not tree.files):
            log.error(
                "files for pages are missing: run `make run`, or install the wheel again",
                extra={"tree": name},
            )
        trees["wheels"] = Tree("wheels", {wheel.NAME: Asset(wheel.build(self.package), ".whl", IMMUTABLE)})
        translator = Asset(wheel.build_translator(), ".whl", IMMUTABLE)
        trees["translator"] = Tree("translator", {wheel.TRANSLATOR: translator})
        self.parts = {
            "wheel": f"{trees['wheels'].root}{wheel.NAME}",
            "translator": f"{trees['translator'].root}{wheel.TRANSLATOR}",
            "pyodide": trees["pyodide"].root,
        }
        # A page's scripts ask for their own Python: another replica may have another release's.
        files = {
            name: {"sha256": asset.sha256, "bytes": len(asset.body)}
            for name, asset in trees["pyodide"].files.items()
            if asset.suffix in FETCHED
        }
        parts = Asset(json.dumps({**self.parts, "files": files}).encode(), ".json", IMMUTABLE)
        trees["static"] = Tree("static", {**trees["static"].files, "parts.json": parts})
        scripts = f'"{trees["static"].root[1:]}'.encode()
        self._pages = {
            path: Asset(asset.body.replace(b'"static/', scripts), ".html")
            for path, asset in trees["static"].files.items()
            if asset.suffix == ".html"
        }
        self._trees = trees
        self._entries = {name: self._module(f"embed/{name}.js", "./", IMMUTABLE) for name in ENTRIES}
        self._hashed |= self._served()
        self._integrity = Asset(json.dumps(self._named()).encode(), ".json")

    def _served(self) -> dict[str, Asset]:
        """This release's files under their addresses that never change."""
        files = {
            tree.root + path: asset for tree in self._trees.values() for path, asset in tree.files.items()
        }
        return files | {f"/{name}-{asset.sha256}.js": asset for name, asset in self._entries.items()}

    def _named(self) -> dict[str, dict[str, str]]:
        """What embedders pin: the address of each entry, and the integrity of each script, as import maps have it."""
        static = self._trees["static"]
        entries = {f"{name}-{asset.sha256}.js": asset for name, asset in self._entries.items()}
        scripts = {
            static.root[1:] + path: asset
            for path, asset in static.files.items()
            if asset.suffix == ".js" and path.startswith(EMBEDDED)
        }
        return {
            "entries": {f"{name}.js": f"{name}-{asset.sha256}.js" for name, asset in self._entries.items()},
            "integrity": {path: sri(asset.body) for path, asset in (entries | scripts).items()},
        }

    async def integrity(self, request: Request) -> Response:
        """`GET /integrity.json`: addresses, without the slash before them, and what browsers compare them with."""
        await self.read()
        return self._integrity.respond(request.headers)

    def measuring(self) -> list[Asset]:
        """What a browser fetches before Python can measure."""
        trees = (self._trees["pyodide"], self._trees["wheels"])  # without licences
        return [asset for tree in trees for asset in tree.files.values() if asset.suffix != ".txt"]

    def measuring_bytes(self, accepted: str) -> int:
        """As they are sent to a browser with this Accept-Encoding header."""
        return sum(len(asset.packed(accepted)[1]) for asset in self.measuring())

    async def keep(self, store: Store, *catalogues: Catalogue) -> None:
        """Have the store keep this release's files and those of its kernels, for when others serve.

        A store that cannot is no reason not to start: the log says what will be missing.
        """
        await self.read()
        served = self._served()
        for catalogue in catalogues:
            served |= {catalogue.root + path: asset for path, asset in catalogue.files.items()}
        bodies = {address: asset.body for address, asset in served.items()}
        try:
            await store.keep_files(self._trees["static"].root, bodies, RELEASES)
        except StoreError as error:
            log.error(
                "open pages will lack this release's files after an upgrade", extra={"reason": str(error)}
            )

    async def hashed(self, request: Request) -> Response:
        """A file under an address that never changes, of this release or another; 404 if nobody knows it."""
        return await self.immutable(request, self._hashed.get(request.url.path))

    async def immutable(self, request: Request, asset: Asset | None) -> Response:
        """This file, or what the store keeps under the address that was asked for."""
        path = request.url.path
        asset = asset or self._others.get(path) or await self._of_another_release(request, path)
        # The first gzip of a large file takes a while: not on the event loop.
        return await asyncio.to_thread(asset.respond, request.headers)

    async def _of_another_release(self, request: Request, path: str) -> Asset:
        store: Store = request.scope["state"]["store"]
        body = await store.kept_file(path) if PurePosixPath(path).suffix in TYPES else None
        if body is None:
            raise HTTPException(404)
        self._others[path] = Asset(body, PurePosixPath(path).suffix, IMMUTABLE)
        return self._others[path]

    async def newest(self, request: Request) -> Response:
        """Serve `/<tree>/{path}` as this release has it; a script by pointing at its address that never changes.

        So whoever imports an address without a hash, as embedders do, has all scripts from one release.
        """
        name, path = request.url.path.split("/", 2)[1], request.path_params["path"]
        await self.read()
        if name == "static" and path.endswith(".js") and path in self._trees[name].files:
            return self._module(path, "../" * (path.count("/") + 1)).respond(request.headers)
        return await self.respond(request, name, path)

    def page(self, path: str) -> Callable[[Request], object]:
        """An endpoint for one file of the pages under an address of its own."""

        async def endpoint(request: Request) -> Response:
            return await self.respond(request, "static", path)

        return endpoint

    def entry(self, name: str) -> Callable[[Request], object]:
        """An endpoint for one of ENTRIES under its address without a hash."""

        async def endpoint(request: Request) -> Response:
            await self.read()
            return self._entries[name].respond(request.headers, REVALIDATE)

        return endpoint

    def _module(self, path: str, up: str, cache: str = REVALIDATE) -> Asset:
        """A module that stands for a script of this release; `up` leads from it to the server."""
        script = f'"{up}{self._trees["static"].root[1:]}{path}"'
        text = f"export * from {script};\nimport * as all from {script};\nexport default all.default;\n"
        return Asset(text.encode(), ".js", cache)

    async def respond(self, request: Request, name: str, path: str) -> Response:
        """Serve one file of a tree, to be asked for again each time; 404 if there is none."""
        await self.read()
        files = self._trees[name].files
        asset = (self._pages.get(path) if name == "static" else None) or files.get(path)
        if asset is None:
            raise HTTPException(404)
        return await asyncio.to_thread(asset.respond, request.headers, REVALIDATE)


def _files(folders: tuple[tuple[str, Path], ...]) -> dict[str, Asset]:
    """What browsers may ask for in these folders, by path in the tree."""
    return {
        below + path.relative_to(folder).as_posix(): Asset.of(path, IMMUTABLE)
        for below, folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }


def _stamps(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    return {path: ((status := path.stat()).st_mtime_ns, status.st_size) for path in paths}
