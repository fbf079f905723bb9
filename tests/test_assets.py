"""Trees of files: one address for one content, and what becomes of a file that changes under a running server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from fleetune_server.http import assets as module
from fleetune_server.http.assets import Assets


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
