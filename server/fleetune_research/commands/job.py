"""`python -m fleetune_research job`: how many reports a registered job needs until its first guess is right."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import numpy as np

from fleetune.manifest import Manifest
from fleetune_research.fleet.job import ENOUGH, learn, summary
from fleetune_server.settings import Settings
from fleetune_server.training.sources import public_rows

KERNELS = 6  # of the lab beside the job: more of them take longer and change nothing about it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)


def run(args: argparse.Namespace) -> int:
    settings = Settings.from_env(os.environ)
    manifest = Manifest.load((settings.kernels / "manifest.json").read_bytes())
    lab = public_rows(settings.lab, manifest)
    if not len(lab):
        print("job: no lab measurements of these kernels; run make lab", file=sys.stderr)
        return 1
    lab = lab.take(np.isin(lab.frame.kernel, np.unique(lab.frame.kernel)[:KERNELS]))

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    result = summary([learn(manifest, lab, seed, note) for seed in range(args.seeds)])
    print(json.dumps(result, indent=1) if args.json else "\n".join(lines(result)))
    return 0


def lines(result: dict[str, Any]) -> list[str]:
    """The worst seeds' figures as text."""
    needed = result["reports_needed_per_environment"]
    return [
        f"regret at most {ENOUGH:.0%} after "
        + ("more reports than were sent" if needed is None else f"{needed} reports an environment"),
        f"first guess: {result['first_guess_percent_of_oracle']:.1%} of a device's own best",
        f"in environments that nobody reported: {result['first_guess_percent_of_oracle_silent']:.1%}",
    ]
