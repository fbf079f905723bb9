"""The SQLite file itself: who holds it, how it is opened, judged, brought up to date, backed up and restored."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fleetune_server.common import private_file
from fleetune_server.store import schema
from fleetune_server.store.base import RESTORED, StoreError, after_restore

try:
    import fcntl
except ModuleNotFoundError:  # Windows: there, open files cannot be replaced anyway
    fcntl = None  # type: ignore[assignment]

BUSY_SECONDS = 5.0  # another process may hold the file so long

# Nonces are random, so every packet changes a page of its own: small pages are less to write twice, and a
# long log lets changes of the same page meet before they are written back. Older files keep their page size.
# The cache (64 MB at most) holds those of about a million packets: else each is read anew.
PRAGMAS = (
    "page_size=1024",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "wal_autocheckpoint=16000",
    "journal_size_limit=1000000",  # bytes: a large transaction leaves no large log behind
    "cache_size=-65536",
)


@contextmanager
def lock_database(path: Path, alone: bool = False) -> Iterator[None]:
    """Use the database at `path` beside others, or alone; StoreError if that cannot be now.

    A lock of the system on a file beside it: gone with the process that held it, however that ended.
    """
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = "a running server or command uses it" if alone else "it is being restored"
            raise StoreError(f"{path}: {reason}") from error
        yield
    finally:
        os.close(descriptor)


class InUseError(StoreError):
    """Another server has this file."""


@contextmanager
def only_server(path: Path) -> Iterator[None]:
    """Be the one server of this file; commands may use it beside. InUseError if there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(path.name + ".server"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = (
                "stop it, or give this one another FLEETUNE_DATA; several servers share a PostgreSQL database"
            )
            raise InUseError(f"{path}: a server uses it already: {remedy}") from error
        yield
    finally:
        os.close(descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that exists; every statement commits for itself."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def prepare(path: Path) -> None:
    """Create the file, or bring its schema up to date once that went well on a copy of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(connect(path)) as connection:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        applied = _applied(connection)
        if applied and schema.outstanding(applied):
            with private_copy(path, path.with_name(f"{path.name}.rehearsal")) as rehearsal:
                upgrade(rehearsal)
        migrate(connection)


def upgrade(path: Path) -> None:
    """Migrate a copy; StoreError if a step fails or what comes out is not sound."""
    try:
        with closing(connect(path)) as connection:
            migrate(connection)
    except sqlite3.Error as error:
        raise StoreError(f"the schema cannot be brought up to date: {error}") from error
    problems = check(path)
    if problems:
        raise StoreError(f"brought up to date, it would not be sound: {'; '.join(problems)}")


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is outstanding, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(schema.LEDGER)
        for migration in schema.outstanding(_applied(connection)):
            for statement in migration.sqlite:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?)", (migration.name,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _applied(connection: sqlite3.Connection) -> set[str]:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    return {name for (name,) in connection.execute("SELECT name FROM migrations")} if known else set()


@contextmanager
def private_copy(source: Path, target: Path) -> Iterator[Path]:
    """A copy of a database in use, one file, readable by us only; gone after the block unless moved."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        copy(source, target)
        yield target
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)


def copy(source: Path, target: Path) -> None:
    """Copy a database, also one in use, into an empty file by SQLite's online backup: one snapshot."""
    with closing(connect(source)) as original, closing(connect(target)) as duplicate:
        original.backup(duplicate, pages=-1)  # in one step: writers go on in the log, nothing starts anew
        duplicate.execute("PRAGMA journal_mode=DELETE")  # one file, with no log beside it


def check(path: Path) -> list[str]:
    """What is wrong with a database, in words: the file's structure, references, and our own invariants."""
    try:
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")  # one snapshot, also of a database in use
            structure = [text for (text,) in connection.execute("PRAGMA integrity_check")]
            if structure != ["ok"]:
                return structure
            lost = len(connection.execute("PRAGMA foreign_key_check").fetchall())
            dangling = [f"{lost:,} rows refer to what is not there"] if lost else []
            return dangling + schema.violations(lambda query: connection.execute(query))
    except sqlite3.Error as error:
        return [str(error)]


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
