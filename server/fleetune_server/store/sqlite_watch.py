"""Looks for damage in a database file that is in use: what SQLite holds in memory can hide it for days."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fleetune_server.store.sqlite_file import connect


async def watch(path: Path, seconds: float, damaged: Callable[[str], None]) -> None:
    """Check every so often (0: never), reading the whole file beside the writer; tell of damage once."""
    while seconds:
        await asyncio.sleep(seconds)
        problem = await asyncio.to_thread(damage, path)
        if problem:
            damaged(
                f"the database is damaged ({problem}): stop the server and restore a backup (fleetune db)"
            )
            return


def damage(path: Path) -> str | None:
    """The first thing that is wrong with the file's structure, read anew from the disk.

    A file that cannot be read at present (locked, or the disk fails) is no answer: None.
    """
    try:
        with closing(connect(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else str(found).splitlines()[-1]
