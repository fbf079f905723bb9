"""PostgreSQL: the same store for several replicas; one of them trains, all hear of new versions."""

# ruff: noqa: S608 - the queries are put together from constants of this module only

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fleetune.version_log import LogEntry
from fleetune_server.store import encoding as rows
from fleetune_server.store.base import (
    Cell,
    CellSum,
    Counts,
    Merge,
    StoredPacket,
    VersionRecord,
    VersionTakenError,
    Withdrawal,
)
from fleetune_server.store.encoding import nonce_ranges
from fleetune_server.store.postgres_connection import CHANNEL, Replicas, as_store_error, migrate, open_pool
from fleetune_server.store.writer import Writer

T = TypeVar("T")
CELL_CACHE = 100_000
# Advisory lock: folding (alone) against inserting (shared), because a nonce on its way from `packets` to
# `nonces` must not be missed by both checks.
_FOLD = 0x666C7403

_CELL = f"""INSERT INTO cells ({rows.CELL}) VALUES ({", ".join(f"${i}" for i in range(1, 10))})
    ON CONFLICT DO NOTHING"""
_INSERT = """INSERT INTO packets (nonce, cell, symbol, heldout, received)
    SELECT n, c, s, h, $5
    FROM unnest($1::bytea[], $2::bigint[], $3::smallint[], $4::boolean[]) AS new (n, c, s, h)
    WHERE NOT EXISTS (SELECT 1 FROM nonces WHERE nonces.nonce = new.n)
    ON CONFLICT DO NOTHING RETURNING nonce"""
_WITHDRAW = """WITH gone AS (DELETE FROM packets WHERE nonce = ANY ($1) RETURNING nonce, received)
    INSERT INTO nonces SELECT nonce, false, received FROM gone RETURNING nonce"""
_REMEMBER = "INSERT INTO nonces VALUES ($1, true, $2) ON CONFLICT DO NOTHING RETURNING true"
_TALLY = """INSERT INTO settings VALUES ($1, '1')
    ON CONFLICT (key) DO UPDATE SET value = (settings.value::bigint + 1)::text"""
_MOVE = """WITH moved AS (
        DELETE FROM packets WHERE received < $1 AND nonce >= $2 AND nonce < $3 RETURNING *),
    kept AS (INSERT INTO nonces SELECT nonce, true, received FROM moved),
    summed AS (
        INSERT INTO aggregates (cell, heldout, count, total, squares)
        SELECT cell, heldout, COUNT(*), SUM(2 * symbol - 63), SUM((2 * symbol - 63) * (2 * symbol - 63))
        FROM moved GROUP BY cell, heldout
        ON CONFLICT (cell, heldout) DO UPDATE SET count = aggregates.count + excluded.count,
            total = aggregates.total + excluded.total, squares = aggregates.squares + excluded.squares)
    SELECT COUNT(*) FROM moved"""


@asynccontextmanager
async def open_postgres(url: str, limit: int) -> AsyncIterator[PostgresStore]:
    """Connect and bring the schema up to date; StoreError if the database cannot be used."""
    with as_store_error():
        pool = await open_pool(url)
    try:
        with as_store_error():
            await migrate(pool)
        store = PostgresStore(url, pool, limit)
        try:
            yield store
        finally:
            await store.close()
    finally:
        pool.terminate()


class PostgresStore:
    """The Store protocol on a PostgreSQL database shared by replicas."""

    def __init__(self, url: str, pool: Any, limit: int) -> None:
        self._pool = pool
        self._replicas = Replicas(url)
        self._connection: Any = None  # of the transaction under way
        self._cells: dict[Cell, int] = {}
        self._writer = Writer(self, limit)

    @property
    def problem(self) -> str | None:
        return self._writer.problem

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    async def append(self, packets: Sequence[StoredPacket]) -> list[bool]:
        return await self._writer.append(packets)

    async def withdraw(self, nonces: Collection[str]) -> Withdrawal:
        wanted = sorted(bytes.fromhex(nonce) for nonce in set(nonces))

        async def work() -> Withdrawal:
            await self._connection.execute(f"SELECT pg_advisory_xact_lock_shared({_FOLD})")
            folded = await self._connection.fetchval(
                "SELECT COUNT(*) FROM nonces WHERE folded AND nonce = ANY ($1)", wanted
            )
            removed = await self._connection.fetch(_WITHDRAW, wanted)
            return Withdrawal(len(removed), folded)

        return await self._writer.change(work)

    async def drop(self, cells: Collection[Cell]) -> int:
        numbers = sorted(rows.cell_id(cell) for cell in set(cells))

        async def work() -> int:
            await self._connection.execute(f"SELECT pg_advisory_xact_lock({_FOLD})")
            dropped = 0
            for number in numbers:
                dropped += await self._connection.fetchval(rows.OF_CELL.format("$1"), number)
                for statement in rows.DROP:
                    await self._connection.execute(statement.format("$1"), number)
            return dropped

        return await self._writer.change(work)

    async def tally(self, nonce: str, key: str) -> bool:
        async def work() -> bool:
            raw = bytes.fromhex(nonce)
            fresh = await self._connection.fetchval(_REMEMBER, raw, rows.arrival())
            if fresh:
                await self._connection.execute(_TALLY, key)
            return bool(fresh)

        return await self._writer.change(work)

    async def counts(self) -> Counts:
        (row,) = await self._read(rows.COUNTS)
        return rows.counts(row)

    async def size(self) -> int:
        (row,) = await self._read("SELECT pg_database_size(current_database())")
        return int(row[0])

    async def sums(self, version: int | None = None) -> list[CellSum]:
        found = await self._read(*rows.sums_query(version, "$1"))
        return await asyncio.to_thread(rows.cell_sums, found)

    async def merge(self, merges: Sequence[Merge]) -> int:
        async def work(some: Sequence[Merge]) -> int:
            self._cells = {}  # some of them go
            await self._connection.execute(f"SELECT pg_advisory_xact_lock({_FOLD})")
            fetch, many = self._connection.fetch, self._connection.executemany
            return await rows.merge(fetch, many, "${}".format, some)

        return sum([await self._writer.change(partial(work, some)) for some in rows.portions(merges)])

    async def fold(self, before: float) -> int:
        folded = 0
        for low, high in nonce_ranges():

            async def work(low: bytes = low, high: bytes = high) -> int:
                await self._connection.execute(f"SELECT pg_advisory_xact_lock({_FOLD})")
                return int(await self._connection.fetchval(_MOVE, before, low, high))

            folded += await self._writer.change(work)
        return folded

    async def forget(self, before: float) -> int:
        async def work() -> int:
            done = await self._connection.execute("DELETE FROM nonces WHERE received < $1", before)
            return int(done.split()[-1])

        return await self._writer.change(work)

    async def save_version(self, record: VersionRecord, blobs: Mapping[str, bytes], keep: int) -> None:
        async def work() -> None:
            await self._connection.execute("LOCK TABLE versions IN EXCLUSIVE MODE")
            if await self._connection.fetchval("SELECT 1 FROM versions WHERE version >= $1", record.version):
                raise VersionTakenError(f"version {record.version} or a later one is published already")
            await self._connection.execute(
                "INSERT INTO versions VALUES ($1, $2, $3, $4, $5)", *rows.version_columns(record)
            )
            run = self._connection.fetch
            added = rows.to_log(await run(rows.LOG_LAST), await run(rows.NOT_LOGGED))
            await self._connection.executemany(rows.TO_LOG.format("$1", "$2", "$3", "$4"), added)
            await self._connection.executemany(
                "INSERT INTO blobs VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [(sha256, record.version, body) for sha256, body in blobs.items()],
            )
            await self._connection.execute(rows.OLD_VERSIONS.format("$1"), keep)
            await self._connection.execute(rows.OLD_BLOBS)
            await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(record.version))

        await self._writer.change(work)

    async def log(self, after: int, most: int) -> list[LogEntry]:
        return rows.log_entries(await self._read(rows.LOG_AFTER.format("$1", "$2"), after, most))

    async def versions(self) -> list[VersionRecord]:
        return rows.version_records(await self._read(rows.VERSIONS))

    async def blob(self, sha256: str) -> bytes | None:
        found = await self._read("SELECT body FROM blobs WHERE sha256 = $1", sha256)
        return found[0][0] if found else None

    async def keep_files(self, edition: str, files: Mapping[str, bytes], keep: int) -> None:
        bodies, named = rows.by_hash(files)

        async def work() -> None:
            run, many = self._connection.execute, self._connection.executemany
            await run("LOCK TABLE editions IN EXCLUSIVE MODE")  # another replica may start, too
            await run(rows.EDITION.format("$1", "$2"), edition, time.time())
            known = {sha256 for (sha256,) in await self._connection.fetch(rows.KNOWN_FILES)}
            await many(rows.FILE.format("$1", "$2"), rows.new_files(bodies, known))
            served = [(address, edition, sha256) for address, sha256 in named.items()]
            await many(rows.SERVED.format("$1", "$2", "$3"), served)
            await run(rows.OLD_SERVED.format("$1"), keep)
            for statement in rows.OLD_FILES:
                await run(statement)

        await self._writer.change(work)

    async def kept_file(self, address: str) -> bytes | None:
        found = await self._read(rows.SERVED_FILE.format("$1"), address)
        return rows.file_body(found)

    async def get(self, key: str) -> Any:
        found = await self._read("SELECT value FROM settings WHERE key = $1", key)
        return json.loads(found[0][0]) if found else None

    async def put(self, key: str, value: Any) -> None:
        await self._writer.change(lambda: self._put(key, value))

    async def entries(self, prefix: str) -> dict[str, Any]:
        return rows.entries(await self._read(rows.ENTRIES.format("$1"), prefix), prefix)

    async def share(self, values: Mapping[str, Any]) -> None:
        async def work() -> None:
            for key, value in values.items():
                if value is None:
                    await self._connection.execute("DELETE FROM settings WHERE key = $1", key)
                else:
                    await self._put(key, value)
            await self._connection.execute("SELECT pg_notify($1, '')", CHANNEL)

        await self._writer.change(work)

    async def lead(self) -> bool:
        return await self._replicas.lead()

    async def listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        await self._replicas.listen(announced)

    async def close(self) -> None:
        await self._writer.close()
        self._replicas.close()

    async def _read(self, query: str, *values: Any) -> list[Any]:
        with as_store_error():
            return list(await self._pool.fetch(query, *values))

    # What the writer task calls, always inside its one transaction.

    async def transact(self, work: Callable[[], Awaitable[T]]) -> T:
        with as_store_error():
            async with self._pool.acquire() as self._connection, self._connection.transaction():
                return await work()

    async def insert(self, packets: Sequence[StoredPacket]) -> list[bool]:
        return await self.transact(lambda: self._insert(packets))

    async def _insert(self, packets: Sequence[StoredPacket]) -> list[bool]:
        await self._connection.execute(f"SELECT pg_advisory_xact_lock_shared({_FOLD})")
        unique: dict[bytes, StoredPacket] = {}
        for packet in packets:
            unique.setdefault(bytes.fromhex(packet.nonce), packet)
        nonces = sorted(unique)  # one order in every replica: no deadlocks
        chosen = [unique[nonce] for nonce in nonces]
        if len(self._cells) >= CELL_CACHE:
            self._cells = {}
        await self._know({packet.cell for packet in chosen if packet.cell not in self._cells})
        cells = [self._cells[packet.cell] for packet in chosen]
        symbols = [packet.symbol for packet in chosen]
        heldout = [packet.heldout for packet in chosen]
        inserted = await self._connection.fetch(_INSERT, nonces, cells, symbols, heldout, rows.arrival())
        fresh = {row[0] for row in inserted}
        result = []
        for packet in packets:
            nonce = bytes.fromhex(packet.nonce)
            result.append(nonce in fresh)
            fresh.discard(nonce)  # a second copy in the same group is a duplicate
        return result

    async def probe(self) -> None:
        await self._put("probe", time.time())

    async def _put(self, key: str, value: Any) -> None:
        await self._connection.execute(
            "INSERT INTO settings VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            json.dumps(value),
        )

    async def _know(self, cells: Collection[Cell]) -> None:
        # Outside the transaction: a cell that nothing refers to does no harm, and the cache stays true.
        if not cells:
            return
        async with self._pool.acquire() as connection:
            await connection.executemany(_CELL, sorted(map(rows.cell_columns, cells)))
        self._cells |= {cell: rows.cell_id(cell) for cell in cells}
