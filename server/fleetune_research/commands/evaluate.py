"""`python -m fleetune_research evaluate`: the model against measured truth and baselines, on the lab data."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fleetune.manifest import Manifest
from fleetune_research.baselines import available
from fleetune_research.evaluate import SPLITS, evaluate
from fleetune_research.forged import read
from fleetune_server.settings import Settings
from fleetune_server.training.lab import load, of_visitors

COLUMNS = (
    "mae",
    "accuracy",
    "optimal",
    "optimal_within_3pct",
    "regret",
    "geomean_speedup",
    "percent_of_oracle",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--lab", type=Path, default=Settings.lab, help="folder of the lab measurements")
    parser.add_argument("--split", action="append", choices=SPLITS, help="only this split; may be repeated")
    parser.add_argument("--seeds", type=int, default=3, help="divisions of the kernels into groups left out")
    parser.add_argument("--no-boosting", action="store_true", help="leave LightGBM and scikit-learn out")


def run(args: argparse.Namespace) -> int:
    manifest = Manifest.load((Settings.kernels / "manifest.json").read_bytes())
    lab = of_visitors(load(args.lab, manifest))
    if not lab:
        print("fleetune: no lab measurements of these kernels; run make lab", file=sys.stderr)
        return 1
    result = evaluate(
        lab,
        manifest,
        forged=read(manifest),
        seeds=range(args.seeds),
        names=args.split or SPLITS,
        boosting=() if args.no_boosting else available(),
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(result, indent=1) if args.json else "\n".join(table(result)))
    return 0


def table(result: dict[str, Any]) -> list[str]:
    """The result as aligned text: the model first, then every baseline, split by split."""
    lines = [f"{result['cells']} cells in {result['contexts']} contexts"]
    for split in SPLITS:
        if split not in result:
            continue
        lines += ["", f"{split:28}" + "".join(f"{name[:12]:>13}" for name in COLUMNS)]
        entries = {"model": result[split]}
        entries |= {name: by[split] for name, by in result["baselines"].items() if split in by}
        for name, entry in entries.items():
            cells = (f"{entry[c]:13.3f}" if c in entry else f"{'–':>13}" for c in COLUMNS)
            lines.append(f"  {name:26}" + "".join(cells))
        own = result[split]
        if "timings_per_context" in own:
            oracle, timings = own["percent_of_oracle_after_confirm"], own["timings_per_context"]
            lines.append(f"  after confirmation: {oracle:.1%} of oracle in {timings:.1f} timings")
        low, high = own["over_heuristic_interval"]
        lines.append(f"  over the heuristic: {own['over_heuristic']:.2f} times ({low:.2f} to {high:.2f})")
    for engine, entry in result.get("by_engine", {}).items():
        lines.append(f"{engine}: {entry['geomean_speedup']:.2f}x of {entry['oracle_speedup']:.2f}x")
    return lines
