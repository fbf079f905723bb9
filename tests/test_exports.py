"""The daily export: enough reports or nothing, made once, signed, loaded in three lines, true to the pages."""

from __future__ import annotations

import asyncio
import base64
import csv
import gzip
import io
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests import tiny
from tests.learning_world import MANIFEST
from tests.test_function_pages import known, of_few_cells

from fleetune.context import Context, Environment
from fleetune.packet import DAY as SECONDS
from fleetune_server.http.app import create_app
from fleetune_server.http.pages import data as data_page
from fleetune_server.http.pages import functions as function_pages
from fleetune_server.http.pages import public as public_pages
from fleetune_server.http.pages.public import Public
from fleetune_server.publish.exports import Exports
from fleetune_server.runtime import KEY, State
from fleetune_server.settings import Settings
from fleetune_server.store.base import Cell, StoredPacket, StoreError
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.public import publishable

HERE = tiny.ENVIRONMENT
CHOSEN = "vectorization"  # by the first model, in browsers like that
ROWS: list[dict[str, Any]] = [{"kernel": "dot", "reports": 21}]
FIELDS = ("kernel", "reports")


@dataclass
class World:
    """A server within this process."""

    http: httpx.AsyncClient
    state: State
    public: Public

    async def report(
        self,
        count: int,
        candidate: str = CHOSEN,
        environment: Environment = HERE,
        low: int = 15,
        high: int = 62,
    ) -> None:
        """Reports of one cell whose symbols are spread evenly from `low` to `high`."""
        kernel = self.state.catalogue.manifest.kernels["dot"]
        context = Context.of(256, "f32", "random")
        version = self.state.library.stable
        cell = Cell(kernel.signature, context, environment, candidate, version, 2.0, 0.5, 0.4)
        known = (await self.state.store.counts()).reports
        draw = random.Random(known)
        packets = [
            StoredPacket(cell, draw.randint(low, high), f"{known + i:032x}", heldout=False)
            for i in range(count)
        ]
        await self.state.store.append(packets)


@asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    built = folder / "dist" if (folder / "dist").is_dir() else tiny.write(folder / "dist")
    app = create_app(
        Settings(data=folder / "data", kernels=built, lab=folder, retrain_packets=10**9, **settings)
    )
    inner = app.app  # type: ignore[attr-defined]
    async with inner.router.lifespan_context(inner) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(with_state), base_url="http://fleetune.test"
        ) as http:
            yield World(http, state[KEY], state["public"])


async def test_a_day_is_made_once_and_keeps_its_address_and_bytes(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.report(GROUP)
        path = f"/data/{here.public.today}.csv"
        first = await here.http.get(path)
        await here.report(5 * GROUP)
        again = await here.http.get(path)
    assert first.status_code == 200
    assert again.content == first.content
    assert "immutable" in first.headers["cache-control"]
    async with world(tmp_path) as here:
        assert (await here.http.get(path)).content == first.content


async def test_it_loads_in_three_lines_and_says_what_the_page_says(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.report(50, CHOSEN)
        page = unescape((await here.http.get("/data/")).text)
        lines = (await here.http.get(f"/data/{here.public.today}.csv")).text.splitlines()
        shown = (await here.http.get("/functions/dot")).text
    (row,) = csv.DictReader(lines)
    speedup, low, high = (f"{float(row[name]):.2f}" for name in ("speedup", "low", "high"))
    (cell,) = (cell for cell in re.findall(r"<td>.*?</td>", shown) if "source reports" in cell)
    assert f'<span title="{CHOSEN}">4 lanes</span>' in cell
    assert f"<strong>{speedup}×</strong> ({low}–{high})" in cell
    assert f"{row['reports']} reports" in cell
    # The three lines that the page shows do what it says, here with the file's text in place of the web.
    (code,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert len(code.splitlines()) == 3
    found = re.sub(r"web\.urlopen\(.*?\)\.read\(\)\.decode\(\)\.splitlines\(\)", "LINES", code)
    with redirect_stdout(io.StringIO()) as said:
        exec(found, {"LINES": lines})
    assert f"'{CHOSEN}'" in said.getvalue()


def test_every_figure_from_the_reports_of_a_simulated_fleet_is_a_row_of_the_export(tmp_path: Path) -> None:
    sums = of_few_cells(10_000)
    here = known(sums)
    rows = [
        {"kernel": MANIFEST.by_signature[one.signature].name, **one.to_row()} for one in publishable(sums)
    ]
    Exports(tmp_path, partial(_by, "a")).write("2026-02-03", {}, tuple(data_page.FIELDS), rows)
    # The three lines.
    with (tmp_path / "2026-02-03" / "csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    exported = {
        (row["kernel"], row["implementation"], row["reports"], f"{float(row['speedup']):.2f}")
        for row in table
    }
    pages = ((name, function_pages.function(here, name, "en")) for name in MANIFEST.kernels)
    cells = ((name, cell) for name, page in pages for cell in re.findall(r"<td>.*?</td>", page))
    said = re.compile(r'title="([^"]+)".*<strong>([\d.]+)×.*>(\d+) reports<')
    found = ((name, said.search(cell)) for name, cell in cells)
    shown = {(name, match[1], match[3], match[2]) for name, match in found if match}
    assert len(shown) > 10
    assert shown <= exported


async def test_json_and_csv_hold_the_same_documented_fields_and_only_large_places(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.report(GROUP)
        await here.report(GROUP - 1, "scalar")
        day = here.public.today
        document = (await here.http.get(f"/data/{day}.json")).json()
        text = (await here.http.get(f"/data/{day}.csv")).text
        page = (await here.http.get("/data/?lang=ru")).text
    (row,) = document["rows"]
    assert (row["implementation"], row["reports"]) == ("vectorization", GROUP)
    assert {k: str(v) for k, v in row.items()} == next(csv.DictReader(text.splitlines()))
    assert list(row) == list(data_page.FIELDS) == list(document["fields"])
    assert document["licence"] == "CC0-1.0"
    for name, words in data_page.FIELDS.items():
        assert f"<code>{name}</code></th><td>{words['ru']}" in page


async def test_signatures_hold_against_the_servers_public_keys(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        name = f"{here.public.today}.json"
        content = (await here.http.get(f"/data/{name}")).content
        signed = (await here.http.get(f"/data/{name}.sig")).json()
        keys = (await here.http.get("/keys.json")).json()
    manifest = signed["manifest"]
    assert (manifest["file"], manifest["size"]) == (name, len(content))
    assert manifest["sha256"] == sha256(content).hexdigest()
    message = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    for key, signature in signed["signatures"].items():
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[key]))
        public.verify(base64.b64decode(signature), message)


async def test_the_next_day_holds_a_row_until_twenty_more_reports_came(tmp_path: Path) -> None:
    async def rows(here: World, days: int, version: int) -> list[dict[str, Any]]:
        here.public._now = lambda: (1_000 + days) * SECONDS
        here.public._key = ("", version)  # as if a version was published since
        answer = await here.http.get(f"/data/{here.public.today}.json")
        found: list[dict[str, Any]] = answer.json()["rows"]
        return found

    async with world(tmp_path) as here:
        await here.report(GROUP)
        first = await rows(here, 0, 1)
        await here.report(GROUP - 1)
        assert await rows(here, 1, 2) == first
    async with world(tmp_path) as here:  # a restart changes nothing
        assert await rows(here, 2, 3) == first
        await here.report(1)
        (moved,) = await rows(here, 3, 4)
        assert moved["reports"] == 2 * GROUP


async def test_strangers_make_the_server_work_once_a_version(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        asked = 0
        read = here.state.pipeline.over_sums

        async def counted(*asks: Any) -> Any:
            nonlocal asked
            asked += 1
            return await read(*asks)

        here.state.pipeline.over_sums = counted  # type: ignore[method-assign, assignment]
        pages = ("/functions", "/functions?q=dot", "/functions/dot", "/functions/x", "/regressions", "/data/")
        paths = (*pages, f"/data/{here.public.today}.csv")
        for number in range(40):
            await here.http.get(
                paths[number % len(paths)], headers={"accept-language": ("en", "ru")[number % 2]}
            )
        assert asked == 1


async def test_while_the_store_is_gone_the_pages_stay(tmp_path: Path) -> None:
    async def gone(*asks: Any) -> Any:
        raise StoreError("gone")

    async with world(tmp_path) as here:
        first = (await here.http.get("/functions/dot")).text
        here.state.pipeline.over_sums = gone  # type: ignore[method-assign, assignment]
        here.public._key = ("", 2)  # as if a version was published since
        assert (await here.http.get("/functions/dot")).text == first
    async with world(tmp_path) as here:
        here.state.pipeline.over_sums = gone  # type: ignore[method-assign, assignment]
        assert (await here.http.get("/functions/dot")).status_code == 503


async def test_a_server_writes_the_days_export_although_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_pages, "TURN_SECONDS", 0.05)
    async with world(tmp_path) as here:
        async with asyncio.timeout(20):
            while not here.public.exports.days():  # noqa: ASYNC110 - the product has no event for this
                await asyncio.sleep(0.05)
        assert here.public.exports.days() == [here.public.today]


async def test_an_operator_may_keep_the_totals_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_pages, "TURN_SECONDS", 0.05)
    async with world(tmp_path, dashboard=False) as here:
        for path in (
            "/functions",
            "/functions/dot",
            "/regressions",
            "/data/",
            f"/data/{here.public.today}.json",
        ):
            assert (await here.http.get(path)).status_code == 404
        await asyncio.sleep(0.5)
        assert here.public.exports.days() == []


async def test_a_damaged_memory_is_said_and_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as here:
        here.public.exports.remember("told", [])
        damaged = here.public.exports.folder / "told.json"
        await asyncio.to_thread(damaged.write_text, "{")
        await here.report(GROUP)
        page = await here.http.get("/functions/dot")
        day = (await here.http.get(f"/data/{here.public.today}.json")).json()
    assert page.status_code == 200
    assert "source reports" not in page.text
    assert day["rows"] == []
    assert "reports are not told of" in caplog.text


async def test_what_cannot_be_remembered_is_not_told(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.public.exports.folder.write_text("no folder")
        await here.report(GROUP)
        page = await here.http.get("/functions/dot")
        day = await here.http.get(f"/data/{here.public.today}.json")
    assert page.status_code == 200
    assert "source reports" not in page.text
    assert day.status_code == 503


@pytest.mark.parametrize("name", ["2026-01-01.json", "nowhere", "told.json", "2026-01-01.exe", ".csv"])
async def test_other_names_are_no_files(tmp_path: Path, name: str) -> None:
    async with world(tmp_path) as here:
        await here.http.get("/functions")  # there is something to remember by now
        assert (await here.http.get(f"/data/{name}")).status_code == 404


def _by(who: str, message: bytes) -> dict[str, str]:
    return {who: f"{len(message)} bytes"}


def test_a_day_is_whole_whoever_wrote_it_first(tmp_path: Path) -> None:
    first, second = (Exports(tmp_path, partial(_by, who)) for who in ("a", "b"))
    first.write("2026-02-03", {"date": "2026-02-03"}, FIELDS, ROWS)
    second.write("2026-02-03", {"date": "2026-02-03"}, FIELDS, [{"kernel": "other", "reports": 99}])
    folder = tmp_path / "2026-02-03"
    assert json.loads((folder / "json").read_bytes())["rows"] == ROWS
    assert (folder / "csv").read_text() == "kernel,reports\ndot,21\n"
    for kind in ("json", "csv"):
        assert gzip.decompress((folder / f"{kind}.gz").read_bytes()) == (folder / kind).read_bytes()
        assert json.loads((folder / f"{kind}.sig").read_bytes())["signatures"].keys() == {"a"}
    assert [path.name for path in tmp_path.iterdir()] == ["2026-02-03"], "nothing is left lying about"
    assert second.days() == ["2026-02-03"]
