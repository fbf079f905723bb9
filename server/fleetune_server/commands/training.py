"""`fleetune train` asks for a training; `fleetune gate` says why its version was refused, or lets it pass."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from fleetune_server.pipeline import ACCEPT, TRAIN_NOW, TRAINED, VERDICT
from fleetune_server.publish.library import TRIALS, outcomes
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError
from fleetune_server.store.opening import open_store
from fleetune_server.training.gate import HELD


def add_arguments_train(parser: argparse.ArgumentParser) -> None:
    """`train now [--wait SECONDS]`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    now = actions.add_parser("now", help="train from what is in the store, and say what came of it")
    now.add_argument("--wait", type=float, default=600, help="seconds to wait for the answer (600)")


def run_train(args: argparse.Namespace) -> int:
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


def add_arguments_gate(parser: argparse.ArgumentParser) -> None:
    """explain, accept."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    explain = actions.add_parser("explain", help="the checks of a version, their figures and limits")
    accept = actions.add_parser(
        "accept", help="let a refused version pass, or believe the places it holds; its record says why"
    )
    for parser_of in (explain, accept):
        parser_of.add_argument("version", type=int)
    accept.add_argument("--reason", required=True, help="kept in the version's record and shown with it")


def run_gate(args: argparse.Namespace) -> int:
    """explain: one line per reason. 1 if nothing is known of that version, or it was not refused."""
    try:
        settings = Settings.from_env(os.environ)
        if args.action == "accept":
            return asyncio.run(_accept(args.version, args.reason.strip(), settings))
        return asyncio.run(_explain(args.version, settings))
    except StoreError as error:
        print(f"fleetune gate: {error}", file=sys.stderr)
        return 1


async def _accept(version: int, reason: str, settings: Settings) -> int:
    if not reason:
        print("fleetune gate: give a reason", file=sys.stderr)
        return 1
    async with open_store(settings) as store:
        verdict = await store.get(VERDICT)
        holding = any(check["name"] == HELD for check in verdict["checks"]) if verdict else False
        if not verdict or verdict["version"] != version or (verdict["accepted"] and not holding):
            last = f"the last verdict is about version {verdict['version']}" if verdict else "none was judged"
            print(
                f"fleetune gate: version {version} is neither refused nor holds places: {last}",
                file=sys.stderr,
            )
            return 1
        now = time.time()
        next_one = version + 1 if verdict["accepted"] else version
        await store.share({ACCEPT: {"version": next_one, "reason": reason, "at": now}, TRAIN_NOW: now})
    print(f"version {next_one} believes every report and passes the gate; its training is due now")
    return 0


async def _explain(version: int, settings: Settings) -> int:
    async with open_store(settings) as store:
        verdict = await store.get(VERDICT)
        records = {record.version: record for record in await store.versions()}
        trial = outcomes(await store.get(TRIALS), max(records, default=0)).get(version)
    record = records.get(version)
    if (
        verdict
        and verdict["version"] == version
        and (record is None or verdict.get("sha256") == record.sha256)
    ):
        print(f"version {version}: {'accepted' if verdict['accepted'] else 'refused'}")
        for reason in record.document["gate"][:1] if record and verdict.get("overruled") else ():
            print(f"  {reason}")
        _checks(verdict["checks"])
    elif record is not None:
        print(f"version {version}: published")
        for reason in record.document["gate"]:
            print(f"  {reason}")
    else:
        print(f"fleetune gate: nothing is known of version {version}", file=sys.stderr)
        return 1
    if trial is not None:
        print(f"trial: {trial['state']}, against version {trial['stable']}: {trial['reason']}")
        _checks(trial.get("checks", ()))
    return 0


def _checks(checks: Iterable[Mapping[str, Any]]) -> None:
    for check in checks:
        word = "passed" if check["passed"] else "FAILED"
        print(f"  {word}  {check['name']}: {check['reason']} (figure {check['figure']:.5g})")
