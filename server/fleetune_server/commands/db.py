"""`fleetune db`: back the database up, put a backup in its place, check what must hold in it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from fleetune_server.settings import Settings
from fleetune_server.store import upkeep
from fleetune_server.store.base import StoreError
from fleetune_server.store.sqlite_file import check
from fleetune_server.stores import is_postgres

BACKUP = 'umask 077 && pg_dump --format=custom --file={file} "$FLEETUNE_STORE"'
RESTORE = 'pg_restore --clean --if-exists --no-owner --single-transaction --dbname="$FLEETUNE_STORE" {file}'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """backup, restore, check."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    backup = actions.add_parser("backup", help="copy the database, also under load, to a new private file")
    backup.add_argument("file", type=Path)
    restore = actions.add_parser("restore", help="put a backup in the place of the database (server stopped)")
    restore.add_argument("file", type=Path)
    check_parser = actions.add_parser("check", help="say what is wrong with the database or a backup of it")
    check_parser.add_argument("file", type=Path, nargs="?", help="a backup; without it, the database itself")


def run(args: argparse.Namespace) -> int:
    """0: done, sound; 1: refused or not sound, with the reasons."""
    settings = Settings.from_env(os.environ)
    try:
        if is_postgres(settings.store_url) and args.file is None:
            return _told(asyncio.run(_check_postgres(settings.store_url)), "the PostgreSQL database")
        if is_postgres(settings.store_url) and args.action != "check":
            command = BACKUP if args.action == "backup" else RESTORE
            raise StoreError(
                "PostgreSQL has its own tools for this; run\n  " + command.format(file=args.file)
            )
        return _run(args, Path(settings.store_url))
    except (StoreError, sqlite3.Error, OSError) as error:
        print(f"fleetune db: {error}", file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, database: Path) -> int:
    if args.action == "check":
        path = args.file or database
        _must_exist(path)
        return _told(check(path), str(path))
    if args.action == "backup":
        _must_exist(database)
        upkeep.backup(database, args.file)
        print(f"{database} is backed up in {args.file}; its signing keys are files of their own, beside it")
        return 0
    _must_exist(args.file)
    aside = upkeep.restore(args.file, database)
    print(f"{database} is {args.file} now" + (f"; what it was before is {aside}" if aside else ""))
    return 0


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
