"""`python -m fleetune_research learners`: learners compared on kernels left out, and the learning curve."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fleetune.manifest import Manifest
from fleetune_research.confirmation import Repeat
from fleetune_research.forged import read
from fleetune_research.learners import compare
from fleetune_server.settings import Settings
from fleetune_server.training.lab import load, of_visitors
from fleetune_server.training.sources import lab_rows

COLUMNS = ("percent_of_oracle", "regret", "mae", "over_heuristic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--lab", type=Path, default=Settings.lab, help="folder of the lab measurements")
    parser.add_argument("--seeds", type=int, default=3, help="divisions of the kernels into groups left out")


def run(args: argparse.Namespace) -> int:
    manifest = Manifest.load((Settings.kernels / "manifest.json").read_bytes())
    lab = of_visitors(load(args.lab, manifest))
    repeats = sorted({row.repeat for row in lab})
    if len(repeats) < 2:
        print("learners: fewer than two repeats of lab measurements; run make lab", file=sys.stderr)
        return 1
    others = read(manifest)
    result = compare(
        lab_rows(lab, manifest, repeats=frozenset(repeats[:-1])),
        Repeat.of(lab, repeats[-1]),
        forged=lab_rows(others.lab, others.manifest),
        seeds=range(args.seeds),
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(result, indent=1) if args.json else "\n".join(table(result)))
    return 0


def table(result: dict[str, Any]) -> list[str]:
    """Learners, then numbers of kernels, each with its figures and their bounds."""
    lines = [f"{result['kernels']} kernels, {result['contexts']} contexts asked"]
    for title, part in (("learner", "learners"), ("kernels learned from", "learning_curve")):
        lines += ["", f"{title:24}" + "".join(f"{name:>26}" for name in COLUMNS)]
        for name, entry in result[part].items():
            lines.append(f"  {name!s:22}" + "".join(f"{_cell(entry, column):>26}" for column in COLUMNS))
    return lines


def _cell(entry: dict[str, Any], column: str) -> str:
    if column not in entry:
        return "–"
    low, high = entry["interval"][column]
    return f"{entry[column]:.3f} ({low:.3f}, {high:.3f})"
