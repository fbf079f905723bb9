"""`fleetune db`: back the database up, put a backup in its place, check what must hold in it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import time
from pathlib import Path

from fleetune_server.settings import Settings
from fleetune_server.store import sqlite_file
from fleetune_server.store.base import RESTORED, StoreError, after_restore
from fleetune_server.store.opening import is_postgres, open_store

BACKUP = 'umask 077 && pg_dump --format=custom --file={file} "$FLEETUNE_STORE"'
RESTORE = 'pg_restore --clean --if-exists --no-owner --single-transaction --dbname="$FLEETUNE_STORE" {file}'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """backup, restore, check, restored, move."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    backup = actions.add_parser("backup", help="copy the database, also under load, to a new private file")
    backup.add_argument("file", type=Path)
    restore = actions.add_parser("restore", help="put a backup in the place of the database (server stopped)")
    restore.add_argument("file", type=Path)
    moved = actions.add_parser("move", help="copy the SQLite file (server stopped) into an empty PostgreSQL")
    moved.add_argument("url", help="postgresql://…; FLEETUNE_STORE names it from then on")
    check_parser = actions.add_parser("check", help="say what is wrong with the database or a backup of it")
    actions.add_parser("restored", help="say that PostgreSQL's own tools restored the database")
    check_parser.add_argument("file", type=Path, nargs="?", help="a backup; without it, the database itself")


def run(args: argparse.Namespace) -> int:
    """0: done, sound; 1: refused or not sound, with the reasons."""
    settings = Settings.from_env(os.environ)
    try:
        if args.action == "restored":
            asyncio.run(_restored(settings))
            return 0
        if args.action == "move":
            return _move(settings.store_url, args.url)
        if is_postgres(settings.store_url) and args.file is None:
            return _told(asyncio.run(_check_postgres(settings.store_url)), "the PostgreSQL database")
        if is_postgres(settings.store_url) and args.action != "check":
            command = BACKUP if args.action == "backup" else RESTORE
            then = "" if args.action == "backup" else ", and `fleetune db restored` after it"
            raise StoreError(
                f"PostgreSQL has its own tools for this; run this{then}:\n  " + command.format(file=args.file)
            )
        return _run(args, Path(settings.store_url))
    except (StoreError, sqlite3.Error, OSError) as error:
        print(f"fleetune db: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, database: Path) -> int:
    if args.action == "check":
        path = args.file or database
        _must_exist(path)
        return _told(sqlite_file.check(path), str(path))
    if args.action == "backup":
        _must_exist(database)
        sqlite_file.backup(database, args.file)
        print(f"{database} is backed up in {args.file}; its signing keys are files of their own, beside it")
        return 0
    _must_exist(args.file)
    aside = sqlite_file.restore(args.file, database)
    print(f"{database} is {args.file} now" + (f"; what it was before is {aside}" if aside else ""))
    return 0


def _move(source: str, url: str) -> int:
    if is_postgres(source) or not is_postgres(url):
        raise StoreError("move goes from the SQLite file of FLEETUNE_STORE to a postgresql:// address")
    from fleetune_server.store.move import move  # asyncpg is an optional extra

    _must_exist(Path(source))
    for table, count in asyncio.run(move(Path(source), url)).items():
        print(f"{count:>12,}  {table}")
    print(f"all rows arrived and are equal; {source} is as it was. Set FLEETUNE_STORE and start the server;")
    print("signing keys and tokens stay in FLEETUNE_DATA.")
    return 0


async def _restored(settings: Settings) -> None:
    """The next version gets a number that no client can know."""
    async with open_store(settings) as store:
        for record in (await store.versions())[-1:]:
            await store.share({RESTORED: after_restore(record.version, record.created, time.time())})


async def _check_postgres(url: str) -> list[str]:
    from fleetune_server.store.postgres_connection import check as check_postgres

    return await check_postgres(url)


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"{path}: no such file")


def _told(problems: list[str], what: str) -> int:
    if not problems:
        print(f"{what} is sound")
    for problem in problems:
        print(f"{what}: {problem}", file=sys.stderr)
    return 1 if problems else 0
