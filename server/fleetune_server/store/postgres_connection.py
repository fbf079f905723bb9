"""The way to a PostgreSQL database: connections, what goes wrong on them, and the schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from fleetune_server.store import migrations
from fleetune_server.store.base import StoreError
from fleetune_server.store.invariants import QUERIES, violations

COMMAND_SECONDS = 30.0
SCHEMA_LOCK = 0x666C7401  # advisory: one replica at a time changes the schema
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@contextmanager
def as_store_error() -> Iterator[None]:
    """What the database or the way to it says becomes a StoreError."""
    try:
        yield
    except FAILURES as error:
        raise StoreError(str(error) or type(error).__name__) from error


async def connect(url: str) -> Any:
    """One connection of its own."""
    return await asyncpg.connect(url, command_timeout=COMMAND_SECONDS)


async def open_pool(url: str) -> Any:
    """Connections for statements that need none in particular."""
    return await asyncpg.create_pool(url, min_size=2, max_size=6, command_timeout=COMMAND_SECONDS)


async def migrate(pool: Any) -> None:
    """Bring the schema up to date in one transaction: a step that fails leaves nothing behind."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
        # IF NOT EXISTS would tell the client, at every start, that the table exists.
        if not await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
            await connection.execute(migrations.LEDGER)
        applied = {row[0] for row in await connection.fetch("SELECT name FROM migrations")}
        for migration in migrations.outstanding(applied):
            for statement in migration.postgres:
                await connection.execute(statement)
            await connection.execute("INSERT INTO migrations VALUES ($1)", migration.name)


async def check(url: str) -> list[str]:
    """What is wrong with a database, in words: our own invariants, and settings that give up durability."""
    with as_store_error():
        connection = await connect(url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                risky = [
                    f"{name} is off: a power cut can lose what was acknowledged"
                    for name in ("fsync", "full_page_writes", "synchronous_commit")
                    if await connection.fetchval("SELECT current_setting($1)", name) == "off"
                ]
                answers = {query: await connection.fetch(query) for query in QUERIES}
        finally:
            connection.terminate()
    return risky + violations(answers.__getitem__)
