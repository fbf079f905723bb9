"""`fleetune train now`: ask the running server for a training, whether enough reports came or not."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from fleetune_server.pipeline import TRAIN_NOW, TRAINED, VERDICT
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.store.opening import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`train now [--wait SECONDS]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    now = actions.add_parser("now", help="train from what is in the store, and say what came of it")
    now.add_argument("--wait", type=float, default=600, help="seconds to wait for the answer (600)")


def run(args: argparse.Namespace) -> int:
    """0: a version was published; 1: it was refused, or no server answered in time."""
    try:
        return asyncio.run(ask(Settings.from_env(os.environ), args.wait))
    except StoreError as error:
        print(f"fleetune train: {error}", file=sys.stderr)
        return 1


async def ask(settings: Settings, wait: float) -> int:
    """Ask through the store and wait for the answer."""
    async with open_store(settings) as store:
        asked = time.time()
        await store.share({TRAIN_NOW: asked})
        while time.time() < asked + wait:
            trained = await store.get(TRAINED)
            if trained and trained["at"] >= asked:
                verdict = await store.get(VERDICT)
                word = "published" if verdict["accepted"] else "refused"
                print(
                    f"version {verdict['version']}: {word}; `fleetune gate explain {verdict['version']}` says why"
                )
                return 0 if verdict["accepted"] else 1
            await asyncio.sleep(0.5)
    print("fleetune train: no server trained in time; is one running on this store?", file=sys.stderr)
    return 1
