"""Releases that follow one another: open pages find all their files, whichever replica answers."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import ExitStack
from pathlib import Path

import httpx
from tests import tiny
from tests.benchmarks.rolling import newer_release, roll
from tests.running import server, server_in

from fleetune_server.http.assets import RELEASES


def test_a_rolling_upgrade_fails_no_request_and_lacks_no_file(tmp_path: Path) -> None:
    builds = tiny.write(tmp_path / "dist"), tiny.write(tmp_path / "other")  # a small catalogue starts sooner
    (builds[1] / "manifest.json").write_text(json.dumps(tiny.raw_manifest(), indent=1))
    found = asyncio.run(
        roll(tmp_path, rate=100, sockets=100, stage=1.0, kernels=builds, lab=tmp_path / "none")
    )
    assert (found["failed"], found["notFound"], found["mixed"]) == ([], [], [])
    assert len(found["pages"]) == 2, "pages of both releases were opened"
    assert min(found["files"]) > 50
    assert found["reconnects"] >= 100, "each replica's sockets came back"


def scripts(page: httpx.Response) -> str:
    """The address of the tree of scripts that a page names."""
    (tree,) = set(re.findall(r"static-[0-9a-f]{64}/", page.text))
    return f"/{tree}"


def test_one_machine_serves_the_two_releases_before_its_own_and_none_older(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    pages: list[dict[str, bytes]] = []  # of each release: files by address
    for release in range(RELEASES + 1):
        tree = newer_release(tmp_path / f"release-{release}")
        (tree / "browser" / "web" / "shared" / "icon.svg").write_text(f"<svg><!-- {release} --></svg>")
        path = ":".join(str(tree / part) for part in ("browser", "server", "."))
        environment = {"PYTHONPATH": f"{path}:{Path(__file__).parents[1]}"}
        with server_in(environment, tmp_path / "server", settings) as running, ExitStack() as stack:
            http = stack.enter_context(httpx.Client(base_url=running.url))
            root = scripts(http.get("/"))
            parts = http.get(f"{root}parts.json").json()
            names = [root + name for name in ("shared/icon.svg", "shared/figures.js", "parts.json")]
            pages.append({name: http.get(name).content for name in (*names, parts["wheel"])})
            for old in pages[-RELEASES:]:
                for name, content in old.items():
                    answer = http.get(name)
                    assert (answer.status_code, answer.content) == (200, content)
                    assert "immutable" in answer.headers["cache-control"]
            for dropped in pages[:-RELEASES]:
                only_there = dropped.keys() - pages[-1].keys()
                assert [http.get(name).status_code for name in only_there] == [404] * len(only_there)
    assert pages[0].keys() != pages[1].keys()


def test_kernels_that_an_operator_took_away_are_served_to_pages_that_know_them(tmp_path: Path) -> None:
    """A restart forgets which catalogues were served before; the store does not."""
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    with server(tmp_path, **settings) as running:
        root = httpx.get(f"{running.url}api/kernels").json()["root"]
    manifest = tmp_path / "dist" / "manifest.json"
    manifest.write_text(json.dumps(tiny.raw_manifest(), indent=1))
    with server(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as http:
        assert http.get("/api/kernels").json()["root"] != root
        assert http.get(f"{root}base.bin").content == tiny.BUNDLES["base"]
        assert http.get(f"{root}nothing.bin").status_code == 404


def test_addresses_without_a_hash_lead_into_one_release(tmp_path: Path) -> None:
    """What embedders import: all scripts behind it are of the replica that answered."""
    with (
        server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path) as running,
        httpx.Client(base_url=running.url) as http,
    ):
        root = scripts(http.get("/"))
        for address, up in {"/fleetune.js": ".", "/static/embed/fleetune.js": "../.."}.items():
            answer = http.get(address)
            assert f'export * from "{up}{root}embed/fleetune.js";' in answer.text
            assert answer.headers["cache-control"] == "no-cache"
        assert http.get("/static/words/en.js").text.endswith("export default all.default;\n")
        assert http.get("/static/nothing.js").status_code == 404
