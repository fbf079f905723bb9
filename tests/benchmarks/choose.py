"""How well `choose` chooses between real libraries: python tests/benchmarks/choose.py --engines chromium --json

For each engine and each job of examples/choose, a fresh profile measures for two seconds; judged is the next page
load, with all that it loads. The truth is measured afterwards by choose_page.mjs, which shares no code with the
product. All fractions weigh a job's sizes alike and include loading:

client_gzip_bytes               of what each visit loads, minified; what only measuring needs is named beside it
percent_of_oracle               cost of the best set of implementations in hindsight ÷ cost of what was chosen
handwritten                     the same of a script that times all once and keeps the winner of each size
webfft                          the same, for the fft job, of webfft's own profile (one winner for all sizes)
slower_than_reference_percent   of the cells, where the choice takes more than 3 % longer than the first implementation
second_load_ms                  until the next page load has its choice (median of 5)
load                            of the machine (1 min) before and after
sync_overhead_ns, async_overhead_us   of a call through the choice
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import itertools
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from e2e.drivers.base import Page
from e2e.engines import ENGINES

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "choose"
WEB = ROOT / "browser" / "web"
JOBS = ("sha256", "fft", "resize", "deflate", "onnx")
ISOLATED = (
    "onnx",
)  # threads need an isolated page; the clocks of the others are as coarse as pages have them
PAGE = b"<!doctype html><meta charset=utf-8><title>choose</title>"
OPEN = 'const page = await import("/choose_page.mjs"); const { job } = await import(`/www/${a[0]}.js`);'
CHOOSE = 'const { choose } = await import("/web/embed/choose.js");'
# webfft's names for the parts that the example has
WEBFFT = {
    "kissWasm": "kiss",
    "indutnyModifiedJavascript": "indutny",
    "nayuki3Wasm": "nayuki",
    "indutnyJavascript": "fftJs",
}

Cells = Mapping[str, Mapping[str, float]]


class Handler(http.server.SimpleHTTPRequestHandler):
    """The examples, the product's sources under /web, and the harness."""

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        if path.startswith("/web/"):
            return str(WEB / path.removeprefix("/web/"))
        if path == "/choose_page.mjs":
            return str(Path(__file__).with_name("choose_page.mjs"))
        return super().translate_path(path)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def end_headers(self) -> None:
        if self.path != "/":
            self.send_header("cross-origin-opener-policy", "same-origin")
            self.send_header("cross-origin-embedder-policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """No log."""


def cost(
    cells: Cells,
    loads: Mapping[str, float],
    chosen: Mapping[str, str],
    calls: int,
    loaded: Iterable[str] = (),
) -> float:
    """ms of `calls`, spread over the sizes alike, and of loading what they use and what was `loaded` besides."""
    running = sum(times[chosen[size]] for size, times in cells.items()) * calls / len(cells)
    return running + sum(loads[name] for name in {*chosen.values(), *loaded} & loads.keys())


def oracle(cells: Cells, loads: Mapping[str, float], calls: int) -> float:
    """The least cost over all sets of implementations."""
    sets = itertools.chain.from_iterable(itertools.combinations(loads, n) for n in range(1, len(loads) + 1))
    return min(
        cost(cells, loads, {size: min(names, key=times.__getitem__) for size, times in cells.items()}, calls)
        for names in sets
    )


def measure(engine: str, origin: str, jobs: list[str]) -> dict[str, Any]:
    """All figures of one engine."""
    figures: dict[str, Any] = {}
    fractions: dict[str, dict[str, float]] = {"percent_of_oracle": {}, "handwritten": {}, "webfft": {}}
    slower, cells = 0, 0
    with ENGINES[engine].launch() as browser:
        for job in jobs:
            browser.fresh()
            page = browser.new_page()
            at = f"{origin}/{'?isolated' if job in ISOLATED else ''}"
            fresh(page, at)
            for _ in ("measuring", "judged"):
                found = page.evaluate(
                    OPEN + CHOOSE + "const loaded = page.noted(job);"
                    "const f = await choose(...job); await f.ready;"
                    "const at = (size) => [size, f.explain({ size }).implementation];"
                    "return { chosen: Object.fromEntries(job[2].sizes.map(at)), loaded,"
                    " aside: f.explain().setAside, calls: job[2].expect.calls,"
                    " reference: Object.keys(job[1])[0] };",
                    job,
                    timeout=120,
                )
                fresh(page, at)
            by_hand = page.evaluate(OPEN + "return page.handwritten(job)", job, timeout=300)
            fresh(page, at)
            real = page.evaluate(OPEN + "return page.truth(job)", job, timeout=600)
            best = oracle(real["cells"], real["loads"], found["calls"])

            def fraction(
                chosen: Mapping[str, str],
                loaded: Iterable[str] = (),
                real: Any = real,
                best: float = best,
                calls: int = found["calls"],
            ) -> float:
                return round(best / cost(real["cells"], real["loads"], chosen, calls, loaded), 4)

            fractions["percent_of_oracle"][job] = fraction(found["chosen"], found["loaded"])
            fractions["handwritten"][job] = fraction(by_hand)
            if job == "fft":
                fractions["webfft"][job] = fraction(profiled(page, origin, real["cells"]))
            reference = found["reference"]  # WebKit's driver gives keys in an order of its own
            for size, times in real["cells"].items():
                cells += 1
                slower += times[found["chosen"][size]] > 1.03 * times[reference]
            figures[job] = {
                "chosen": found["chosen"],
                "loaded": found["loaded"],
                "set_aside": found["aside"],
                "ms": real["cells"],
                "load_ms": real["loads"],
            }
        fresh(page, f"{origin}/")  # the same tab: WebKit shows one, and what is not seen does not measure
        figures["second_load_ms"] = second_load(page, origin, jobs[0])
        fresh(page, f"{origin}/")
        figures |= page.evaluate(OPEN + CHOOSE + "return page.overhead(choose)", jobs[0], timeout=120)
        version = browser.version
    means = {key: round(statistics.fmean(by.values()), 4) for key, by in fractions.items() if by}
    return {
        **means,
        "by_job": fractions,
        "slower_than_reference_percent": round(100 * slower / cells, 2),
        **figures,
        "version": version,
    }


def fresh(page: Page, url: str) -> None:
    """The next page load: no code is warm, storage stays."""
    page.open(url)


def profiled(page: Page, origin: str, cells: Cells) -> dict[str, str]:
    """What webfft's own profile chooses, as the example names it."""
    fresh(page, f"{origin}/")
    name = page.evaluate('return (await import("/www/webfft_profile.js")).profile()', timeout=120)
    return dict.fromkeys(cells, WEBFFT.get(name, "fftJs"))


def recorded(engine: str, origin: str, jobs: list[str]) -> dict[str, Any]:
    """30 interleaved batches of everything, as tests/recorded/choose_series.json has them."""
    made: dict[str, Any] = {}
    with ENGINES[engine].launch() as browser:
        for job in jobs:
            browser.fresh()
            page = browser.new_page()
            fresh(page, f"{origin}/")
            real = page.evaluate(OPEN + "return page.truth(job, 30)", job, timeout=600)
            for size, by in real["batches"].items():
                made[f"{engine} {job} {size}"] = {
                    name: {
                        "ms": [float(f"{ms:.4g}") for ms in one["ms"]],
                        "quantum": float(f"{one['quantum']:.3g}"),
                    }
                    for name, one in by.items()
                }
    return made


def second_load(page: Page, origin: str, job: str) -> float:
    """ms from calling `choose` to having the last visit's choice. It is looked for by messages: timers step by 4 ms."""
    page.evaluate(OPEN + CHOOSE + "await (await choose(...job)).ready", job, timeout=60)
    took = []
    for _ in range(5):
        fresh(page, f"{origin}/")
        took.append(
            page.evaluate(
                OPEN + CHOOSE + "const began = performance.now(); const f = await choose(...job);"
                "const { port1, port2 } = new MessageChannel();"
                "const turn = () => new Promise((resolve) => { port1.onmessage = resolve; port2.postMessage(0); });"
                "while (f.explain().source !== 'measured') await turn();"
                "return performance.now() - began;",
                job,
            )
        )
    return round(float(statistics.median(took)), 1)


def client_bytes(modules: Path = EXAMPLES / "node_modules") -> dict[str, int]:
    """gzip bytes of choose.js and its imports, minified by esbuild: for each visit, and to measure without a server."""
    with tempfile.TemporaryDirectory() as folder:
        build = (modules / ".bin" / "esbuild", WEB / "embed" / "choose.js", f"--outdir={folder}")
        options = ("--bundle", "--splitting", "--minify", "--format=esm", "--log-level=error")
        subprocess.run([*build, *options], check=True)
        at_once = gzipped(imported(Path(folder) / "choose.js", r'from"(\./[^"]+)"'))
        measuring = imported(
            Path(folder) / "choose.js",
            r'(?:from|import\()"(\./(?!from_calls|in_worker|first_guess|wrong)[^"]+)"',
        )
        return {
            "client_gzip_bytes": at_once,
            "client_gzip_bytes_measuring": gzipped(measuring) - at_once,
            "client_gzip_bytes_as_served": gzipped(
                imported(WEB / "embed" / "choose.js", r'from "(\.[^"]+)"')
            ),
        }


def imported(entry: Path, pattern: str) -> set[Path]:
    """The module and those that it imports, by what `pattern` takes for an import."""
    files, queue = set(), [entry]
    while queue:
        file = queue.pop()
        if file not in files:
            files.add(file)
            queue += [(file.parent / name).resolve() for name in re.findall(pattern, file.read_text())]
    return files


def gzipped(files: set[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default="chromium,firefox,webkit")
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", action="store_true", help="print series of batches instead")
    options = parser.parse_args()
    if not (EXAMPLES / "www").exists():
        parser.error("first: cd examples/choose && npm ci && npm run build")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(EXAMPLES))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin, jobs = f"http://127.0.0.1:{server.server_port}", options.jobs.split(",")
    if options.record:
        series = [recorded(engine, origin, jobs) for engine in options.engines.split(",")]
        print(json.dumps({place: one for made in series for place, one in made.items()}))
        return 0
    figures: dict[str, Any] = {**client_bytes(), "load": [os.getloadavg()[0]]}
    for engine in options.engines.split(","):
        figures[engine] = measure(engine, origin, jobs)
    server.shutdown()
    figures["load"].append(os.getloadavg()[0])
    print(json.dumps(figures, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
