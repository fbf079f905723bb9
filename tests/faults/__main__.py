"""What becomes of acknowledged reports when things break: `python -m tests.faults [--trials 300] [--json]`.

`--trials` kills of a process under load, for each engine; the others follow from it (`--only` runs one).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.disks import every_disk
from tests.faults.kill import server_killed, store_killed
from tests.faults.power import power
from tests.faults.publish import killed_publishing
from tests.faults.replicas import postgres_restarted, replica_killed
from tests.postgres import cluster

Scenario = Callable[[int, int, Path], dict[str, Any]]


def _postgres_killed(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    with cluster() as database:
        return store_killed(trials, seed, folder, database).to_wire()


def _control(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    """Without a sync at each commit the same cuts must lose something, or they prove nothing."""
    verdict = power(trials, seed, folder, "NORMAL")
    return verdict.to_wire() | {"clean": verdict.lost > 0 and not verdict.problems}


def _disks(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    results = every_disk(folder)
    return results | {"clean": all(result["clean"] for result in results.values())}


SCENARIOS: dict[str, tuple[Scenario, int]] = {  # and how many of --trials are one of theirs
    "kill_sqlite": (lambda trials, seed, folder: store_killed(trials, seed, folder).to_wire(), 1),
    "kill_postgres": (_postgres_killed, 1),
    "kill_server_sqlite": (lambda n, seed, folder: server_killed(n, seed, folder, False).to_wire(), 20),
    "kill_server_postgres": (lambda n, seed, folder: server_killed(n, seed, folder, True).to_wire(), 20),
    "power_full": (lambda trials, seed, folder: power(trials, seed, folder).to_wire(), 6),
    "power_normal_control": (_control, 6),
    "killed_publishing": (killed_publishing, 20),
    "postgres_restarted": (lambda trials, _seed, folder: postgres_restarted(trials, folder), 60),
    "replica_killed": (lambda _trials, _seed, folder: replica_killed(folder), 300),
    "disks": (_disks, 300),
}


def main() -> int:
    """1 if anything acknowledged was lost or counted twice, or anything else did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    results: dict[str, Any] = {"seed": args.seed}
    for name in args.only or SCENARIOS:
        scenario, share = SCENARIOS[name]
        began = time.monotonic()
        with _folder() as folder:
            result = scenario(max(1, args.trials // share), args.seed, folder)
        results[name] = result | {"seconds": round(time.monotonic() - began, 1)}
        print(f"{name}: {json.dumps(results[name])}", file=sys.stderr, flush=True)
    clean = all(result["clean"] for result in results.values() if isinstance(result, dict))
    if args.json:
        print(json.dumps(results | {"clean": clean}, indent=2))
    return 0 if clean else 1


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fleetune-faults-") as name:
        yield Path(name)


if __name__ == "__main__":
    raise SystemExit(main())
