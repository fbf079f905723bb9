"""The way to a PostgreSQL database: connections, what goes wrong on them, the schema, and replicas that share it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg

from fleetune_server.common.logs import Condition
from fleetune_server.store import schema
from fleetune_server.store.base import StoreError

log = logging.getLogger(__name__)
COMMAND_SECONDS = 30.0
SCHEMA_LOCK = 0x666C7401  # advisory: one replica at a time changes the schema
CHANNEL = "fleetune_version"
TRAINER_LOCK = 0x666C7402  # advisory: whoever holds it trains
RECONNECT_SECONDS = 1.0
ALIVE_SECONDS = 5.0  # between checks that the listening connection still lives
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
            await connection.execute(schema.LEDGER)
        applied = {row[0] for row in await connection.fetch("SELECT name FROM migrations")}
        for migration in schema.outstanding(applied):
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
                answers = {query: await connection.fetch(query) for query in schema.QUERIES}
        finally:
            connection.terminate()
    return risky + schema.violations(answers.__getitem__)


class Replicas:
    """This process among the others."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._deaf = Condition(log, "not listening for versions")
        self._leading: Any = None  # the connection that holds the trainer's lock

    async def lead(self) -> bool:
        """The trainer's lock lives as long as its connection: when this process dies, another one gets it."""
        if self._leading is not None:
            try:
                await self._leading.execute("SELECT 1")
                return True
            except FAILURES:
                self._leading.terminate()
                self._leading = None
        with as_store_error():
            connection = await connect(self._url)
            if await connection.fetchval(f"SELECT pg_try_advisory_lock({TRAINER_LOCK})"):
                self._leading = connection
            else:
                await connection.close()
        return self._leading is not None

    async def listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        """Until cancelled; reconnects, and then tells the newest version in case one was missed."""
        while True:
            try:
                await self._listen(announced)
            except (*FAILURES, StoreError) as error:
                self._deaf.holds(str(error) or type(error).__name__, logging.WARNING)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        connection = await connect(self._url)
        try:
            wake = asyncio.Event()
            await connection.add_listener(CHANNEL, lambda *_: wake.set())
            self._deaf.ended("listening for versions again")
            told_of = 0
            while True:
                woken = wake.is_set()
                wake.clear()
                newest = await connection.fetchval("SELECT COALESCE(MAX(version), 0) FROM versions")
                if woken or newest > told_of:
                    told_of = newest
                    await announced(newest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), ALIVE_SECONDS)
        finally:
            connection.terminate()

    def close(self) -> None:
        """Let go of the lock."""
        if self._leading is not None:
            self._leading.terminate()
