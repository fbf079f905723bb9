"""Trees of files: one address for one content, and what becomes of a file that changes under a running server."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from pathlib import Path

import brotli
import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route

from fleetune_server.common.assets import Asset
from fleetune_server.http import assets as module
from fleetune_server.http.app import FOLDERS
from fleetune_server.http.assets import STDLIB, Assets
from fleetune_server.http.transfer import Transfer


def client(assets: Assets) -> httpx.AsyncClient:
    routes = [
        Route("/", assets.page("index.html")),
        Route("/static-{hash}/{path:path}", assets.hashed),
        Route("/static/{path:path}", assets.newest),
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


async def test_what_measuring_transfers_is_what_is_served_and_fits_in_eight_megabytes() -> None:
    assets = Assets(FOLDERS)
    await assets.read()
    transfer = Transfer(assets)
    assert transfer.known("gzip, br") is None, "nothing is claimed before it is counted"
    assert transfer._counting is not None
    transfer._counting.join()
    served = {"br": 0, "gzip": 0}
    for asset in assets.measuring():
        for accepted in served:
            served[accepted] += len(asset.respond(Headers({"accept-encoding": accepted})).body)
    assert {accepted: transfer.known(accepted) for accepted in served} == served
    assert served["br"] < 8_000_000 < served["gzip"] < 9_000_000


async def test_the_standard_library_is_unpacked_for_the_wire_and_whole() -> None:
    assets = Assets(FOLDERS)
    await assets.read()
    name = next(path for path in assets._hashed if path.endswith(STDLIB))
    original = zipfile.ZipFile(FOLDERS["pyodide"][0][1] / STDLIB)
    served = zipfile.ZipFile(io.BytesIO(assets._hashed[name].body))
    assert served.namelist() == original.namelist()
    assert all(served.read(member) == original.read(member) for member in original.namelist())
