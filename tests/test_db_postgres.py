"""`fleetune db` beside PostgreSQL: what it checks itself, and the commands that it names for the rest."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import Server, binaries, cluster
from tests.test_db import private
from tests.test_store import packets, totals

from fleetune_server import cli
from fleetune_server.commands import db
from fleetune_server.store.postgres import open_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with cluster() as server:
        yield server


def test_postgres_is_checked_and_its_own_tools_are_named_by_commands_that_work(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = postgres.create("first"), postgres.create("second")

    async def fill() -> None:
        async with open_postgres(first, 1000) as store:
            await store.append(packets([i % 64 for i in range(200)]))
            await store.fold(2**40)

    async def reports() -> int:
        async with open_postgres(second, 1000) as store:
            return totals(await store.sums())[0]

    asyncio.run(fill())
    monkeypatch.setenv("FLEETUNE_STORE", first)
    assert cli.main(["db", "check"]) == 0
    kept = tmp_path / "kept.dump"
    for action, url in (("backup", first), ("restore", second)):
        assert cli.main(["db", action, str(kept)]) == 1
        said = capsys.readouterr().err
        assert first not in said, "an address may hold a password"
        command = said.strip().splitlines()[-1].strip()
        assert command == {"backup": db.BACKUP, "restore": db.RESTORE}[action].format(file=kept)
        path = f"{binaries()}:{os.environ['PATH']}"
        subprocess.run(["sh", "-ec", command], check=True, env={"PATH": path, "FLEETUNE_STORE": url})
    assert private(kept)
    assert asyncio.run(reports()) == 200
    monkeypatch.setenv("FLEETUNE_STORE", second)
    assert cli.main(["db", "check"]) == 0
    psql = [str(binaries() / "psql"), second, "-qc", "UPDATE aggregates SET total = total + 1"]
    subprocess.run(psql, check=True)
    assert cli.main(["db", "check"]) == 1
    assert "sums cannot come from reports" in capsys.readouterr().err
