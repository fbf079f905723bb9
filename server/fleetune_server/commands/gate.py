"""`fleetune gate explain`: why a version was published, or why the last one was refused."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from fleetune_server.canary import CANARY, outcomes
from fleetune_server.pipeline import VERDICT
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.stores import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`gate explain VERSION`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    explain = actions.add_parser("explain", help="the checks of a version, their figures and limits")
    explain.add_argument("version", type=int)


def run(args: argparse.Namespace) -> int:
    """Print one line per reason; 1 if nothing is known of that version."""
    try:
        return asyncio.run(_run(args.version, Settings.from_env(os.environ)))
    except StoreError as error:
        print(f"fleetune gate: {error}", file=sys.stderr)
        return 1


async def _run(version: int, settings: Settings) -> int:
    async with open_store(settings) as store:
        verdict = await store.get(VERDICT)
        records = {record.version: record for record in await store.versions()}
        trial = outcomes(await store.get(CANARY), max(records, default=0)).get(version)
    record = records.get(version)
    if verdict and verdict["version"] == version and (record is None or verdict["accepted"]):
        print(f"version {version}: {'accepted' if verdict['accepted'] else 'refused'}")
        _checks(verdict["checks"])
    elif record is not None:
        print(f"version {version}: published")
        for reason in record.document["gate"]:
            print(f"  {reason}")
    else:
        print(f"fleetune gate: nothing is known of version {version}", file=sys.stderr)
        return 1
    if trial is not None:
        print(f"canary: {trial['state']}, against version {trial['stable']}: {trial['reason']}")
        _checks(trial.get("checks", ()))
    return 0


def _checks(checks: Iterable[Mapping[str, Any]]) -> None:
    for check in checks:
        word = "passed" if check["passed"] else "FAILED"
        print(f"  {word}  {check['name']}: {check['reason']} (figure {check['figure']:.5g})")
