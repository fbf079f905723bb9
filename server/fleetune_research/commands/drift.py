"""`python -m fleetune_research drift`: how many reports it takes the fleet to change its mind."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from fleetune.manifest import Manifest
from fleetune_research.fleet.drift import NEW_KERNELS, Small, drift
from fleetune_server.settings import Settings
from fleetune_server.training.sources import public_rows

SCENARIOS = ("new_kernel", "new_version", "same_key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="may be repeated")
    parser.add_argument("--kernel", action="append", choices=tuple(NEW_KERNELS), help="of new_kernel alone")
    parser.add_argument("--plan", action="store_true", help="new_kernel: draw reports by their expected gain")
    parser.add_argument("--lab", type=Path, help="folder of lab measurements (default: the settings')")


def run(args: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    manifest = Manifest.load((settings.kernels / "manifest.json").read_bytes())
    lab = public_rows(args.lab or settings.lab, manifest)
    if not len(lab):
        print("drift: no lab measurements of these kernels; run make lab", file=sys.stderr)
        return 1
    result = drift(
        Small.of(manifest, lab),
        range(args.seeds),
        args.only or SCENARIOS,
        lambda text: print(text, file=sys.stderr, flush=True),
        args.kernel or tuple(NEW_KERNELS),
        args.plan,
    )
    print(json.dumps(result, indent=1) if args.json else "\n".join(lines(result)))
    return 0


def lines(result: dict[str, Any]) -> list[str]:
    """The worst seeds' figures as text."""
    out = []
    for name, told in result.get("new_kernel", {}).items():
        out.append(f"new kernel {name}: right after {_reports(told['reports_needed'])}")
    if "new_version" in result:
        told = result["new_version"]
        out.append(
            f"new version: changed contexts right after {_reports(told['reports_needed'])}, "
            f"unchanged ones never below {told['unchanged_lowest']:.1%}"
        )
    if "same_key" in result:
        out.append(
            f"same key: half of the error is gone after {_reports(result['same_key']['half_life_reports'])}"
        )
    return out


def _reports(count: float | None) -> str:
    return "more reports than were sent" if count is None else f"{count:,.0f} reports"
