"""SQLite: WAL, fsync on every commit, one writing and one reading connection."""

# ruff: noqa: S608 - the queries are put together from constants of this module only

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from fleetune.version_log import LogEntry
from fleetune_server.store import encoding as rows
from fleetune_server.store.base import (
    Cell,
    CellSum,
    Counts,
    Merge,
    StoredPacket,
    StoreError,
    VersionRecord,
    VersionTakenError,
    Withdrawal,
)
from fleetune_server.store.encoding import nonce_ranges
from fleetune_server.store.sqlite_file import BUSY_SECONDS, PRAGMAS, lock_database, prepare, watch
from fleetune_server.store.writer import Writer

T = TypeVar("T")
Statements = list[tuple[str, list[Any]]]  # and their values
CELL_CACHE = 20_000
CHUNK = 1000  # rows of one statement

_KNOWN = (
    "SELECT nonce FROM packets WHERE nonce IN ({0}) UNION ALL SELECT nonce FROM nonces WHERE nonce IN ({0})"
)
_CELLS = f"INSERT INTO cells ({rows.CELL}) VALUES {{0}} ON CONFLICT DO NOTHING"
_PACKETS = "INSERT INTO packets VALUES {0}"

_RANGE = "received < ?1 AND nonce >= ?2 AND nonce < ?3"
_TALLY = """INSERT INTO settings VALUES (?, '1')
    ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)"""
_FOLD = (
    f"""INSERT INTO aggregates (cell, heldout, count, total, squares)
        SELECT cell, heldout, COUNT(*), SUM(2 * symbol - 63), SUM((2 * symbol - 63) * (2 * symbol - 63))
        FROM packets WHERE {_RANGE} GROUP BY cell, heldout
        ON CONFLICT (cell, heldout) DO UPDATE SET count = count + excluded.count,
            total = total + excluded.total, squares = squares + excluded.squares""",
    f"INSERT INTO nonces (nonce, folded, received) SELECT nonce, 1, received FROM packets WHERE {_RANGE}",
    f"DELETE FROM packets WHERE {_RANGE}",
)


@asynccontextmanager
async def open_sqlite(path: Path, limit: int, check_seconds: float = 0) -> AsyncIterator[SqliteStore]:
    """Open or create the file and bring its schema up to date; StoreError if it cannot be used.

    Its structure is checked every `check_seconds` (0: never); a damaged file is read from, but takes
    nothing more.
    """
    connect = partial(aiosqlite.connect, path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock_database(path):
            await asyncio.to_thread(prepare, path)
            async with connect() as writing, connect() as reading:
                for pragma in PRAGMAS:
                    await writing.execute_fetchall(f"PRAGMA {pragma}")
                await reading.execute_fetchall("PRAGMA query_only=ON")
                store = SqliteStore(writing, reading, limit)
                watching = asyncio.create_task(watch(path, check_seconds, store.damaged))
                try:
                    yield store
                finally:
                    watching.cancel()
                    await store.close()
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


class SqliteStore:
    """The Store protocol on one SQLite file."""

    def __init__(self, writing: aiosqlite.Connection, reading: aiosqlite.Connection, limit: int) -> None:
        self._writing = writing
        self._reading = reading
        self._cells: dict[Cell, int] = {}  # committed ones, with their ids
        self._writer = Writer(self, limit)

    def damaged(self, reason: str) -> None:
        """Take nothing more until the next start."""
        self._writer.damaged(reason)

    @property
    def problem(self) -> str | None:
        return self._writer.problem

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    async def append(self, packets: Sequence[StoredPacket]) -> list[bool]:
        return await self._writer.append(packets)

    async def withdraw(self, nonces: Collection[str]) -> Withdrawal:
        wanted = [bytes.fromhex(nonce) for nonce in set(nonces)]

        async def work() -> Withdrawal:
            folded = await self._among("SELECT nonce FROM nonces WHERE folded AND nonce IN ({0})", wanted)
            removed = await self._among("SELECT nonce, received FROM packets WHERE nonce IN ({0})", wanted)
            gone = [row[:1] for row in removed]
            await self._writing.executemany("DELETE FROM packets WHERE nonce = ?", gone)
            await self._writing.executemany("INSERT INTO nonces VALUES (?, 0, ?)", removed)
            return Withdrawal(len(removed), len(folded))

        return await self._writer.change(work)

    async def drop(self, cells: Collection[Cell]) -> int:
        numbers = [(rows.cell_id(cell),) for cell in set(cells)]

        async def work() -> int:
            dropped = 0
            for number in numbers:
                (found,) = await self._writing.execute_fetchall(rows.OF_CELL.format("?1"), number)
                dropped += found[0]
            for statement in rows.DROP:
                await self._writing.executemany(statement.format("?1"), numbers)
            return dropped

        return await self._writer.change(work)

    async def tally(self, nonce: str, key: str) -> bool:
        async def work() -> bool:
            raw = bytes.fromhex(nonce)
            if await self._among(_KNOWN, [raw]):
                return False
            await self._writing.execute_fetchall("INSERT INTO nonces VALUES (?, 1, ?)", (raw, rows.arrival()))
            await self._writing.execute_fetchall(_TALLY, (key,))
            return True

        return await self._writer.change(work)

    async def counts(self) -> Counts:
        (row,) = await self._read(rows.COUNTS)
        return rows.counts(row)

    async def size(self) -> int:
        (row,) = await self._read("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return int(row[0])

    async def sums(self, version: int | None = None) -> list[CellSum]:
        found = await self._read(*rows.sums_query(version, "?1"))
        return await asyncio.to_thread(rows.cell_sums, found)

    async def merge(self, merges: Sequence[Merge]) -> int:
        async def work(some: Sequence[Merge]) -> int:
            self._cells = {}  # some of them go
            run, many = self._writing.execute_fetchall, self._writing.executemany
            return await rows.merge(run, many, "?{}".format, some)

        return sum([await self._writer.change(partial(work, some)) for some in rows.portions(merges)])

    async def fold(self, before: float) -> int:
        folded = 0
        for low, high in nonce_ranges():

            async def work(span: tuple[float, bytes, bytes] = (before, low, high)) -> int:
                for statement in _FOLD[:-1]:
                    await self._writing.execute_fetchall(statement, span)
                async with self._writing.execute(_FOLD[-1], span) as cursor:
                    return cursor.rowcount

            folded += await self._writer.change(work)
        return folded

    async def forget(self, before: float) -> int:
        async def work() -> int:
            async with self._writing.execute("DELETE FROM nonces WHERE received < ?", (before,)) as cursor:
                return cursor.rowcount

        return await self._writer.change(work)

    async def save_version(self, record: VersionRecord, blobs: Mapping[str, bytes], keep: int) -> None:
        async def work() -> None:
            run, many = self._writing.execute_fetchall, self._writing.executemany
            if await run("SELECT 1 FROM versions WHERE version >= ?", (record.version,)):
                raise VersionTakenError(f"version {record.version} or a later one is published already")
            await run("INSERT INTO versions VALUES (?, ?, ?, ?, ?)", rows.version_columns(record))
            added = rows.to_log(await run(rows.LOG_LAST), await run(rows.NOT_LOGGED))
            await many(rows.TO_LOG.format(*"????"), added)
            files = [(sha256, record.version, body) for sha256, body in blobs.items()]
            await many("INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", files)
            await run(rows.OLD_VERSIONS.format("?"), (keep,))
            await run(rows.OLD_BLOBS)

        await self._writer.change(work)

    async def log(self, after: int, most: int) -> list[LogEntry]:
        return rows.log_entries(await self._read(rows.LOG_AFTER.format("?", "?"), after, most))

    async def versions(self) -> list[VersionRecord]:
        return rows.version_records(await self._read(rows.VERSIONS))

    async def blob(self, sha256: str) -> bytes | None:
        found = await self._read("SELECT body FROM blobs WHERE sha256 = ?", sha256)
        return found[0][0] if found else None

    async def keep_files(self, edition: str, files: Mapping[str, bytes], keep: int) -> None:
        bodies, named = rows.by_hash(files)

        async def work() -> None:
            run, many = self._writing.execute_fetchall, self._writing.executemany
            await run(rows.EDITION.format("?", "?"), (edition, time.time()))
            known = {sha256 for (sha256,) in await run(rows.KNOWN_FILES)}
            await many(rows.FILE.format("?", "?"), rows.new_files(bodies, known))
            served = [(address, edition, sha256) for address, sha256 in named.items()]
            await many(rows.SERVED.format("?", "?", "?"), served)
            await run(rows.OLD_SERVED.format("?"), (keep,))
            for statement in rows.OLD_FILES:
                await run(statement)

        await self._writer.change(work)

    async def kept_file(self, address: str) -> bytes | None:
        found = await self._read(rows.SERVED_FILE.format("?"), address)
        return rows.file_body(found)

    async def get(self, key: str) -> Any:
        found = await self._read("SELECT value FROM settings WHERE key = ?", key)
        return json.loads(found[0][0]) if found else None

    async def put(self, key: str, value: Any) -> None:
        await self._writer.change(lambda: self._put(key, value))

    async def entries(self, prefix: str) -> dict[str, Any]:
        return rows.entries(await self._read(rows.ENTRIES.format("?1"), prefix), prefix)

    async def share(self, values: Mapping[str, Any]) -> None:
        async def work() -> None:
            for key, value in values.items():
                if value is None:
                    await self._writing.execute_fetchall("DELETE FROM settings WHERE key = ?", (key,))
                else:
                    await self._put(key, value)

        await self._writer.change(work)

    async def lead(self) -> bool:
        return True  # one file, one process

    async def listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        """Nobody else publishes into this file."""

    async def close(self) -> None:
        await self._writer.close()

    async def _read(self, query: str, *values: Any) -> list[Any]:
        try:
            return list(await self._reading.execute_fetchall(query, values))
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    # What the writer task calls, always inside its one transaction.

    async def transact(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            await self._writing.execute("BEGIN IMMEDIATE")
            result = await work()
            await self._writing.execute("COMMIT")
        except BaseException as error:
            if self._writing.in_transaction:
                await self._writing.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreError(str(error)) from error
            raise
        return result

    async def insert(self, packets: Sequence[StoredPacket]) -> list[bool]:
        try:
            fresh, cells, statements = await self._planned(packets)
            if len(statements) == 1:  # a transaction of its own
                await self._writing.execute_fetchall(*statements[0])
            elif statements:
                await self.transact(lambda: self._run(statements))
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        if len(self._cells) >= CELL_CACHE:
            self._cells = {}
        self._cells |= cells
        return fresh

    async def _planned(
        self, packets: Sequence[StoredPacket]
    ) -> tuple[list[bool], dict[Cell, int], Statements]:
        """Which packets are new, the cells that were not known before with their ids, and what adds both."""
        nonces = [bytes.fromhex(packet.nonce) for packet in packets]
        seen = {nonce for (nonce,) in await self._among(_KNOWN, nonces)}
        fresh: list[bool] = []
        added: list[tuple[Any, ...]] = []
        cells: dict[Cell, int] = {}
        now = rows.arrival()
        for packet, nonce in zip(packets, nonces, strict=True):
            fresh.append(nonce not in seen)
            if fresh[-1]:
                seen.add(nonce)
                number = self._cells.get(packet.cell) or cells.get(packet.cell)
                if number is None:
                    number = cells[packet.cell] = rows.cell_id(packet.cell)
                added.append((nonce, number, packet.symbol, int(packet.heldout), now))
        columns = [rows.cell_columns(cell) for cell in cells]
        return fresh, cells, [*_statements(_CELLS, columns), *_statements(_PACKETS, added)]

    async def _run(self, statements: Statements) -> None:
        for statement in statements:
            await self._writing.execute_fetchall(*statement)

    async def probe(self) -> None:
        await self._put("probe", time.time())

    async def _among(self, query: str, nonces: Sequence[bytes]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(nonces), CHUNK):
            chunk = nonces[start : start + CHUNK]
            places = ",".join(f"?{number}" for number in range(1, len(chunk) + 1))
            found += map(tuple, await self._writing.execute_fetchall(query.format(places), chunk))
        return found

    async def _put(self, key: str, value: Any) -> None:
        await self._writing.execute_fetchall(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, json.dumps(value)),
        )


def _statements(template: str, added: Sequence[tuple[Any, ...]]) -> Statements:
    """Few statements for many rows: `executemany` would wait for the interpreter's lock at each row."""
    chunks = [added[start : start + CHUNK] for start in range(0, len(added), CHUNK)]
    return [
        (template.format(",".join([f"({','.join('?' * len(chunk[0]))})"] * len(chunk))), list(chain(*chunk)))
        for chunk in chunks
    ]
