"""`make lab`: measure every candidate of every workload in every engine, through the page's own code.

    python -m kernels_wasm.lab.record [--engines chromium,firefox] [--repeats 3] [--kernels dot] [--append]
    python -m kernels_wasm.lab.record --forged examples/forge/*.kernel   kernels by which first choices are judged

Writes `<engine>.jsonl` beside this file. FLEETUNE_QUIET_LOCK names a lock file that is held exclusively
during each browser launch, for machines where something else may run.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.drivers.base import DriverError, Page
from e2e.engines import ENGINES, LAB_ENGINES, Engine
from e2e.server import ROOT, Server
from kernels_wasm.lab import forged

from fleetune.app.measure import FIXED
from fleetune.context import COPIED
from fleetune.manifest import Kernel, Manifest

FOLDER = Path(__file__).resolve().parent
SCRIPT = (FOLDER / "record.js").read_text()
FORGED = ROOT / "server" / "fleetune_research" / "forged_lab"
MANIFEST = ROOT / "kernels_wasm" / "dist" / "manifest.json"

PROTOCOL = asdict(FIXED) | {"order": "interleaved rounds, shuffled", "estimator": "mean of the faster half"}
POLL_SECONDS = 1.0
BOOT_SECONDS = 180.0
STALL_SECONDS = 120.0  # no new result for so long: the run is broken
DIGITS = 4
ATTEMPTS = 3  # launches of one share until the switches are proved before and after

Workload = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Record; 1 if an engine could not be started, proved or measured (the others are still recorded)."""
    args = _arguments(argv)
    manifest = Manifest.load(MANIFEST.read_bytes())
    names = args.kernels.split(",") if args.kernels else list(manifest.kernels)
    failed = []
    with tempfile.TemporaryDirectory() as data, Server(Path(data)) as server:
        if args.forged:
            manifest = forged.publish(args.forged, server)
            names = list(manifest.kernels)
            args.out.mkdir(exist_ok=True)
            forged.write(args.out, manifest)
        workloads = [workload for name in names for workload in workloads_of(manifest.kernels[name])]
        for name in args.engines.split(","):
            try:
                record(ENGINES[name], server.url, workloads, manifest, args)
            except DriverError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed.append(name)
    return 1 if failed else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make lab", description="Measure every variant in every engine here."
    )
    parser.add_argument("--engines", default=",".join(LAB_ENGINES), help="comma-separated (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="separate browser launches (default 3)")
    parser.add_argument("--kernels", default="", help="only these, comma-separated (default: all)")
    parser.add_argument("--append", action="store_true", help="keep the rows of other kernels")
    parser.add_argument(
        "--launches", type=int, default=2, help="launches that share one repeat's workloads (default 2)"
    )
    parser.add_argument(
        "--batch-ms", type=float, default=FIXED.batch_ms, help="least time of a batch (default %(default)s)"
    )
    parser.add_argument(
        "--forged", type=Path, nargs="+", metavar="FOLDER", help="kernels as `fleetune forge` writes them"
    )
    parser.add_argument("--out", type=Path, help="folder (default: this one, or the evaluation's)")
    args = parser.parse_args(argv)
    args.out = args.out or (FORGED if args.forged else FOLDER)
    return args


def workloads_of(kernel: Kernel) -> list[Workload]:
    """Every context of a kernel as the page's `benchmark` operation takes it."""
    return [
        {"kernel": kernel.name, "size": size, "pattern": pattern, "copied": copied}
        for size, pattern, copied, _ in kernel.contexts()
    ]


def shares(workloads: Sequence[Workload], launches: int) -> Iterator[Sequence[Workload]]:
    """Cells in order, in about equal parts: neighbours share a kernel, so its loops are warmed up once."""
    size = math.ceil(len(workloads) / launches)
    return (workloads[start : start + size] for start in range(0, len(workloads), size))


def record(
    engine: Engine, url: str, workloads: Sequence[Workload], manifest: Manifest, args: argparse.Namespace
) -> None:
    """All repeats of one engine; its file is written after each. DriverError leaves the last good one."""
    path: Path = args.out / f"{engine.name}.jsonl"
    earlier = path.read_text().splitlines() if args.append and path.exists() else []
    measured = {workload["kernel"] for workload in workloads}
    rows = [line for line in map(json.loads, earlier[1:]) if line["kernel"] not in measured]
    if rows and any(_stale(json.loads(earlier[0])["header"], manifest, line["kernel"]) for line in rows):
        raise DriverError("cannot append: the file is of another build of its kernels; record it all")
    for repeat in range(args.repeats):
        for part, share in enumerate(shares(workloads, args.launches)):
            began = time.monotonic()
            header, results, held = _proven_launch(engine, url, share, repeat, args.batch_ms)
            if earlier and _made_otherwise(json.loads(earlier[0])["header"], header):
                raise DriverError("cannot append: browser or protocol differ from the file's; record it all")
            rows += [row(result, repeat, manifest) for result in results]
            print(
                f"{engine.name} repeat {repeat} part {part}: {len(results)} workloads in "
                f"{time.monotonic() - held:.0f} s (waited {held - began:.0f} s for quiet)",
                flush=True,
            )
        write(path, header | {"kernels": kernel_table(rows, manifest)}, rows)


def write(path: Path, header: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Header and rows in a stable order; the file is replaced whole."""
    ordered = sorted(rows, key=lambda r: (r["repeat"], r["kernel"], r["pattern"], r["size"]))
    partial = path.with_suffix(".part")
    lines = [{"header": header}, *ordered]
    partial.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    partial.replace(path)


def _stale(before: dict[str, Any], manifest: Manifest, name: str) -> bool:
    kernel = manifest.kernels.get(name)
    return kernel is None or before["kernels"][name] != kernel_table([{"kernel": name}], manifest)[name]


def _made_otherwise(before: dict[str, Any], now: dict[str, Any]) -> bool:
    return any(before[key] != now[key] for key in ("browserVersion", "flags", "environment", "protocol"))


def _proven_launch(
    engine: Engine, url: str, workloads: Sequence[Workload], repeat: int, batch_ms: float
) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
    """`launch`, and again where a disturbed machine kept the browser from the tier it should run in."""
    for attempt in range(ATTEMPTS):
        with _quiet():
            held = time.monotonic()
            try:
                return *launch(engine, url, workloads, repeat, batch_ms), held
            except DriverError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                print(f"{engine.name} repeat {repeat}: thrown away, once more: {error}", file=sys.stderr)
    raise AssertionError("unreachable")


def launch(
    engine: Engine, url: str, workloads: Sequence[Workload], repeat: int, batch_ms: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One browser from start to end: prove its switches, measure, and hand back header and results."""
    with engine.launch() as browser:
        page = browser.new_page()
        page.open(f"{url}privacy")  # a page of our origin and headers that runs nothing
        proof = engine.prove(page)
        environment = page.evaluate(SCRIPT, list(workloads), repeat, batch_ms, timeout=BOOT_SECONDS)
        results = _watch(page, engine, len(workloads))
        after = engine.prove(page)
        version = browser.version
    del environment["fingerprint"]
    seen = {key: environment[key] for key in ("simd", "relaxedSimd")}
    if seen != {"simd": engine.simd, "relaxedSimd": engine.relaxed_simd}:
        raise DriverError(f"{engine.name}: the worker sees {seen}")
    header = {
        "schema": 1,
        "engine": engine.name,
        "browserVersion": version,
        "flags": engine.switches,
        "environment": {**environment, "browser": engine.wire_browser},
        "machine": f"{os.cpu_count()}-core {platform.machine().replace('_', '-')} server class",
        "date": datetime.now(UTC).date().isoformat(),
        "protocol": PROTOCOL | {"batch_ms": batch_ms},
        "isolated": proof["isolated"],
        "proof": {"tierRatio": [significant(proof["ratio"]), significant(after["ratio"])], **seen},
    }
    return header, results


def _watch(page: Page, engine: Engine, expected: int) -> list[dict[str, Any]]:
    """Wait until every workload is there; DriverError when the run fails or stands still."""
    last, since = -1, time.monotonic()
    while True:
        state = page.evaluate("const { results, ...rest } = lab; return { ...rest, count: results.length }")
        if state["error"]:
            raise DriverError(f"benchmark failed at {state['stage']}: {state['error']}")
        if state["done"]:
            break
        if state["count"] != last:
            last, since = state["count"], time.monotonic()
        elif time.monotonic() - since > STALL_SECONDS:
            raise DriverError(f"no result for {STALL_SECONDS:.0f} s at {state['stage']}")
        time.sleep(POLL_SECONDS)
    for one in state["aside"]:
        print(
            f"{engine.name}: {one['kernel']} {one['candidate']} set aside: {one['reason']}", file=sys.stderr
        )
    results: list[dict[str, Any]] = page.evaluate("return lab.results")
    if (
        len(results) != expected
    ):  # a JavaScript baseline failed here: the workload has nothing to be compared with
        print(f"{engine.name}: only {len(results)} of {expected} workloads came back", file=sys.stderr)
    return results


def row(result: dict[str, Any], repeat: int, manifest: Manifest) -> dict[str, Any]:
    """One line of the data set from one result of the page; numbers in the header's order of candidates."""
    kernel = manifest.kernels[result["kernel"]]
    candidates = [result["candidates"].get(name, {"ok": None}) for name in names(kernel)]
    timed = [c if c["ok"] else None for c in candidates]
    return {
        "repeat": repeat,
        "kernel": kernel.name,
        "size": result["size"],
        "pattern": result["pattern"] + (COPIED if result["copied"] else ""),
        "times": [c and significant(c["ms"]) for c in timed],
        "spread": [c and round(c["spread"], 2) for c in timed],
        "batches": [c and c["batches"] for c in timed],
        "wrong": sorted(name for name, c in result["candidates"].items() if not c["ok"]),
    }


def names(kernel: Kernel) -> list[str]:
    """Every candidate of a kernel, runnable here or not."""
    return [*kernel.baselines, *kernel.variants]


def kernel_table(rows: Sequence[dict[str, Any]], manifest: Manifest) -> dict[str, Any]:
    """What the header says once about each kernel in `rows`."""
    kernels = (manifest.kernels[name] for name in sorted({line["kernel"] for line in rows}))
    return {k.name: {"signature": k.signature, "dtype": k.dtype, "candidates": names(k)} for k in kernels}


def significant(value: float) -> float:
    """Four significant digits: finer than any measurement here."""
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value)))) if value else 0.0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold the lock that FLEETUNE_QUIET_LOCK names, if it names one."""
    name = os.environ.get("FLEETUNE_QUIET_LOCK")
    if not name:
        yield
        return
    with Path(name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
