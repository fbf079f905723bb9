"""`fleetune data`: the reports by kernel and environment; bad ones are dropped, and a training follows."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from fleetune.features import environment_key
from fleetune.manifest import ManifestError
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.kernels.shelf import Shelf
from fleetune_server.pipeline import TRAIN_NOW
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum, Store, StoreError
from fleetune_server.store.opening import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, drop."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="count the reports of each kernel in each environment")
    dropped = actions.add_parser(
        "drop", help="list what would be dropped; with --yes, drop it and train anew"
    )
    for action, needed in ((listed, False), (dropped, True)):
        action.add_argument("--kernel", required=needed, default="*", help="its name, or * for all")
        action.add_argument(
            "--environment", required=needed, default="*", help="as listed; * stands for any text"
        )
        action.add_argument(
            "--since",
            type=int,
            default=0,
            metavar="VERSION",
            help="only reports made with this model version or a later one (sums keep no finer time)",
        )
    dropped.add_argument("--yes", action="store_true", help="drop it; a backup is the only way back")


def run(args: argparse.Namespace) -> int:
    """0; 1 if nothing matches or the store refuses."""
    try:
        return asyncio.run(_run(args, Settings.from_env(os.environ)))
    except (StoreError, ManifestError, OSError) as error:
        print(f"fleetune data: {error}", file=sys.stderr)
        return 1


async def _run(args: argparse.Namespace, settings: Settings) -> int:
    async with open_store(settings) as store:
        names = await _names(store, settings)
        chosen = [row for row in await store.sums() if _matches(row, names, args)]
        if not chosen:
            print(
                "fleetune data: no report matches; `fleetune data list` shows what there is", file=sys.stderr
            )
            return 1
        _show(chosen, names)
        if args.action == "list":
            return 0
        if not args.yes:
            print("nothing was dropped: add --yes to drop these (`fleetune db backup FILE` first)")
            return 0
        dropped = await store.drop({row.cell for row in chosen})
        await store.share({TRAIN_NOW: time.time()})
    print(f"{dropped:,} reports dropped; the server trains anew from the others as soon as it runs")
    return 0


async def _names(store: Store, settings: Settings) -> dict[str, str]:
    """Kernel names by signature; a kernel that was taken out has its signature only."""
    catalogue = await asyncio.to_thread(Catalogue.load, settings.kernels)
    packages, _problems = await Shelf(store).packages()
    names = {signature: kernel.name for signature, kernel in catalogue.manifest.by_signature.items()}
    return names | {package.entry["profileSignature"]: package.entry["name"] for package in packages}


def _matches(row: CellSum, names: dict[str, str], args: argparse.Namespace) -> bool:
    cell = row.cell
    return (
        args.kernel in ("*", names.get(cell.signature), cell.signature)
        and fnmatchcase(environment_key(cell.environment), args.environment)
        and cell.version >= args.since
    )


def _show(chosen: Sequence[CellSum], names: dict[str, str]) -> None:
    """One line for each kernel and environment, most reports first, then the total."""
    reports: Counter[tuple[str, str]] = Counter()
    versions: dict[tuple[str, str], set[int]] = {}
    for row in chosen:
        place = (
            names.get(row.cell.signature, row.cell.signature),
            environment_key(row.cell.environment),
        )
        reports[place] += row.count
        versions.setdefault(place, set()).add(row.cell.version)
    for place, count in reports.most_common():
        kernel, environment = place
        made = versions[place]
        print(f"{count:>12,}  {kernel:<32}  {environment}  (versions {min(made)} to {max(made)})")
    print(f"{reports.total():>12,}  reports in all")
