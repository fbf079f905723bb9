"""Power cuts: a store's writes are recorded, and its disk rebuilt as it may be after a cut at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

from tests.faults.reports import Verdict, audit
from tests.faults.shim import WRITE, Disk, Event, events, library

REPORTS = 1500  # in one recording
CUTS = 10  # of one recording


def power(trials: int, seed: int, folder: Path, synchronous: str = "FULL") -> Verdict:
    """So many cuts; in every other recording the log is written back often."""
    chance, verdict = Random(seed), Verdict()
    for number in range(-(-trials // CUTS)):
        place = folder / f"{synchronous}-{number}"
        place.mkdir()
        pragmas = [f"synchronous={synchronous}", f"wal_autocheckpoint={(200, 16000)[number % 2]}"]
        trace = record(place, pragmas)
        acks = str(place / "acks")
        known = [i for i, event in enumerate(trace) if event.kind == WRITE and event.path == acks]
        cuts = sorted(
            chance.randrange(known[0], len(trace)) for _ in range(min(CUTS, trials - CUTS * number))
        )
        _cut(trace, cuts, place, chance, verdict)
    return verdict


def record(folder: Path, pragmas: list[str]) -> list[Event]:
    """What one run of the victim wrote, and when it acknowledged."""
    environment = os.environ | {
        "LD_PRELOAD": str(library()),
        "DISK_UNDER": str(folder),
        "DISK_TRACE": str(folder.with_suffix(".trace")),
    }
    arguments = [str(folder / "fleetune.db"), str(folder / "acks"), "0", str(REPORTS), *pragmas]
    subprocess.run([sys.executable, "-m", "tests.faults.victim", *arguments], env=environment, check=True)
    return events(folder.with_suffix(".trace"))


def _cut(trace: list[Event], cuts: list[int], folder: Path, chance: Random, verdict: Verdict) -> None:
    disk, at = Disk(), 0
    acknowledged: list[int] = []
    for number, cut in enumerate(cuts):
        for event in trace[at:cut]:
            if event.kind == WRITE and event.path == str(folder / "acks"):
                acknowledged += map(int, event.data.split())
            else:
                disk.apply(event)
        at = cut
        after = folder / f"cut-{number}"
        after.mkdir()
        for path, content in disk.cut(chance).items():
            if not path.endswith("-shm"):  # memory, made anew
                (after / Path(path).name).write_bytes(content)
        audit(str(after / "fleetune.db"), acknowledged, range(REPORTS), verdict)
