"""What proof of work costs browsers and attackers: `python tests/benchmarks/work.py [--json]`.

`browser`: hashes a processor second of Python in a page (Pyodide in Node.js, as Chromium runs it) and of CPython here,
and the seconds for each number of bits that a place can ask for. An attacker's own code is faster than both: compare
`openssl speed -bytes 64 sha256`, whose 64 bytes are one hash.
`attacker`: the hashes that forged reports of a place cost, by their number (as a share of a day's honest ones, of which
`poisoning.py` has so many) and the hours in which they are sent, and the most bits that an honest report needs then.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from tests import node
from tests.benchmarks.poisoning import OF_PLACE

from fleetune.work import search
from fleetune_server.telemetry.floods import HOUR, LEAST, MOST, Floods

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "browser" / "fleetune"
TRIES = 200_000
SHARES = (0.8, 8.0, 80.0)
HOURS = (0.01, 1.0, 24.0)
CALM = 7 * 24  # hours before


def in_python() -> float:
    """Processor seconds for TRIES hashes here."""
    start = time.process_time()
    search("0" * 16, "0" * 32, 63, 0, TRIES)
    return time.process_time() - start


def attack(share: float, hours: float) -> dict[str, float]:
    """A place after a calm week, whose attackers send so many reports in so long; each brings what it must."""
    now = [0.0]
    floods = Floods(clock=lambda: now[0])
    for _ in range(round(OF_PLACE / 24 * CALM)):
        now[0] += 24 * HOUR / OF_PLACE
        floods.add([""])
    count, hashes, most = round(share * OF_PLACE), 0, 0
    for _ in range(count):
        now[0] += hours * HOUR / count
        bits = floods.bits("")
        hashes += 2**bits if bits else 0
        most = max(most, bits)
        floods.add([""])
    return {"share": share, "hours": hours, "reports": count, "hashes": hashes, "most_bits": most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    seconds = {
        "pyodide": float(node.run(HERE / "work_in_pyodide.mjs", PACKAGE, str(TRIES), cwd=PACKAGE)),
        "cpython": in_python(),
    }
    browser = {
        name: {
            "hashes_a_second": round(TRIES / spent),
            "seconds_by_bits": {bits: round(2**bits * spent / TRIES, 3) for bits in range(LEAST, MOST + 1)},
        }
        for name, spent in seconds.items()
    }
    attacker = [attack(share, hours) for share in SHARES for hours in HOURS]
    if args.json:
        print(json.dumps({"browser": browser, "attacker": attacker}, indent=1))
    else:
        print(*(f"{name}: {score}" for name, score in browser.items()), *attacker, sep="\n")


if __name__ == "__main__":
    main()
