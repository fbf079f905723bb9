"""`python -m fleetune_research lab`: what the committed lab measurements say."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetune.choose import safe_default
from fleetune.manifest import Manifest
from fleetune_research.lab_report import report
from fleetune_server.settings import Settings
from fleetune_server.training.lab import LabError, load

POLICIES = {
    "js": "JavaScript only",
    "capability": "capability heuristic",
    "best_fixed": "best per kernel, in hindsight",
    "best_fixed_pattern": "best per kernel × data, in hindsight",
    "oracle": "oracle",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--lab", type=Path, default=Settings.lab, help="folder of the measurements")


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 if there are no measurements or they cannot be read."""
    try:
        manifest = Manifest.load((Settings.kernels / "manifest.json").read_bytes())
        found = report(load(args.lab, manifest), manifest, safe_default)
    except (LabError, ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=1) if args.json else "\n".join(tables(found)))
    return 0


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """The report as Markdown, line by line."""
    yield f"{found['kernels']} kernels, {found['variants']} variants, {found['environments']} environments"
    yield f"Baseline: {found['baseline']}."
    for title, part in (("Resident data", None), ("Copied in and out on every call", "copied")):
        yield from (
            "",
            f"## {title}: geometric mean speedup over js (% of oracle; against the better JavaScript)",
        )
        yield from _policies(found["policies"], part)
    yield from ("", "## Best fixed variants (JavaScript where a kernel lacks it)")
    for engine, values in found["policies"].items():
        top = sorted(values["fixed"].items(), key=lambda item: -item[1]["speedup"])[:5]
        yield f"- {engine}: " + ", ".join(
            f"{name} {v['speedup']:.2f} ({v['cells']:.0%} of cells)" for name, v in top
        )
    yield from ("", "## Where the best differs")
    yield ", ".join(f"{name} {share:.0%}" for name, share in found["differs"].items())
    yield f"near-ties {found['nearTies']:.0%}; disturbed series {found['disturbed']:.1%}"
    yield f"wrong results: {', '.join(found['wrong']) or 'none'}"
    yield from ("", "## Repeatability between launches")
    measures = ("same_best", "within_3pct", "within_5pct", "mean_abs_dlog", "regret", "pairs")
    yield from _header("engine", *measures)
    for engine, values in [*found["repeatability"]["engines"].items(), ("all", found["repeatability"])]:
        yield _line(engine, *(f"{values[m]:.4g}" if m in values else "" for m in measures))
    yield from ("", "## Best variant")
    yield from _header("kernel", "data", "size", *found["engines"])
    for row in found["best"]:
        shown = [row["engines"].get(engine) for engine in found["engines"]]
        choices = (f"{cell['best']} {cell['speedup']:.2f}" if cell else "" for cell in shown)
        yield _line(row["kernel"], row["pattern"], str(row["size"]), *choices)


def _policies(policies: Mapping[str, Any], part: str | None) -> Iterator[str]:
    engines = {engine: values.get(part, {}) if part else values for engine, values in policies.items()}
    engines = {engine: values for engine, values in engines.items() if values}
    yield from _header("policy", *engines)
    for key, name in POLICIES.items():
        shown = (
            f"{v[key]:.2f} ({v['ofOracle'][key]:.0%}; {v['againstTuned'][key]:.2f})" for v in engines.values()
        )
        yield _line(name, *shown)
    yield _line("JavaScript is best in", *(f"{values['jsBest']:.0%}" for values in engines.values()))


def _header(*columns: str) -> tuple[str, str]:
    return _line(*columns), _line(*("---" for _ in columns))


def _line(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"
