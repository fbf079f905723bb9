"""After a restore of an older backup no version number means two contents, and pages go on."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests import tiny
from tests.postgres import Server, cluster
from tests.running import server

from fleetune_server import cli
from fleetune_server.store.base import VersionRecord
from fleetune_server.store.postgres import open_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with cluster() as running:
        yield running


def newest(url: str) -> int:
    return int(httpx.get(f"{url}api/model/latest").json()["version"])


def test_versions_after_a_restore_are_above_all_that_pages_may_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path / "data"))
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    backup = tmp_path / "monday.db"
    with server(tmp_path, **settings) as running:
        first = newest(running.url)
        assert cli.main(["db", "backup", str(backup)]) == 0
        for _ in range(3):  # what clients may hold, and the backup does not know
            assert cli.main(["models", "rollback", str(first)]) == 0
    assert cli.main(["db", "restore", str(backup)]) == 0
    with server(tmp_path, **settings) as running:
        until = time.monotonic() + 60
        while newest(running.url) == first:
            assert time.monotonic() < until, running.events()[-5:]
            time.sleep(0.2)
        after = newest(running.url)
        assert after > first + 3
        versions = httpx.get(f"{running.url}api/model/latest", params={"have": first}).json()
        assert versions["version"] == after
        assert cli.main(["models", "rollback", str(first)]) == 0, "what came from the backup is kept"
    assert cli.main(["db", "check"]) == 0


def test_the_same_holds_for_postgresql_with_its_own_tools(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.create(f"restored_{secrets.token_hex(6)}")

    async def publish(version: int) -> None:
        async with open_postgres(url, 1000) as store:
            record = VersionRecord(version, "ab" * 32, 0.5, int(time.time()) - 500, {"incremental": {}})
            await store.save_version(record, {}, 8)

    async def remembered() -> dict[str, float]:
        async with open_postgres(url, 1000) as store:
            found: dict[str, float] = await store.get("restored")
            return found

    asyncio.run(publish(4))
    monkeypatch.setenv("FLEETUNE_STORE", url)
    assert cli.main(["db", "restored"]) == 0
    assert asyncio.run(remembered())["floor"] > 4 + 500
