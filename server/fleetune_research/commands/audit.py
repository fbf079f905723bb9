"""`python -m fleetune_research audit`: check the privacy claim, and that planted faults are caught."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from typing import Any

from fleetune.privacy import mechanism
from fleetune_research.privacy_audit import ALPHA, MUTANTS, audit, shipped

MIN_DRAWS = 100_000  # with fewer, the overspending mutant escapes
# A 5 % overspend shows in a few hundred thousand packets, whatever the draws asked for; other faults at once.
OVERSPEND_DRAWS, MUTANT_DRAWS = 500_000, 25_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    least = f"packets to draw (at least {MIN_DRAWS:,})"
    parser.add_argument("--draws", type=int, default=1_000_000, help=least)
    parser.add_argument("--epsilon", type=float, default=2.0, help="the claim to audit")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--json", action="store_true", help="print JSON")


def measure(draws: int, epsilon: float, workers: int) -> dict[str, Any]:
    """The audit of the shipped code and of the mutants, as JSON-able values."""
    start = time.perf_counter()
    found = audit(shipped, epsilon, draws, workers)
    mutants = {}
    for name, maker in MUTANTS.items():
        mutant = audit(maker, epsilon, OVERSPEND_DRAWS if name == "overspend" else MUTANT_DRAWS, workers)
        mutants[name] = {"caught": bool(mutant.violations), "violations": list(mutant.violations)}
    return {
        "claimed": epsilon,
        "matrix_max_log_ratio": math.log(mechanism(epsilon).max_ratio),
        "empirical_lower_bound": found.lower_bound,
        "confidence": 1 - ALPHA,
        "draws": draws,
        "violations": list(found.violations),
        "holds": not found.violations,
        "mutants": mutants,
        "mutants_caught": sum(mutant["caught"] for mutant in mutants.values()),
        "seconds": round(time.perf_counter() - start, 1),
    }


def run(args: argparse.Namespace) -> int:
    """0 if the claim holds and every mutant was caught."""
    if args.draws < MIN_DRAWS:
        print(f"--draws must be at least {MIN_DRAWS}, or the overspending mutant escapes", file=sys.stderr)
        return 2
    result = measure(args.draws, args.epsilon, args.workers)
    ok = result["holds"] and result["mutants_caught"] == len(result["mutants"])
    if args.json:
        print(json.dumps(result, indent=2))
        return 0 if ok else 1
    print(f"claimed                ε = {result['claimed']:g}")
    print(f"by the exact matrix    ε = {result['matrix_max_log_ratio']:.9f}")
    print(f"shown by {args.draws} packets: ε ≥ {result['empirical_lower_bound']:.4f} (99.99 %)")
    for violation in result["violations"]:
        print(f"VIOLATION  {violation}")
    for name, mutant in result["mutants"].items():
        print(f"mutant {name:14} {'caught: ' + mutant['violations'][0] if mutant['caught'] else 'ESCAPED'}")
    print("the claim holds" if ok else "the audit failed")
    return 0 if ok else 1
