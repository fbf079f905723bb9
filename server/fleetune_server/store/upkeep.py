"""Backup and restoring of an SQLite database: nothing is overwritten, nothing half done stays."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from fleetune_server.common import private_file
from fleetune_server.store.base import RESTORED, StoreError, after_restore
from fleetune_server.store.sqlite_file import PRAGMAS, check, connect, copy, lock_database, upgrade


def backup(database: Path, target: Path) -> None:
    """A sound, private, durable copy of a database that may be in use; StoreError if `target` exists."""
    if target.exists():
        raise StoreError(f"{target} exists; a backup overwrites nothing")
    with private_file.replaced(target) as draft:
        copy(database, draft)
        _sound(draft, database)


def restore(source: Path, database: Path) -> Path | None:
    """Put a copy of `source`, brought up to date, in the place of `database`; where the old one is now.

    A copy is migrated and checked before anything moves. Refuses while anyone uses the database. Whenever
    this is interrupted, `database` is the old one or the new one.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with lock_database(database, alone=True), private_file.replaced(database) as draft:
        copy(source, draft)
        upgrade(draft)
        _remember(draft)
        _log_again(draft)
        return _set_aside(database)


def _remember(path: Path) -> None:
    """That this came from a backup: the next version needs a number that no client can know."""
    with closing(connect(path)) as connection:
        newest = connection.execute("SELECT version, created FROM versions ORDER BY version DESC LIMIT 1")
        for version, created in newest.fetchall():
            value = json.dumps(after_restore(version, created, time.time()))
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (RESTORED, value))


def _sound(path: Path, origin: Path) -> None:
    problems = check(path)
    if problems:
        raise StoreError(f"{origin} is not sound: {'; '.join(problems)}")


def _log_again(path: Path) -> None:
    """Prepared for a server; a log that is empty leaves no file."""
    with closing(connect(path)) as connection:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")


def _set_aside(database: Path) -> Path | None:
    if not database.exists():
        return None
    _finish_log(database)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = database.with_name(f"{database.name}.replaced-{stamp}")
    try:
        os.link(database, aside)  # both names until the new file takes the first one
    except FileExistsError:
        raise StoreError(f"{aside} exists; try again in a second") from None
    except OSError:  # a file system without links
        shutil.copy2(database, aside)
    for suffix in ("-wal", "-shm"):  # only left of a file that is broken: they must not meet the new one
        rest = database.with_name(database.name + suffix)
        if rest.exists():
            rest.rename(aside.with_name(aside.name + suffix))
    private_file.sync_folder(database.parent)
    return aside


def _finish_log(database: Path) -> None:
    """Write the log of a server that was killed into its file, so that the file is whole by itself."""
    try:
        with closing(connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:  # broken: that may be why something is restored; the log goes aside with it
        return
