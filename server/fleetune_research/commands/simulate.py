"""`python -m fleetune_research simulate`: the network effect on a simulated fleet with the real code."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fleetune.app.platform import PlatformError
from fleetune.manifest import Manifest
from fleetune.signed import SignedError
from fleetune_research.fleet.client import ClientError
from fleetune_research.fleet.drift import Small
from fleetune_research.fleet.live import play
from fleetune_research.fleet.plot import chart
from fleetune_research.fleet.scenarios import attackers, evolution, individual, time_to_expertise
from fleetune_research.fleet.simulate import Fleet, original_scheme
from fleetune_research.fleet.simulate import run as run_rounds
from fleetune_research.fleet.world import Parameters, World, build
from fleetune_server.settings import Settings
from fleetune_server.training.fit import Rows
from fleetune_server.training.lab import load, of_visitors
from fleetune_server.training.sources import lab_rows

# users: (when, samples so far, what was claimed of accuracy and mean speedup)
CLAIMS = {
    10: ("day 1", 1_000, 0.60, 1.8),
    100: ("day 7", 10_000, 0.78, 2.3),
    1_000: ("day 30", 100_000, 0.91, 3.1),
    10_000: ("year", 10_000_000, 0.96, 3.8),
}
LEVEL = 0.95
SHOWN_DIGITS = 5
PER_USER_AND_DAY = 1.0  # reports: the default budget

RECORD = "server/fleetune_server/http/simulation.json"  # what the dashboard shows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", default="10,100,1000,10000", help="fleet sizes, of 10, 100, 1000, 10000")
    parser.add_argument(
        "--days", type=float, help="instead of the milestones: reports of this many days each"
    )
    parser.add_argument("--epsilon", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lab", type=Path, default=Settings.lab, help="folder of the lab measurements")
    parser.add_argument("--kernels", type=Path, default=Settings.kernels, help="folder of the built kernels")
    parser.add_argument("--scale", type=int, default=100_000, help="reports in the scenarios")
    parser.add_argument(
        "--http", metavar="URL", help="send the reports to this running server instead, and score its models"
    )
    parser.add_argument("--wait", type=float, default=120, help="with --http: seconds to wait for a version")
    parser.add_argument(
        "--few", action="store_true", help="the five kernels of `drift` alone: a tenth of the time"
    )
    parser.add_argument("--only-table", action="store_true", help="no individual, evolution, attackers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", type=Path, help="write what the dashboard shows of it to this JSON file")
    parser.add_argument("--plot", type=Path, help="write a chart of accuracy over reports to this SVG file")


def run_simulation(args: argparse.Namespace, manifest: Manifest, lab: Rows) -> dict[str, Any]:
    """Everything that the command prints, as JSON-able values."""
    parameters = Parameters()
    world = build(lab, parameters, args.seed)
    users = [int(word) for word in args.users.split(",")]
    samples = {n: _samples(n, args.days) for n in users}
    milestones = sorted(samples.values())
    empty = lab.take(np.zeros(len(lab), dtype=bool))

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    note(f"world: {len(world.frame)} cells, {len(world.environment_share)} environments")
    seeded = Fleet(world, manifest, lab, args.epsilon, args.seed)
    cold = Fleet(world, manifest, empty, args.epsilon, args.seed)
    curves = {
        "with the lab seed": run_rounds(seeded, milestones, note),
        "from nothing": run_rounds(cold, milestones, note),
    }
    original = [{**original_scheme(world, n, args.seed)} for n in milestones]
    table = []
    for n in users:
        when, _, claimed, speedup = CLAIMS.get(n, ("", 0, float("nan"), float("nan")))
        row: dict[str, Any] = {"users": n, "when": when, "samples": samples[n]}
        row |= {"claimed_accuracy": claimed, "claimed_speedup": speedup}
        for name, curve in curves.items():
            row[name] = next(point for point in curve if point["reports"] == samples[n])
        row["original scheme"] = next(point for point in original if point["reports"] == samples[n])
        table.append(row)
    result: dict[str, Any] = {
        "parameters": asdict(parameters) | {"epsilon": args.epsilon, "seed": args.seed},
        "cells": len(world.frame),
        "oracle_speedup": _oracle(world),
        "table": table,
        "curves": curves,
        "refused": {"with the lab seed": seeded.refused, "from nothing": cold.refused},
        "time_to_expertise_days": {
            name: {str(n): time_to_expertise(curve, LEVEL, n * PER_USER_AND_DAY) for n in (1, *users)}
            for name, curve in curves.items()
        },
        "training_seconds": seeded.seconds + cold.seconds,
    }
    if not args.only_table:
        middle = Fleet(world, manifest, lab, args.epsilon, args.seed)
        run_rounds(middle, [args.scale], note)
        result["individual"] = individual(middle, 10, (10, 50, 200), args.seed)
        result["evolution"] = evolution(world, manifest, lab, args.epsilon, args.seed, args.scale, note)
        result["attackers"] = attackers(world, manifest, lab, args.epsilon, args.seed, args.scale // 2, note)
    return result


def run(args: argparse.Namespace) -> int:
    manifest = Manifest.load((args.kernels / "manifest.json").read_bytes())
    lab = of_visitors(load(args.lab, manifest))
    if not lab:
        print("fleetune: no lab measurements to draw a fleet around; run make lab", file=sys.stderr)
        return 1
    rows = lab_rows(lab, manifest)
    if args.few:
        rows = Small.of(manifest, rows).lab
    if args.http:
        return run_live(args, manifest, rows)
    result = run_simulation(args, manifest, rows)
    if args.plot:
        series = {
            name: [(point["reports"], point["accuracy"]) for point in curve]
            for name, curve in result["curves"].items()
        }
        series["original scheme"] = [
            (row["samples"], row["original scheme"]["accuracy"]) for row in result["table"]
        ]
        args.plot.write_text(chart("Accuracy of predictions", series, f"ε = {args.epsilon:g}"))
    if args.record:
        args.record.write_text(json.dumps(recorded(result), indent=1) + "\n")
    print(json.dumps(result, indent=1) if args.json else "\n".join(lines(result)))
    return 0


def recorded(result: dict[str, Any]) -> dict[str, Any]:
    """The part for `simulation.json`, which every dashboard fetches: how it was made, and the curve."""
    return {
        "command": f"python -m fleetune_research simulate --record {RECORD}",
        "date": datetime.now(UTC).date().isoformat(),
        "parameters": result["parameters"],
        "cells": result["cells"],
        "curve": [
            {name: round(value, SHOWN_DIGITS) for name, value in point.items() if math.isfinite(value)}
            for point in result["curves"]["with the lab seed"]
        ],
    }


def run_live(args: argparse.Namespace, manifest: Manifest, lab: Rows) -> int:
    """The same fleet against a running server: its models' quality after each milestone."""
    milestones = [_samples(int(word), args.days) for word in args.users.split(",")]
    world = build(lab, Parameters(), args.seed)
    playing = play(
        args.http,
        world,
        manifest,
        milestones,
        epsilon=args.epsilon,
        seed=args.seed,
        wait=args.wait,
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    try:
        curve = asyncio.run(playing)
    except (ClientError, PlatformError, SignedError) as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    result = {"cells": len(world.frame), "oracle_speedup": _oracle(world), "curve": curve}
    print(json.dumps(result, indent=1) if args.json else "\n".join(live_lines(curve)))
    return 0


def live_lines(curve: Sequence[Mapping[str, float]]) -> list[str]:
    """The curve of a live run as text."""
    return [
        f"{q['reports']:>9.0f} reports, version {q['version']:.0f}: accuracy {q['accuracy']:.1%},"
        f" MAE {q['mae']:.3f}, regret {q['regret']:.2%}, speedup {q['geomean_speedup']:.2f}x"
        for q in curve
    ]


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text."""
    out = [
        f"{result['cells']} cells; the best choice everywhere would give {result['oracle_speedup']:.2f}x",
        f"{'users':>6} {'samples':>10} {'':>18} {'accuracy':>9} {'MAE':>6} {'speedup':>8}"
        f" {'optimal':>8} {'≤3 %':>6} {'regret':>7} {'coverage':>9} {'rare':>6}",
    ]
    for row in result["table"]:
        out.append(
            f"{row['users']:6} {row['samples']:10} {'claimed':>18} {row['claimed_accuracy']:9.1%}"
            f" {'':6} {row['claimed_speedup']:7.1f}x"
        )
        for name in ("with the lab seed", "from nothing", "original scheme"):
            q = row[name]
            extra = f" {q['coverage']:9.1%} {q['rare_accuracy']:6.1%}" if "coverage" in q else ""
            out.append(
                f"{'':17} {name:>18} {q['accuracy']:9.1%} {q['mae']:6.3f} {q['geomean_speedup']:7.2f}x"
                f" {q['optimal']:8.1%} {q['optimal_within_3pct']:6.1%} {q['regret']:7.2%}{extra}"
                f"{_of_devices(q)}"
            )
    for name, days in result["time_to_expertise_days"].items():
        told = ", ".join(
            f"{n} users {'never here' if d is None else f'{d:.1f} days'}" for n, d in days.items()
        )
        out.append(f"95 % accuracy, {name}: {told}")
    for row in result.get("individual", []):
        out.append(
            f"{row['samples']:.0f} own samples: alone {row['alone_accuracy_used']:.1%} on own kernels,"
            f" {row['alone_accuracy_never']:.1%} on kernels never run; together"
            f" {row['together_accuracy_used']:.1%} and {row['together_accuracy_never']:.1%}"
        )
    for name, points in result.get("evolution", {}).items():
        told = " → ".join(f"{p['accuracy']:.1%} ({p.get('after', 0):.0f})" for p in points)
        out.append(f"{name}: accuracy (after so many reports) {told}")
    for row in result.get("attackers", []):
        kind = "on one place" if row["concentrated"] else "everywhere"
        out.append(
            f"{row['share']:.0%} forged {kind}: accuracy {row['accuracy']:.1%}, regret {row['regret']:.2%},"
            f" where they aim {row['target_regret']:.2%}; {row['refused']:.0f} models refused"
        )
    return out


def _of_devices(q: Mapping[str, float]) -> str:
    return f"  on single devices {q['device_regret']:.2%}" if "device_regret" in q else ""


def _samples(users: int, days: float | None) -> int:
    if days is not None:
        return max(1, int(users * days * PER_USER_AND_DAY))
    if users not in CLAIMS:
        raise SystemExit(f"--users {users}: give --days, or one of {', '.join(map(str, CLAIMS))}")
    return CLAIMS[users][1]


def _oracle(world: World) -> float:
    contexts = world.contexts()
    return float(np.exp(contexts.truth[contexts.best()].mean()))
