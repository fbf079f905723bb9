"""`fleetune keys`: the keys that releases are signed with."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime

from fleetune_server.publish.keys import KeyFileError, KeyRing
from fleetune_server.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """new, list, rotate, retire."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("new", help="make a standby key: pages pin it from now on, it signs nothing yet")
    actions.add_parser("list", help="list the keys, their states and public parts")
    actions.add_parser("rotate", help="let the oldest standby key (or a new one) sign beside the others")
    retire = actions.add_parser("retire", help="delete a key; do it once every page has the newer one")
    retire.add_argument("key", help="its id, from `fleetune keys list`")


def run(args: argparse.Namespace) -> int:
    """Change the key folder; a running server notices with the next answer it signs."""
    ring = KeyRing(Settings.from_env(os.environ).data / "keys")
    try:
        if args.action == "new":
            # The very first key must sign, or there would be nothing to trust.
            print(ring.new("standby" if ring.keys else "signing").id)
        elif args.action == "rotate":
            print(ring.rotate().id)
        elif args.action == "retire":
            ring.retire(args.key)
        else:
            public = ring.public()
            for key in ring.keys:
                made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d")
                print(f"{key.id}  {key.state:8}  {made}  {public[key.id]}")
    except KeyFileError as error:
        print(f"fleetune keys: {error}", file=sys.stderr)
        return 1
    return 0
