"""From SQLite to PostgreSQL: one transaction, read back and compared before it is committed."""

# ruff: noqa: S608 - the queries are put together from constants of this module only

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from fleetune_server.store import encoding as rows
from fleetune_server.store.base import StoreError
from fleetune_server.store.postgres_connection import as_store_error, migrate, open_pool
from fleetune_server.store.sqlite_file import connect, lock_database, private_copy, upgrade

CHUNK = 10_000  # rows in memory


@dataclass(frozen=True)
class Table:
    """A table of the schema; `flags` are its columns that SQLite keeps as 0 and 1."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    flags: tuple[str, ...] = ()


# Referred to before referring.
TABLES = (
    Table("cells", tuple(rows.CELL.split(", ")), ("id",)),
    Table("packets", ("nonce", "cell", "symbol", "heldout", "received"), ("nonce",), ("heldout",)),
    Table("nonces", ("nonce", "folded", "received"), ("nonce",), ("folded",)),
    Table("aggregates", ("cell", "heldout", "count", "total", "squares"), ("cell", "heldout"), ("heldout",)),
    Table("versions", ("version", "sha256", "clip", "created", "document"), ("version",)),
    Table("blobs", ("sha256", "version", "body"), ("sha256",)),
    Table("log", ("version", "sha256", "created", "previous"), ("version",)),
    Table("settings", ("key", "value"), ("key",)),
    Table("editions", ("edition", "started"), ("edition",)),
    Table("files", ("sha256", "body"), ("sha256",)),
    Table("served", ("address", "edition", "sha256"), ("address", "edition")),
)


async def move(source: Path, url: str) -> dict[str, int]:
    """Copy all that a stopped server's SQLite file holds into an empty PostgreSQL database; rows by table.

    The source is not changed: a copy of it, brought up to date and checked, is read. StoreError if a server
    uses it, the target holds anything, or what arrived is not what was sent; then the target is as before,
    and the same command may be given again.
    """
    with (
        lock_database(source, alone=True),
        private_copy(source, source.with_name(f"{source.name}.moving")) as copied,
    ):
        upgrade(copied)
        with closing(connect(copied)) as origin, as_store_error():
            pool = await open_pool(url)
            try:
                await migrate(pool)
            finally:
                pool.terminate()
            target = await asyncpg.connect(url)  # no time limit: a large table takes what it takes
            try:
                return await _copy(origin, target)
            finally:
                target.terminate()


async def _copy(origin: sqlite3.Connection, target: Any) -> dict[str, int]:
    moved = {}
    async with target.transaction():
        await target.execute(
            f"LOCK TABLE {', '.join(table.name for table in TABLES)} IN ACCESS EXCLUSIVE MODE"
        )
        for table in TABLES:
            if await target.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table.name})"):
                raise StoreError(f"the target's table {table.name} is not empty: name an empty database")
        for table in TABLES:
            sent = Sum()
            for chunk in _chunks(origin, table):
                sent.add(chunk)
                await target.copy_records_to_table(table.name, records=chunk, columns=table.columns)
            arrived = Sum()
            async for record in target.cursor(_ordered(table, ' COLLATE "C"'), prefetch=CHUNK):
                arrived.add([tuple(record)])
            if arrived.value != sent.value:
                raise StoreError(
                    f"table {table.name}: {sent.count:,} rows were sent and {arrived.count:,} arrived, or "
                    "they differ; nothing was kept"
                )
            moved[table.name] = sent.count
    return moved


class Sum:
    """How many rows there are, and a SHA-256 over them in the order of their key."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = hashlib.sha256()

    def add(self, found: Iterable[Sequence[Any]]) -> None:
        for row in found:
            self.count += 1
            self._digest.update(repr(row).encode())

    @property
    def value(self) -> tuple[int, bytes]:
        """Equal if the rows are."""
        return self.count, self._digest.digest()


def _ordered(table: Table, collation: str = "") -> str:
    text = ("sha256", "key", "edition", "address")  # PostgreSQL may order text by a language
    key = ", ".join(column + collation * (column in text) for column in table.key)
    return f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {key}"


def _chunks(origin: sqlite3.Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    flags = [table.columns.index(flag) for flag in table.flags]
    cursor = origin.execute(_ordered(table))
    while found := cursor.fetchmany(CHUNK):
        yield [_as_booleans(row, flags) for row in found]


def _as_booleans(row: Sequence[Any], flags: Sequence[int]) -> tuple[Any, ...]:
    return tuple(bool(value) if i in flags else value for i, value in enumerate(row))
