"""`fleetune keys`: the keys that releases are signed with."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from fleetune_server.publish.keys import KeyFileError, KeyRing, RootError
from fleetune_server.publish.library import TRIALS, stable
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.store.opening import is_postgres, open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """new, list, rotate, retire."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser(
        "new", help="make a standby key: the root names it from now on, it signs no release yet"
    )
    actions.add_parser("list", help="list the keys, their states and public parts")
    actions.add_parser("rotate", help="let the oldest standby key (or a new one) sign beside the others")
    retire = actions.add_parser(
        "retire", help="delete a key; clients follow the chain of roots to the others"
    )
    retire.add_argument("key", help="its id, from `fleetune keys list`")


def run(args: argparse.Namespace) -> int:
    """Change the key folder and add a root to the chain; a running server notices with the next answer it signs."""
    settings = Settings.from_env(os.environ)
    ring = KeyRing(settings.data / "keys")
    try:
        if args.action == "new":
            # The very first key must sign, or there would be nothing to trust.
            print(ring.new("standby" if ring.keys else "signing").id)
        elif args.action == "rotate":
            print(ring.rotate().id)
        elif args.action == "retire":
            newest = _newest(settings)
            ring.least = lambda: newest
            ring.retire(args.key)
        else:
            public = ring.public()
            for key in ring.keys:
                made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d")
                print(f"{key.id}  {key.state:8}  {made}  {public[key.id]}")
            if root := ring.roots.newest():
                until = datetime.fromtimestamp(root[0].expires, UTC).strftime("%Y-%m-%d")
                print(f"root {root[0].version} names {', '.join(sorted(root[0].keys))} until {until}")
    except (KeyFileError, RootError, StoreError) as error:
        print(f"fleetune keys: {error}", file=sys.stderr)
        return 1
    return 0


def _newest(settings: Settings) -> int:
    """The newest version that every client may have: older ones are not to come back under other keys."""
    if not is_postgres(settings.store_url) and not Path(settings.store_url).is_file():
        return 0
    return asyncio.run(_stable(settings))


async def _stable(settings: Settings) -> int:
    async with open_store(settings) as store:
        return stable(await store.get(TRIALS), [record.version for record in await store.versions()])
