"""Opens the store that a setting names: to serve from, or to read all of its sums at once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from fleetune_server.settings import Settings, SettingsError
from fleetune_server.store import encoding as rows
from fleetune_server.store import sqlite_file
from fleetune_server.store.base import CellSum, Store, StoreError
from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.store.sqlite_file import BUSY_SECONDS


def is_postgres(url: str) -> bool:
    """Whether FLEETUNE_STORE names a PostgreSQL database; otherwise it is the path of an SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))


def only_server(settings: Settings) -> AbstractContextManager[None]:
    """Be the one server of an SQLite file; replicas share a PostgreSQL database."""
    return (
        nullcontext()
        if is_postgres(settings.store_url)
        else sqlite_file.only_server(Path(settings.store_url))
    )


def open_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """The store at FLEETUNE_STORE; raises StoreError on entry if it cannot be used."""
    url = settings.store_url
    if not is_postgres(url):
        return open_sqlite(Path(url), settings.queue_packets, settings.check_seconds)
    try:
        from fleetune_server.store.postgres import open_postgres  # asyncpg is an optional extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FLEETUNE_STORE: {error.name} is missing: pip install fleetune[postgres]"
        ) from error
    return open_postgres(url, settings.queue_packets)


def read_sums(url: str) -> list[CellSum]:
    """What `Store.sums` answers."""
    return _read(url, rows.SUMS)


def read_folded(url: str) -> list[CellSum]:
    """Without what can still be withdrawn."""
    return _read(url, rows.FOLDED)


def _read(url: str, query: str) -> list[CellSum]:
    if is_postgres(url):
        return rows.cell_sums(asyncio.run(_fetch(url, query)))
    # Read-only: such a connection never takes the log away when it closes, whoever else it believes to be there.
    address = f"{Path(url).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
            return rows.cell_sums(connection.execute(query))
    except sqlite3.Error as error:
        raise StoreError(str(error)) from error


async def _fetch(url: str, query: str) -> list[Any]:
    from fleetune_server.store import postgres_connection  # asyncpg is an optional extra

    with postgres_connection.as_store_error():
        connection = await postgres_connection.connect(url)
        try:
            return list(await connection.fetch(query))
        finally:
            connection.terminate()
