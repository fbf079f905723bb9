"""Trees of files: one address for one content, and what becomes of a file that changes under a running server."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import http.server
import json
import random
import re
import subprocess
from pathlib import Path

import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from tests import node, npm
from tests.sites import serving

from fleetune_server.common.assets import IMMUTABLE, Asset
from fleetune_server.http import assets as module
from fleetune_server.http.app import FOLDERS
from fleetune_server.http.assets import Assets

WEB = Path(__file__).resolve().parents[1] / "browser" / "web"


def client(assets: Assets) -> httpx.AsyncClient:
    routes = [
        Route("/", assets.page("index.html")),
        Route("/static-{hash}/{path:path}", assets.hashed),
        Route("/static/{path:path}", assets.newest),
        Route("/fleetune.js", assets.entry("fleetune")),
        *(Route(f"/{name}-{{hash}}.js", assets.hashed) for name in module.ENTRIES),
        Route("/integrity.json", assets.integrity),
    ]
    return httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://test")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text('<script type="module" src="static/a.js"></script>')
    (tmp_path / "a.js").write_text("export const a = 1;")
    (tmp_path / "secret.py").write_text("no = 1")
    return tmp_path


def trees(folder: Path) -> Assets:
    return Assets({"static": (("", folder),), "pyodide": ()})


async def script(http: httpx.AsyncClient) -> str:
    """The address of the script that the page names."""
    return "/" + (await http.get("/")).text.split('src="')[1].split('"')[0]


async def test_in_a_checkout_a_changed_file_gets_another_address_and_open_pages_keep_theirs(
    folder: Path,
) -> None:
    async with client(trees(folder)) as http:
        before = await script(http)
        (folder / "a.js").write_text("export const a = 22;")
        after = await script(http)
        assert after != before
        assert (await http.get(before)).text == "export const a = 1;"
        assert (await http.get(after)).text == "export const a = 22;"


async def test_an_installed_server_does_not_notice_that_another_release_is_put_in_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_CHECKOUT", False)
    async with client(trees(folder)) as http:
        before = await script(http)
        (folder / "a.js").write_text("export const a = 22;")
        assert await script(http) == before
        assert (await http.get(before)).text == "export const a = 1;"
        assert before in (await http.get("/static/a.js")).text.replace('"../', '"/')


async def test_the_same_files_have_the_same_address_on_every_server(folder: Path) -> None:
    addresses = []
    for _ in range(2):
        async with client(trees(folder)) as http:
            addresses.append(await script(http))
    assert addresses[0] == addresses[1]


async def test_an_entry_has_an_address_that_never_changes_and_the_integrity_that_is_told(
    folder: Path,
) -> None:
    (folder / "embed").mkdir()
    (folder / "embed" / "fleetune.js").write_text("export const connect = 1;")
    assets = trees(folder)
    told = []
    async with client(assets) as http:
        for _ in range(2):
            named = (await http.get("/integrity.json")).json()
            pinned = named["entries"]["fleetune.js"]
            answer = await http.get(f"/{pinned}")
            assert answer.headers["cache-control"] == IMMUTABLE
            assert answer.text == (await http.get("/fleetune.js")).text
            for path, integrity in named["integrity"].items():
                body = (await http.get(f"/{path}")).content
                assert integrity == "sha384-" + base64.b64encode(hashlib.sha384(body).digest()).decode()
            (imported,) = set(re.findall(r'"\./(.*?)"', answer.text))
            assert imported in named["integrity"], "what it imports can be compared as well"
            told.append((pinned, answer.text))
            (folder / "embed" / "fleetune.js").write_text("export const connect = 22;")
        assert told[0][0] != told[1][0]
        assert (await http.get(f"/{told[0][0]}")).text == told[0][1], "still there after a change"


async def test_only_what_browsers_load_is_served(folder: Path) -> None:
    async with client(trees(folder)) as http:
        assert (await http.get("/static/secret.py")).status_code == 404


def test_a_file_is_packed_as_the_browser_takes_it_and_only_where_that_is_smaller() -> None:
    text, noise = b"to be or not to be, " * 5000, random.Random(1).randbytes(50_000)
    asset = Asset(text, ".js")
    for accepted, encoding in {
        "gzip, deflate, br, zstd": "br",
        "gzip, deflate": "gzip",
        "identity": "",
    }.items():
        answer = asset.respond(Headers({"accept-encoding": accepted}))
        assert answer.headers.get("content-encoding", "") == encoding
        unpack = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}[encoding]
        assert unpack(bytes(answer.body)) == text
        assert answer.headers["vary"] == "accept-encoding"
    assert asset.packed("br, gzip")[0] == "br"
    assert Asset(text[:1000], ".js").packed("br, gzip")[0] == "gzip", "Brotli is slow and saves nothing here"
    assert Asset(noise, ".wasm").packed("br, gzip") == ("", noise)


def test_scripts_are_served_without_comments_and_mean_the_same(tmp_path: Path) -> None:
    """esbuild's minified form of each script, which has no comments, is the judge."""
    sources = sorted(WEB.rglob("*.js"))
    for path in sources:
        for name, body in (("written", path.read_bytes()), ("served", Asset.of(path).body)):
            copy = tmp_path / name / path.relative_to(WEB)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(body)
            assert body.count(b"\n") == path.read_bytes().count(b"\n")
    for name in ("written", "served"):
        script = npm.TOOLS / "node_modules" / ".bin" / "esbuild"
        options = ["--minify", "--format=esm", "--log-level=error", f"--outdir={tmp_path / name}-small"]
        subprocess.run([script, *(tmp_path / name).rglob("*.js"), *options], check=True)
    small = [
        path.relative_to(tmp_path / "written-small") for path in (tmp_path / "written-small").rglob("*.js")
    ]
    assert len(small) == len(sources)
    for path in small:
        meant = (tmp_path / "written-small" / path).read_bytes()
        assert (tmp_path / "served-small" / path).read_bytes() == meant, path
    written = sum(path.stat().st_size for path in sources)
    assert sum(len(Asset.of(path).body) for path in sources) < 0.85 * written


async def test_what_measuring_transfers_is_what_is_served_and_fits_in_eight_megabytes() -> None:
    assets = Assets(FOLDERS)
    await assets.read()
    served = {"br": 0, "gzip": 0}
    for asset in assets.measuring():
        for accepted in served:
            served[accepted] += len(asset.respond(Headers({"accept-encoding": accepted})).body)
    assert {accepted: assets.measuring_bytes(accepted) for accepted in served} == served
    assert served["br"] < 6_500_000 < served["gzip"] < 8_100_000


async def test_the_worker_compares_the_wheel_with_the_hash_in_its_address() -> None:
    assets = Assets({"static": (), "pyodide": ()})
    await assets.read()
    address = str(assets.parts["wheel"])
    body = assets._hashed[address].body
    served = {address: body, address.replace("wheels-", "other-"): body[:-1] + b"x"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in served else 404)
            self.end_headers()
            self.wfile.write(served.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    script = """
    const [file, ...addresses] = process.argv.slice(1);
    const { fetchWheel } = await import(file);
    const found = await Promise.allSettled(addresses.map(fetchWheel));
    console.log(JSON.stringify(found.map(({ value, reason }) => value?.byteLength ?? reason.message)));
    """
    with serving(Handler) as site:
        addresses = [f"{site}{path[1:]}" for path in (*served, "/wheels-0/gone.whl")]
        file = (Path(__file__).parents[1] / "browser/web/workers/python_files.js").as_uri()
        whole, altered, missing = await asyncio.to_thread(node.evaluate, script, file, *addresses)
    assert whole == len(body)
    assert "not the one that its address names" in altered
    assert "HTTP 404" in missing


async def test_the_worker_compares_pyodides_files_with_the_digests_of_its_release() -> None:
    assets = Assets(FOLDERS)
    await assets.read()
    parts = json.loads(assets._trees["static"].files["parts.json"].body)
    good = {name: assets._hashed[parts["pyodide"] + name].body for name in parts["files"]}
    assert {"pyodide.asm.wasm", "pyodide-lock.json", "python_stdlib.zip"} < good.keys()
    assert {name.split("-")[0] for name in good if name.endswith(".whl")} == {"numpy"}
    lock = good["pyodide-lock.json"]
    roots: dict[str, dict[str, bytes]] = {
        "good": good,
        "changed": {name: body[:-1] + b"?" for name, body in good.items()},
        "cut": {name: body[:-1] for name, body in good.items()},
        "longer": {name: body + b" " for name, body in good.items()},
        "mixed": {**dict.fromkeys(good, lock), "pyodide-lock.json": good["python_stdlib.zip"]},
    }
    served = {f"/{root}/{name}": body for root, files in roots.items() for name, body in files.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(served[self.path])

        def log_message(self, *_: object) -> None:
            pass

    script = """
    const [file, origin, files, roots] = process.argv.slice(1);
    const { compareBelow } = await import(file);
    const answers = { told: [], refused: {} };
    const tried = async (address) => {
      try { return (await (await fetch(address)).arrayBuffer()).byteLength; } catch { return "refused"; }
    };
    for (const root of JSON.parse(roots)) {
      const told = [];
      let refused = 0;
      const [tell, refuse] = [(percent) => told.push(percent), () => refused++];
      const stop = compareBelow(`${origin}/${root}/`, JSON.parse(files), tell, refuse, globalThis);
      answers[root] = [];
      for (const name of Object.keys(JSON.parse(files))) answers[root].push(await tried(`${origin}/${root}/${name}`));
      stop();
      answers.refused[root] = refused;
      const rising = told.every((percent, i) => !i || percent > told[i - 1]);
      if (root === "good") answers.told = [told.length, rising, told.at(-1)];
    }
    answers.ended = [await tried(`${origin}/cut/pyodide-lock.json`)];
    process.stdout.write(JSON.stringify(answers));
    """
    with serving(Handler) as site:
        file = (Path(__file__).parents[1] / "browser/web/workers/python_files.js").as_uri()
        origin = site.rstrip("/")
        answers = await asyncio.to_thread(
            node.evaluate, script, file, origin, json.dumps(parts["files"]), json.dumps([*roots])
        )
    assert answers.pop("refused") == {root: 0 if root == "good" else len(good) for root in roots}
    pieces, rising, last = answers.pop("told")
    assert pieces > 50, "the page can say how much of Python is here"
    assert (rising, last) == (True, 100)
    assert answers == {
        "good": [len(body) for body in good.values()],
        **dict.fromkeys(("changed", "cut", "longer", "mixed"), ["refused"] * len(good)),
        "ended": [len(lock) - 1],
    }
