"""A rolling upgrade under load: two replicas on one PostgreSQL behind nginx, replaced one after the other.

`python tests/benchmarks/rolling.py [--rate 50] [--sockets 500] [--json]`. The newer release is a changed copy of
this checkout: another version, a script under another name, another build of the kernels. Visitors load whole
pages at this rate, each request by whichever replica nginx takes; sockets come back as pages' do. Pages that were
opened before the upgrade ask for all their files again in its middle and after it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import websockets

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.postgres import cluster  # noqa: E402
from tests.proxies import Proxy, free_port, nginx  # noqa: E402
from tests.running import server_in  # noqa: E402

VISITORS = 8
HELLO = '{"type": "hello", "version": 1}'  # also the answer to a heartbeat
PATIENCE = 180.0  # seconds until what must come has come
STAGE_SECONDS = 5.0  # under load before, between and after the two replacements
# In pages, scripts and style sheets: what else they load.
NAMED = re.compile(
    r"""(?:(?:src|href)=|from |import |import\(|URL\()"((?:static|\.{1,2}/)[^"]*\.(?:js|css|svg))\""""
)
HASHED = re.compile(r"/(?:[a-z]+-|kernels/)[0-9a-f]{64}/")
LARGE = ("pyodide.asm.wasm", "pyodide.asm.js", "python_stdlib.zip")


def newer_release(folder: Path) -> Path:
    """A copy of this checkout in which something of everything that pages load has changed."""
    for part in ("browser/web", "browser/fleetune", "server/fleetune_server", "kernels_wasm"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("browser/node_modules", "browser/dist"):
        (folder / part).symlink_to(ROOT / part)
    for script in (folder / "browser" / "web").rglob("*.*"):
        if script.suffix in (".js", ".html"):
            script.write_text(script.read_text().replace("shared/numbers.js", "shared/figures.js"))
            script.write_text(script.read_text().replace("./numbers.js", "./figures.js"))
    shared = folder / "browser" / "web" / "shared"
    (shared / "numbers.js").rename(shared / "figures.js")
    version = folder / "browser" / "fleetune" / "__init__.py"
    version.write_text(re.sub(r'__version__ = "[^"]+"', '__version__ = "9.9.9"', version.read_text()))
    manifest = folder / "kernels_wasm" / "dist" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    return folder


@dataclass
class Load:
    """What visitors of one proxy asked for, and what came of it."""

    proxy: Proxy
    http: httpx.AsyncClient
    rate: float
    requests: int = 0
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)  # addresses with a hash that had two contents
    releases: Counter[str] = field(default_factory=Counter)  # pages by tree of scripts
    pages: dict[str, set[str]] = field(default_factory=dict)  # all that a page of each release loaded
    connected: int = 0
    reconnects: int = 0
    _contents: dict[str, str] = field(default_factory=dict)
    _turn: float = 0.0

    async def get(self, path: str) -> bytes:
        """One request at its turn; an answer that is none is counted."""
        self._turn = max(self._turn + 1 / self.rate, time.monotonic())
        await asyncio.sleep(self._turn - time.monotonic())
        self.requests += 1
        try:
            answer = await self.http.get(path)
        except httpx.HTTPError as error:
            self.failed.append(f"{path}: {error!r}")
            return b""
        if answer.status_code == 404:
            self.missing.append(path)
        elif answer.status_code != 200:
            self.failed.append(f"{path}: {answer.status_code}")
        elif HASHED.match(path):
            digest = hashlib.sha256(answer.content).hexdigest()
            if (
                self._contents.setdefault(path, digest) != digest
                or "immutable" not in answer.headers["cache-control"]
            ):
                self.mixed.append(path)
        return answer.content

    async def visit(self) -> None:
        """A page with all its scripts, its Python side, kernels and model; large files once a release."""
        loaded: set[str] = set()
        waiting = ["/"]
        while waiting:
            path = waiting.pop()
            if path in loaded:
                continue
            loaded.add(path)
            text = (await self.get(path)).decode("utf-8", "replace")
            waiting += [urljoin(path, name) for name in NAMED.findall(text)]
        trees = {match[0] for path in loaded if (match := HASHED.match(path))}
        if len(trees) != 1:
            self.mixed.append(f"one page of {sorted(trees)}")
            return
        (tree,) = trees
        first = tree not in self.pages
        page = self.pages.setdefault(tree, {path for path in loaded if HASHED.match(path)})
        parts = json.loads(await self.get(f"{tree}parts.json") or "{}")
        catalogue = json.loads(await self.get("/api/kernels") or "{}")
        if not parts or not catalogue:
            return  # counted already
        more = {parts["wheel"], parts["pyodide"] + "pyodide.mjs", parts["pyodide"] + "pyodide-lock.json"}
        more |= {catalogue["root"] + bundle["path"] for bundle in catalogue["bundles"].values()}
        page |= more | {f"{tree}parts.json"}
        if first:
            more |= (large := {parts["pyodide"] + name for name in LARGE})
            page |= large
        for path in sorted(more):
            await self.get(path)
        for path in (
            "/api/boot.json",
            "/api/model/latest",
            "/api/decisions/firefox",
            "/fleetune.js",
            "/privacy",
        ):
            await self.get(path)
        self.releases[tree] += 1

    async def stay(self) -> None:
        """A page's socket, which comes back when its replica ends."""
        url = self.proxy.url.replace("https", "wss") + "/ws"
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with websockets.connect(url, ssl=self.proxy.trust, open_timeout=20) as socket:
                    await socket.send(HELLO)
                    self.connected += 1
                    try:
                        async for message in socket:
                            if "heartbeat" in str(message):
                                await socket.send(HELLO)
                    finally:
                        self.connected -= 1
            self.reconnects += 1
            await asyncio.sleep(random.uniform(0.2, 2.0))

    async def open_pages_ask_again(self) -> None:
        """Every page that was ever opened loads all its files once more."""
        for tree in list(self.pages):
            for path in sorted(self.pages[tree]):
                await self.get(path)

    async def opened(self, releases: int) -> None:
        """Return once pages of so many releases were opened; TimeoutError after three minutes."""
        async with asyncio.timeout(PATIENCE):
            while len(self.releases) < releases:  # noqa: ASYNC110 - the visitors change it
                await asyncio.sleep(0.05)

    async def all_connected(self, jobs: Sequence[asyncio.Task[None]]) -> None:
        """Return once every socket is open; TimeoutError after three minutes, or what ended one of them."""
        async with asyncio.timeout(PATIENCE):
            while self.connected < len(jobs):
                for ended in (job for job in jobs if job.done()):
                    ended.result()
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(release: Path, folder: Path, settings: Mapping[str, object]) -> AsyncIterator[None]:
    """A replica of that checkout."""
    paths = [release / "browser", release / "server", release, ROOT]
    started = server_in({"PYTHONPATH": os.pathsep.join(map(str, paths))}, folder, settings)
    await asyncio.to_thread(started.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(started.__exit__, None, None, None)


async def roll(
    folder: Path, rate: float, sockets: int, stage: float, kernels: tuple[Path, ...] = (), **settings: object
) -> dict[str, Any]:
    """Upgrade both replicas under load; what visitors met.

    `settings` go to every replica; `kernels` are builds that the releases serve instead of their own.
    """
    newer = newer_release(folder / "newer")
    builds = dict(zip((ROOT, newer), ({"kernels": build} for build in kernels), strict=False))
    ports = free_port(), free_port()
    with cluster() as postgres, nginx(folder / "nginx", ports) as proxy:
        shared = {"store": postgres.create("fleetune"), "trusted_proxy": "127.0.0.1", **settings}

        async def replica(stack: contextlib.AsyncExitStack, release: Path, port: int, name: str) -> None:
            keys = (
                folder / "first" / "data" / "keys"
            )  # of all that replicas have, only these are the same files
            if keys.is_dir() and not (folder / name / "data" / "keys").exists():
                shutil.copytree(keys, folder / name / "data" / "keys")
            own = shared | builds.get(release, {}) | {"port": port}
            await stack.enter_async_context(running(release, folder / name, own))

        trust = ssl.create_default_context(cafile=proxy.folder / "fullchain.pem")
        async with (
            contextlib.AsyncExitStack() as one,
            contextlib.AsyncExitStack() as other,
            httpx.AsyncClient(base_url=proxy.url, verify=trust, timeout=30) as http,
        ):
            await replica(one, ROOT, ports[0], "first")
            await replica(other, ROOT, ports[1], "second")
            load = Load(proxy, http, rate)
            begin = time.monotonic()
            jobs = [asyncio.create_task(load.stay()) for _ in range(sockets)]
            visitors = [asyncio.create_task(_forever(load)) for _ in range(VISITORS)]
            try:
                await load.all_connected(jobs)
                await load.opened(1)
                await asyncio.sleep(stage)
                for stack, name, port in ((one, "third", ports[0]), (other, "fourth", ports[1])):
                    await stack.aclose()
                    await replica(stack, newer, port, name)
                    await load.opened(2)
                    await asyncio.sleep(stage)
                    await load.open_pages_ask_again()
                await load.all_connected(jobs)
            finally:
                for job in (*jobs, *visitors):
                    job.cancel()
            ended = await asyncio.gather(*jobs, *visitors, return_exceptions=True)
            defects = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
            assert not defects, defects
            return {
                "requests": load.requests,
                "failed": load.failed,
                "notFound": load.missing,
                "mixed": load.mixed,
                "pages": sorted(load.releases.values()),
                "files": sorted(len(files) for files in load.pages.values()),
                "sockets": sockets,
                "reconnects": load.reconnects,
                "seconds": round(time.monotonic() - begin, 1),
            }


async def _forever(load: Load) -> None:
    while True:
        await load.visit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetune-rolling-") as name:
        found = asyncio.run(roll(Path(name), args.rate, args.sockets, STAGE_SECONDS))
    if args.json:
        print(json.dumps(found))
    else:
        for key, value in found.items():
            print(f"{key}: {len(value) if key in ('failed', 'notFound', 'mixed') else value}")


if __name__ == "__main__":
    main()
