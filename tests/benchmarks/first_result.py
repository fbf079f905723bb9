"""How soon a visitor has a result, on a slow network: python tests/benchmarks/first_result.py [--engines …] [--json].

A fresh profile opens the page through a relay that lets so many bits a second pass, all connections together, and
presses the button. `first_context_s` is the time until one context is measured, `result_s` until the result is in
view, `measuring_s` what the page says that measuring took. Bytes are those of the wire, headers included, for the
page and from the press on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.drivers.base import Browser, wait_for, wait_text
from e2e.engines import ENGINES, JOURNEY_ENGINES
from e2e.server import Server
from e2e.steps import BENCHMARK, open_home
from e2e.test_result import IN_VIEW
from e2e.wire import Wire

SAID = "return document.querySelector('#progressText').textContent"  # "Done: 12 contexts in 29 s."
PATIENCE = 900.0  # seconds: 15 MB at 400 kbit/s take five minutes


def once(browser: Browser, wire: Wire, bits: float) -> dict[str, Any]:
    """One visit at so many bits a second."""
    browser.fresh()
    wire.rate = bits / 8
    wire.received = 0
    page = browser.new_page()
    began = time.monotonic()
    open_home(page, wire)
    wait_for(page, "!find('#run').disabled")
    shown, page_bytes = time.monotonic() - began, wire.received
    pressed = time.monotonic()
    page.click("button", BENCHMARK)
    wait_text(page, "#resultsEmpty", "Measured in this browser", timeout=PATIENCE)
    first = time.monotonic() - pressed
    wait_for(page, IN_VIEW, timeout=PATIENCE)
    return {
        "page_s": round(shown, 1),
        "first_context_s": round(first, 1),
        "result_s": round(time.monotonic() - pressed, 1),
        "measuring_s": int(re.findall(r"\d+", page.evaluate(SAID))[-1]),
        "bytes_page": page_bytes,
        "bytes_measuring": wire.received - page_bytes,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(JOURNEY_ENGINES))
    parser.add_argument("--bits", default="10e6,400e3", help="bits a second, for each a visit")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server, Wire(server.port) as wire:
        for name in args.engines.split(","):
            with ENGINES[name].launch() as browser:
                for bits in args.bits.split(","):
                    results.setdefault(name, {})[bits] = once(browser, wire, float(bits))
                    print(name, bits, results[name][bits], file=sys.stderr)
                results[name]["browser"] = browser.version
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
