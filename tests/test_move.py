"""`fleetune db move`: everything arrives in PostgreSQL, or nothing does, and the source stays as it was."""

from __future__ import annotations

import asyncio
import hashlib
import lzma
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import Server, binaries, cluster
from tests.test_store import packets

from fleetune_server import cli
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum, Counts
from fleetune_server.store.opening import open_store

FIXTURE = Path(__file__).parent / "upgrade" / "77e3099.db.xz"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with cluster() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An older release's database after 2,000 reports, with some pending ones."""
    path = tmp_path / "data" / "fleetune.db"
    path.parent.mkdir()
    path.write_bytes(lzma.decompress(FIXTURE.read_bytes()))
    monkeypatch.setenv("FLEETUNE_DATA", str(path.parent))

    async def more() -> None:
        async with open_store(Settings(store=str(path))) as store:
            await store.append(packets([3, 1, 4, 1, 5]))
            await store.put("größe", {"ключ": [1, 2.5]})

    asyncio.run(more())
    return path


def target(postgres: Server) -> str:
    return postgres.create(f"move_{secrets.token_hex(6)}")


def content(url: str) -> tuple[Counts, list[CellSum], list[object], object]:
    async def read() -> tuple[Counts, list[CellSum], list[object], object]:
        async with open_store(Settings(store=url)) as store:
            versions = await store.versions()
            files = [(record, await store.blob(record.sha256)) for record in versions]
            return await store.counts(), await store.sums(), [*files], await store.get("größe")

    return asyncio.run(read())


def sql(url: str, statement: str) -> str:
    psql = [str(binaries() / "psql"), url, "-qAtc", statement]
    return subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip()


def test_everything_arrives_and_the_source_is_untouched(
    postgres: Server, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = target(postgres)
    before = content(str(database))
    assert before[0].pending >= 5
    digest = hashlib.sha256(database.read_bytes()).digest()
    assert cli.main(["db", "move", url]) == 0
    assert "all rows arrived and are equal" in capsys.readouterr().out
    assert hashlib.sha256(database.read_bytes()).digest() == digest
    assert content(url) == before
    assert not list(database.parent.glob("*.moving*"))
    assert cli.main(["db", "move", url]) == 1
    assert "is not empty" in capsys.readouterr().err
    monkeypatch.setenv("FLEETUNE_STORE", url)
    assert cli.main(["db", "check"]) == 0
    assert cli.main(["db", "move", url]) == 1, "from PostgreSQL it goes nowhere"


def test_what_does_not_arrive_as_sent_leaves_nothing_and_may_be_tried_again(
    postgres: Server, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, empty = target(postgres), target(postgres)
    content(url)  # makes the schema
    sql(
        url,
        """CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.clip := NEW.clip * 2; RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE INSERT ON versions FOR EACH ROW EXECUTE FUNCTION spoil()""",
    )
    assert cli.main(["db", "move", url]) == 1
    assert "table versions" in capsys.readouterr().err
    assert sql(url, "SELECT COUNT(*) FROM cells") == "0"
    sql(url, "DROP TRIGGER spoil ON versions")
    assert cli.main(["db", "move", url]) == 0
    assert cli.main(["db", "move", empty.replace("move_", "none_")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_a_database_in_use_is_not_moved(
    postgres: Server, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = target(postgres)

    async def beside() -> int:
        async with open_store(Settings(store=str(database))):
            return await asyncio.to_thread(cli.main, ["db", "move", url])

    assert asyncio.run(beside()) == 1
    assert "uses it" in capsys.readouterr().err
