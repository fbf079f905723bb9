"""`fleetune db`: backups under load, restoring, what `check` sees, migrations rehearsed on a copy."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.test_store import packets, totals

from fleetune_server import cli
from fleetune_server.store import schema, sqlite_file
from fleetune_server.store.base import StoreError, VersionRecord
from fleetune_server.store.schema import MIGRATIONS, Migration
from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.store.sqlite_file import check

SHA_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data" / "fleetune.db"
    monkeypatch.setenv("FLEETUNE_DATA", str(path.parent))
    asyncio.run(_filled(path, 300))
    return path


async def _filled(path: Path, count: int, start: int = 0) -> None:
    async with open_sqlite(path, 10_000) as store:
        await store.append(packets([i * 7 % 64 for i in range(count)], start))
        await store.fold(2**40)
        await store.append(packets([5, 9], 10**6 + start))
        if not await store.versions():
            record = VersionRecord(1, SHA_OF_X, 0.5, 1, {"incremental": {}})
            await store.save_version(record, {SHA_OF_X: b"x"}, 8)


async def _reports(path: Path) -> int:
    async with open_sqlite(path, 1000) as store:
        return totals(await store.sums())[0]


def private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == 0o600


def _rewrite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_backup_comes_back_and_what_it_replaced_stays(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "backups" / "monday.db"
    assert cli.main(["db", "backup", str(kept)]) == 0
    assert private(kept)
    assert private(database)
    assert [path.name for path in kept.parent.iterdir()] == ["monday.db"], "one file, whole by itself"
    assert cli.main(["db", "backup", str(kept)]) == 1
    assert "overwrites nothing" in capsys.readouterr().err
    asyncio.run(_filled(database, 40, start=5000))
    assert asyncio.run(_reports(database)) == 344
    assert cli.main(["db", "restore", str(kept)]) == 0
    assert asyncio.run(_reports(database)) == 302
    assert private(database)
    (aside,) = database.parent.glob("*.replaced-*")
    assert asyncio.run(_reports(aside)) == 344
    assert cli.main(["db", "check"]) == 0
    assert cli.main(["db", "check", str(kept)]) == 0


async def test_a_backup_under_load_is_one_moment_of_it(tmp_path: Path) -> None:
    path = tmp_path / "fleetune.db"
    async with open_sqlite(path, 100_000) as store:
        await store.append(packets([3] * 20_000))

        async def senders() -> None:
            for i in range(200):
                await store.append(packets([7] * 20, 10**6 + 20 * i))
                if i % 20 == 0:
                    await store.fold(2**40)

        load = asyncio.create_task(senders())
        sizes = []
        for number in range(5):
            target = tmp_path / f"{number}.db"
            await asyncio.to_thread(sqlite_file.backup, path, target)
            sizes.append(await _reports(target))
        assert not load.done(), "writers did not wait for the backup, nor it for them"
        await load
    assert sizes == sorted(sizes)
    assert all(size >= 20_000 and size % 20 == 0 for size in sizes), "whole groups only"


def test_a_database_in_use_is_not_restored_over(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.db"
    sqlite_file.backup(database, kept)

    async def running() -> int:
        async with open_sqlite(database, 1000) as store:
            code = await asyncio.to_thread(cli.main, ["db", "restore", str(kept)])
            await store.append(packets([1], 777))
        return code

    assert asyncio.run(running()) == 1
    assert "a running server or command uses it" in capsys.readouterr().err
    assert asyncio.run(_reports(database)) == 303
    assert not list(database.parent.glob("*.replaced-*"))


def test_a_killed_server_leaves_a_log_that_goes_aside_with_its_file(database: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    sqlite_file.backup(database, kept)
    left = """
import asyncio, os, sys
from pathlib import Path
from tests.test_store import packets
from fleetune_server.store.sqlite import open_sqlite
async def main():
    async with open_sqlite(Path(sys.argv[1]), 1000) as store:
        await store.append(packets([1] * 50, 90_000))
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", left, str(database)], check=False)
    assert database.with_name("fleetune.db-wal").stat().st_size > 0
    aside = sqlite_file.restore(kept, database)
    assert aside is not None
    assert asyncio.run(_reports(database)) == 302, "the old log does not meet the new file"
    assert asyncio.run(_reports(aside)) == 352


def test_a_broken_database_gives_way_to_a_backup_and_is_kept(database: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    sqlite_file.backup(database, kept)
    database.write_bytes(b"something else entirely" * 1000)
    assert check(database) == ["file is not a database"]
    aside = sqlite_file.restore(kept, database)
    assert aside is not None
    assert aside.read_bytes().startswith(b"something else")
    assert asyncio.run(_reports(database)) == 302


@pytest.mark.parametrize("content", [b"", b"no database" * 500])
def test_what_is_no_sound_database_is_neither_restored_nor_moves_anything(
    database: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(content)
    if not content:  # a database, yet not of ours in every respect
        sqlite_file.backup(database, tmp_path / "copy.db")
        other = tmp_path / "copy.db"
        _rewrite(other, "UPDATE aggregates SET total = total + 1")
    before = sorted(path.name for path in database.parent.iterdir())
    assert cli.main(["db", "restore", str(other)]) == 1
    assert capsys.readouterr().err.startswith("fleetune db: ")
    assert sorted(path.name for path in database.parent.iterdir()) == before
    assert asyncio.run(_reports(database)) == 302


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE aggregates SET total = total + 1", "sums cannot come from reports"),
        ("UPDATE aggregates SET squares = squares + 8000000", "sums cannot come from reports"),
        ("INSERT INTO nonces SELECT nonce, 1, received FROM packets", "pending and folded at once"),
        ("UPDATE packets SET nonce = x'00ff' WHERE nonce = (SELECT MIN(nonce) FROM packets)", "wrong length"),
        ("UPDATE cells SET candidate = 'other'", "cells are not what their number says"),
        ("UPDATE cells SET context = '{'", "cells are not what their number says"),
        ("UPDATE packets SET cell = 1", "belong to no cell"),
        (
            "UPDATE aggregates SET cell = 1 WHERE cell IN (SELECT MIN(cell) FROM aggregates)",
            "refer to what is not there",
        ),
        ("UPDATE blobs SET body = x'00'", "other content than its name says"),
        ("DELETE FROM blobs", "version 1 lacks its file"),
        ("UPDATE versions SET document = 'x'", "the record of version 1 cannot be read"),
        ("INSERT INTO settings VALUES ('trials', '{')", "'trials' is not JSON"),
        ("INSERT INTO migrations VALUES ('9999_later')", "newer Fleetune"),
    ],
)
def test_check_sees_what_cannot_be(
    database: Path, damage: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["db", "check"]) == 0
    _rewrite(database, damage)
    assert cli.main(["db", "check"]) == 1
    assert said in capsys.readouterr().err


def test_check_sees_a_broken_page(database: Path) -> None:
    assert check(database) == []
    with database.open("rb+") as file:
        file.seek(5 * 1024)
        file.write(b"\xff" * 2048)
    assert check(database)


def _later(*statements: str) -> tuple[Migration, ...]:
    return (*MIGRATIONS, Migration("9999_later", sqlite=statements, postgres=()))


def test_a_schema_change_that_fails_on_a_copy_leaves_the_database_alone(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = _later("CREATE TABLE later (id INTEGER)", "UPDATE aggregates SET total = total + 1")
    monkeypatch.setattr(schema, "MIGRATIONS", bad)
    changed = database.stat().st_mtime_ns
    with pytest.raises(StoreError, match="sums cannot come from reports"):
        asyncio.run(_reports(database))
    assert database.stat().st_mtime_ns == changed
    monkeypatch.setattr(schema, "MIGRATIONS", _later("CREATE TABLE later (id INTEGER)", "nonsense"))
    with pytest.raises(StoreError, match="syntax error"):
        asyncio.run(_reports(database))
    monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS)
    assert asyncio.run(_reports(database)) == 302
    assert {path.name for path in database.parent.iterdir()} == {"fleetune.db", "fleetune.db.lock"}


def test_a_schema_change_reaches_an_older_database_and_an_older_backup(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.db"
    sqlite_file.backup(database, kept)
    good = _later("ALTER TABLE cells ADD COLUMN note TEXT NOT NULL DEFAULT ''")
    monkeypatch.setattr(schema, "MIGRATIONS", good)
    assert asyncio.run(_reports(database)) == 302
    sqlite_file.restore(kept, database)
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM migrations ORDER BY name").fetchall()
        assert names[-1] == ("9999_later",)
        assert connection.execute("SELECT note FROM cells").fetchone() == ("",)
    assert check(kept) == [], "the backup itself stays as it was"


def test_two_processes_may_share_a_file_and_neither_while_it_is_restored(database: Path) -> None:
    with sqlite_file.lock_database(database), sqlite_file.lock_database(database):
        pass
    refused: list[str] = []

    def use() -> None:
        try:
            asyncio.run(_reports(database))
        except StoreError as error:
            refused.append(str(error))

    with sqlite_file.lock_database(database, alone=True):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert refused == [f"{database}: it is being restored"]
