"""The Store protocol, held by every engine."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.postgres import Server, cluster

from fleetune.context import Context, Environment
from fleetune.version_log import follows
from fleetune_server.store import encoding as rows
from fleetune_server.store.base import (
    Cell,
    CellSum,
    Store,
    StoreBusyError,
    StoredPacket,
    StoreError,
    VersionRecord,
)
from fleetune_server.store.postgres import open_postgres
from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.store.sqlite_file import check

ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3")
LIMIT = 500


def cell(candidate: str = "scalar", version: int = 1) -> Cell:
    return Cell("ab" * 16, Context(8, "f32", "random"), ENVIRONMENT, candidate, version, 2.0, 0.5, 0.25)


def packets(symbols: list[int], start: int = 0, of: Cell | None = None) -> list[StoredPacket]:
    # Nonces are spread over all first bytes, as random ones are.
    return [
        StoredPacket(
            of or cell(), symbol, f"{(start + i) * 37 % 256:02x}{start + i:030x}", (start + i) % 4 == 0
        )
        for i, symbol in enumerate(symbols)
    ]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with cluster() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path / "data" / "fleetune.db", LIMIT) as opened:
            yield opened
    else:
        server: Server = request.getfixturevalue("postgres")
        async with open_postgres(server.create(f"test_{secrets.token_hex(8)}"), LIMIT) as shared:
            yield shared


def totals(sums: list[CellSum]) -> tuple[int, int, int]:
    return sum(row.count for row in sums), sum(row.total for row in sums), sum(row.squares for row in sums)


async def test_a_packet_counts_once_however_often_it_is_sent(store: Store) -> None:
    batch = packets([0, 63, 31])
    assert await store.append(batch) == [True] * 3
    assert await store.append([*batch, *packets([5], start=9)]) == [False, False, False, True]
    assert await store.append(packets([7, 7], start=20) + packets([7], start=20)) == [True, True, False]
    assert (await store.counts()).pending == 6


async def test_each_version_is_logged_with_the_digest_of_the_one_before_and_stays(store: Store) -> None:
    for version in (1, 2, 5):
        record = VersionRecord(version, f"{version:064x}", 0.5, version, {})
        await store.save_version(record, {}, 2)
    with pytest.raises(StoreError):
        await store.save_version(VersionRecord(5, "5" * 64, 0.5, 1, {}), {}, 2)
    log = await store.log(0, 10)
    assert [(entry.version, entry.sha256) for entry in log] == [(v, f"{v:064x}") for v in (1, 2, 5)]
    assert follows(None, log) == log[-1]
    assert await store.log(1, 1) == log[1:2]
    assert len(await store.versions()) == 2


async def test_sums_are_exact_and_the_same_before_and_after_folding(store: Store) -> None:
    symbols = [i * 7 % 64 for i in range(300)]
    await store.append(packets(symbols))
    await store.append(packets(symbols[:40], start=1000, of=cell("vectorization", 2)))
    centred = [2 * s - 63 for s in [*symbols, *symbols[:40]]]
    expected = (len(centred), sum(centred), sum(c * c for c in centred))
    before = await store.sums()
    assert totals(before) == expected
    assert {row.cell for row in before} == {cell(), cell("vectorization", 2)}
    assert await store.fold(time.time() - 3660) == 0
    assert await store.fold(time.time() + 1) == 340
    assert await store.fold(time.time() + 1) == 0
    assert await store.sums() == before
    counts = await store.counts()
    assert (counts.pending, counts.folded, counts.nonces, counts.reports) == (0, 340, 340, 340)


async def test_folding_while_packets_arrive_counts_each_exactly_once(store: Store) -> None:
    async def send(start: int) -> None:
        for i in range(20):
            await store.append(packets([i], start=start + i))

    async def fold() -> None:
        for _ in range(5):
            await store.fold(time.time() + 1)

    await asyncio.gather(*(send(100 * i) for i in range(8)), fold(), fold())
    assert totals(await store.sums())[0] == 160
    await store.append(packets([1], start=100))
    assert totals(await store.sums())[0] == 160


async def test_a_withdrawn_packet_is_gone_and_cannot_come_back(store: Store) -> None:
    batch = packets([1, 2, 3])
    await store.append(batch)
    result = await store.withdraw([batch[0].nonce, batch[1].nonce, "f" * 32])
    assert (result.removed, result.folded) == (2, 0)
    assert totals(await store.sums())[:2] == (1, 2 * 3 - 63)
    assert await store.append(batch) == [False] * 3
    await store.fold(time.time() + 1)
    late = await store.withdraw([packet.nonce for packet in batch])
    assert (late.removed, late.folded) == (0, 1)
    assert totals(await store.sums())[0] == 1


async def test_nonces_are_forgotten_after_their_time_and_pending_ones_are_not(store: Store) -> None:
    await store.append(packets([1, 2]))
    await store.fold(time.time() + 1)
    await store.append(packets([3], start=50))
    assert await store.forget(time.time() - 3660) == 0
    assert await store.forget(time.time() + 1) == 2
    assert await store.append(packets([3], start=50)) == [False]
    assert await store.append(packets([1, 2])) == [True, True]


async def test_too_many_waiting_packets_are_refused_before_memory_grows(store: Store) -> None:
    sends = [asyncio.create_task(store.append(packets([1] * 100, start=100 * i))) for i in range(10)]
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, StoreBusyError)]
    kept = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert refused
    assert kept
    assert totals(await store.sums())[0] == 100 * len(kept)
    assert store.waiting == 0
    assert await store.append(packets([1], start=5000)) == [True]


async def test_a_sender_that_hangs_up_does_not_take_others_with_it(store: Store) -> None:
    first = asyncio.create_task(store.append(packets([1])))
    second = asyncio.create_task(store.append(packets([2], start=10)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [True]
    await asyncio.gather(first, return_exceptions=True)
    assert totals(await store.sums())[0] == 2
    assert await store.append(packets([3], start=20)) == [True]


async def test_versions_and_their_files_appear_together_and_old_ones_go(store: Store) -> None:
    for version in range(1, 6):
        record = VersionRecord(version, f"{version:064x}", 0.5, 1000 + version, {"n": version, "x": [1.5]})
        blobs = {record.sha256: bytes([version]) * 10, f"d{version:063x}": b"delta"}
        await store.save_version(record, blobs, keep=3)
    assert [record.version for record in await store.versions()] == [3, 4, 5]
    assert (await store.versions())[-1] == record
    assert await store.blob(record.sha256) == bytes([5]) * 10
    assert await store.blob(f"{1:064x}") is None
    with pytest.raises(StoreError, match="version 5"):
        await store.save_version(record, {"other": b""}, keep=3)
    assert await store.blob("other") is None
    assert store.problem is None


async def test_settings_are_remembered_as_json(store: Store) -> None:
    assert await store.get("trained") is None
    await store.put("trained", {"reports": 7})
    await store.put("trained", {"reports": 8})
    assert await store.get("trained") == {"reports": 8}


async def test_a_tally_counts_each_nonce_once(store: Store) -> None:
    assert await store.get("good") is None
    fresh = await asyncio.gather(*(store.tally(f"{n % 3:032x}", "good") for n in range(6)))
    assert sum(fresh) == 3
    assert await store.get("good") == 3
    assert await store.forget(time.time() + 1) == 3
    assert await store.tally(f"{0:032x}", "good"), "a nonce is remembered for the replay window only"
    assert await store.get("good") == 4


async def test_the_arrival_of_a_packet_is_kept_by_the_hour_and_so_is_what_was_kept_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fleetune.db"
    async with open_sqlite(path, 100) as kept:
        await kept.append(packets([1, 2, 3]))
        await kept.withdraw([packets([1])[0].nonce])
        assert await kept.tally("e" * 32, "feedback/good")
    with closing(sqlite3.connect(path)) as database:
        for table in ("packets", "nonces"):
            times = {received for (received,) in database.execute(f"SELECT received FROM {table}")}
            assert times
            assert all(received % 3600 == 0 and 0 <= time.time() - received < 7200 for received in times)
            database.execute(f"UPDATE {table} SET received = 1795392000.0 + 5025.625")
        database.commit()
    assert any("more finely" in problem for problem in check(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM migrations WHERE name = '0003_arrival_by_the_hour'")
        database.commit()
    assert check(path) == [], "an older file is no damage"
    async with open_sqlite(path, 100):
        pass
    with closing(sqlite3.connect(path)) as database:
        for table in ("packets", "nonces"):
            found = database.execute(f"SELECT DISTINCT received FROM {table}").fetchall()
            assert found == [(1795392000.0 + 3600,)], table
    assert check(path) == []


async def test_dropped_cells_are_gone_pending_or_folded_and_their_packets_cannot_come_back(
    store: Store,
) -> None:
    bad, good = cell("vectorization"), cell()
    await store.append(packets([1] * 40, of=bad))
    await store.append(packets([60] * 30, start=100, of=good))
    await store.fold(2**40)
    pending = packets([2] * 7, start=500, of=bad)
    await store.append(pending)
    assert await store.drop([bad, cell("never seen")]) == 47
    assert {row.cell for row in await store.sums()} == {good}
    assert totals(await store.sums())[0] == 30
    assert await store.append(pending) == [False] * 7
    assert await store.drop([bad]) == 0
    assert await store.append(packets([3], start=900, of=bad)) == [True], "the cell itself may be seen again"


async def test_versions_are_kept_by_rank_however_far_their_numbers_jump(store: Store) -> None:
    for version in (1, 2, 5000, 5001):
        record = VersionRecord(version, f"{version:064x}", 0.5, version, {})
        await store.save_version(record, {f"{version:064x}": b"%d" % version}, 3)
    assert [record.version for record in await store.versions()] == [2, 5000, 5001]
    assert [await store.blob(f"{version:064x}") for version in (1, 2, 5001)] == [None, b"2", b"5001"]


async def test_files_are_kept_for_as_many_editions_and_go_with_the_last_that_serves_them(
    store: Store,
) -> None:
    for number in range(1, 5):
        await store.keep_files(
            f"e{number}", {f"/{number}/a": b"%d" % number, f"/{number}/same": b"same"}, keep=3
        )
    assert [await store.kept_file(f"/{number}/a") for number in range(1, 5)] == [None, b"2", b"3", b"4"]
    assert await store.kept_file("/1/same") is None
    assert await store.kept_file("/4/same") == b"same"
    await store.keep_files("e2", {"/2/more": b"more"}, keep=3)  # an older release starts again: it is in use
    await store.keep_files("e5", {}, keep=3)
    assert [await store.kept_file(f"/{number}/a") for number in range(1, 5)] == [None, b"2", None, b"4"]
    assert await store.kept_file("/2/more") == b"more"


def test_files_are_kept_in_gzip_and_those_of_before_are_read_as_they_are() -> None:
    body = b"a script " * 1000
    ((sha256, kept),) = rows.new_files({"new": body, "old": b""}, {"old"})
    assert sha256 == "new"
    assert len(kept) < len(body) / 10
    assert rows.file_body([(kept,)]) == rows.file_body([(body,)]) == body
    assert rows.file_body([]) is None
    assert rows.file_body([(b"",)]) == b""
