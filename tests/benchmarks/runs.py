"""How long the two runs of the page take: python tests/benchmarks/runs.py [--engines …] [--json].

Presses the page's own buttons and reads the time from its first progress line to its last, by the browser's
clock: the time of benchmarking, without the start of Python, which is given beside it. Budgets are 20 s and
4 minutes; a run may end earlier when every context is measured.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2e.drivers.base import Page, text, wait_text
from e2e.engines import ENGINES, JOURNEY_ENGINES
from e2e.server import Server
from e2e.steps import BENCHMARK, BOOT_SECONDS, THOROUGH, open_home
from e2e.wire import Wire

BUTTONS = {"quick": (BENCHMARK, 20.0), "thorough": (THOROUGH, 240.0)}
NOTE_TIMES = """
const line = document.querySelector("#progressText");
window.noted = [];
new MutationObserver(() => window.noted.push([performance.now(), line.textContent]))
  .observe(line, { childList: true });
window.pressed = performance.now();
"""


def once(page: Page, wire: Wire, run: str) -> dict[str, Any]:
    """One run from the button to its last word."""
    button, budget = BUTTONS[run]
    open_home(page, wire)
    page.evaluate(NOTE_TIMES)
    page.click("button", button)
    wait_text(page, "#progressText", "Done", timeout=BOOT_SECONDS + 2 * budget)
    pressed, noted = page.evaluate("return [window.pressed, window.noted]")
    measuring = [when for when, words in noted if " s left" in words]
    done = next(when for when, words in noted if "Done" in words)
    contexts = int(re.sub(r"\D", "", re.search(r"[\d,.\s]+", text(page, "#progressText"))[0]))  # type: ignore[index]
    return {
        "budget_s": budget,
        "benchmarking_s": round((done - measuring[0]) / 1000, 2),
        "start_of_python_s": round((measuring[0] - pressed) / 1000, 2),
        "contexts": contexts,
        "progress_lines": len(measuring),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default=",".join(JOURNEY_ENGINES))
    parser.add_argument("--runs", default=",".join(BUTTONS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server, Wire(server.port) as wire:
        for name in args.engines.split(","):
            with ENGINES[name].launch() as browser:
                for run in args.runs.split(","):
                    browser.fresh()
                    results.setdefault(name, {})[run] = once(browser.new_page(), wire, run)
                    print(name, run, results[name][run], file=sys.stderr)
                results[name]["browser"] = browser.version
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
