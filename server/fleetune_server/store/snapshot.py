"""All sums of a store, read by a process that is not its server: a million cells would hold up the server's loop."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from fleetune_server.store import encoding as rows
from fleetune_server.store.base import CellSum, StoreError
from fleetune_server.store.opening import is_postgres
from fleetune_server.store.sqlite_file import BUSY_SECONDS


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
