"""What becomes of acknowledged packets when things break."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests import tiny
from tests.faults.kill import killed_midway
from tests.load import Round, encode, hammer
from tests.postgres import cluster
from tests.running import server
from tests.test_store import packets, totals

from fleetune_server.store import sqlite as engine
from fleetune_server.store.base import Store, StoreError
from fleetune_server.store.schema import MIGRATIONS
from fleetune_server.store.sqlite import open_sqlite

TRIALS = 3


def kept(path: Path) -> set[str]:
    """The nonces in the file, as another program sees them after the crash."""
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT lower(hex(nonce)) FROM packets").fetchall()
    connection.close()
    return {nonce for (nonce,) in rows}


async def healed(store: Store) -> None:
    """Without being asked."""
    async with asyncio.timeout(15):
        while store.problem:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)


def test_killed_under_load_nothing_acknowledged_is_lost_or_counted_twice(tmp_path: Path) -> None:
    database = tmp_path / "data" / "fleetune.db"
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path, "retrain_packets": 10**6}
    acknowledged: set[str] = set()
    known: list[dict[str, object]] = []
    for trial in range(TRIALS):
        with server(tmp_path, **settings) as running:
            batch = Round.fetch(running.url).packets(4000, tiny.ENVIRONMENT)
            outcome = asyncio.run(killed_midway(running, encode(batch), trial))
        assert outcome.acknowledged
        assert len(outcome.acknowledged) < len(batch), "killed before the end"
        acknowledged |= {str(batch[index]["nonce"]) for index in outcome.acknowledged}
        known += batch
        stored = kept(database)
        assert acknowledged <= stored
        assert stored <= {str(packet["nonce"]) for packet in known}
    with server(tmp_path, **settings) as running:
        again = [packet for packet in known if packet["nonce"] in acknowledged][:2000]
        outcome = asyncio.run(hammer(running.url, encode(again, 50), 4))
        assert outcome.statuses == {202: len(encode(again, 50))}
    assert kept(database) == stored, "sent again, counted once"


async def test_a_full_disk_is_told_reads_go_on_and_writing_resumes(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "fleetune.db", 10_000) as store:
        await store.append(packets([1, 2, 3]))
        ((pages,),) = await store._writing.execute_fetchall("PRAGMA page_count")
        await store._writing.execute_fetchall(f"PRAGMA max_page_count={pages + 1}")
        with pytest.raises(StoreError, match="full"):
            await store.append(packets([1] * 5000, start=100))
        assert store.problem is not None
        assert "full" in store.problem
        assert totals(await store.sums())[0] == 3
        await store._writing.execute_fetchall("PRAGMA max_page_count=1000000")
        await healed(store)
        assert await store.append(packets([1] * 5000, start=100)) == [True] * 5000


async def test_a_locked_database_is_told_and_writing_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    async with open_sqlite(tmp_path / "fleetune.db", 1000) as store:
        other = sqlite3.connect(tmp_path / "fleetune.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.append(packets([1]))
        assert store.problem == "database is locked"
        assert (await store.counts()).pending == 0
        other.execute("ROLLBACK")
        other.close()
        assert await store.append(packets([1])) == [True]
        await healed(store)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fleetune.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match=r"fleetune\.db: file is not a database"):
        async with open_sqlite(path, 1000):
            pass


async def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "fleetune.db"
    async with open_sqlite(path, 1000):
        pass
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM migrations")]
        assert names == [migration.name for migration in MIGRATIONS]
        connection.execute("INSERT INTO migrations VALUES ('9999_from_the_future')")
    connection.close()
    with pytest.raises(StoreError, match="9999_from_the_future"):
        async with open_sqlite(path, 1000):
            pass


async def test_every_commit_is_synced_to_disk(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "fleetune.db", 1000) as store:
        ((synchronous,),) = await store._writing.execute_fetchall("PRAGMA synchronous")
        ((journal,),) = await store._writing.execute_fetchall("PRAGMA journal_mode")
    assert (synchronous, journal) == (2, "wal")


async def test_postgres_restarted_under_load_loses_nothing_acknowledged() -> None:
    from fleetune_server.store.postgres import open_postgres

    with cluster() as database:
        async with open_postgres(database.create("fleetune"), 10_000) as store:
            acknowledged: list[str] = []
            recovered = asyncio.Event()

            async def sender(number: int) -> None:
                start = number * 10**6
                while not recovered.is_set():
                    batch = packets([7] * 5, start=start)
                    start += 5
                    try:
                        await store.append(batch)
                    except StoreError:
                        await asyncio.sleep(0.1)
                    else:
                        acknowledged.extend(packet.nonce for packet in batch)

            async def crash() -> None:
                await asyncio.sleep(1)
                await asyncio.to_thread(database.restart, "immediate")
                before = len(acknowledged)
                async with asyncio.timeout(60):
                    while len(acknowledged) < before + 200:  # noqa: ASYNC110 - it only counts
                        await asyncio.sleep(0.05)
                recovered.set()

            await asyncio.gather(*(sender(i) for i in range(8)), crash())
            await healed(store)
            result = await store.withdraw(acknowledged)
            assert result.removed == len(acknowledged)


async def test_one_replica_trains_and_the_others_take_over_and_hear_of_versions() -> None:
    from fleetune_server.store.base import VersionRecord
    from fleetune_server.store.postgres import open_postgres

    with cluster() as database:
        url = database.create("fleetune")
        heard: asyncio.Queue[int] = asyncio.Queue()
        async with open_postgres(url, 1000) as second:
            listening = asyncio.create_task(second.listen(heard.put))
            async with open_postgres(url, 1000) as first:
                assert await first.lead()
                assert not await second.lead()
                assert await first.lead()
                await first.append(packets([1, 2]))
                assert await second.append(packets([1])) == [False]
                await first.save_version(VersionRecord(1, "a" * 64, 0.5, 1, {}), {"a" * 64: b"x"}, 8)
                assert await asyncio.wait_for(heard.get(), 5) == 1
                with pytest.raises(StoreError, match="version 1"):
                    await second.save_version(VersionRecord(1, "b" * 64, 0.5, 1, {}), {}, 8)
            async with asyncio.timeout(5):
                while not await second.lead():  # noqa: ASYNC110 - asking is what replicas do
                    await asyncio.sleep(0.05)
            listening.cancel()
