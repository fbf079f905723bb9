"""What the forge makes of one plain function, against the catalogue's hand-written variants and its JavaScript.

    python tests/benchmarks/forge.py [--engines chromium,firefox,webkit] [--kernels dot,copy] [--json FILE]
    python tests/benchmarks/forge.py --new         the ten functions of examples/forge, against their JavaScript

Both sides are timed in one run of each browser, as candidates of one kernel. "hand" is the time of the best
hand-written variant over that of the best forged one (at most six are kept): 100 % is as fast. JavaScript is the
catalogue's plain baseline, for new functions the faster of the generated ones. Not a test: nothing fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from kernels_wasm.forge import candidates, command, tune, write  # noqa: E402
from kernels_wasm.forge.compiling import Compiler, a_compiler  # noqa: E402
from kernels_wasm.forge.loading import load  # noqa: E402
from kernels_wasm.forge.rewrites import FIXED, SIMD  # noqa: E402
from kernels_wasm.translate.module import script  # noqa: E402
from kernels_wasm.translate.source import Source  # noqa: E402

SOURCES = ROOT / "tests/benchmarks/forge_sources"
EXAMPLES = ROOT / "examples/forge"
KERNELS = (
    "saxpy", "dot", "copy", "histogram", "sum", "saturating_add", "rgb_to_grey", "hamming", "prefix_sum", "strided_sum",
)  # fmt: skip
HAND = "handWritten"
FIRST_PLACE = 40  # static tables of forged modules lie behind those of the catalogue's


def javascript(name: str, source: Source) -> str:
    """The catalogue's baselines and inputs; of `sum` the generated ones, with doubles as the plain baseline."""
    path = ROOT / f"kernels_wasm/js/{name}.js"
    if not path.exists():
        return script(source)
    util = (
        (path.parent / "util.js")
        .read_text()
        .replace("// @ts-check\n", "")
        .replace("export function", "function")
    )
    lines = [line for line in path.read_text().splitlines() if not line.startswith("import ")]
    return util + "\n".join([*lines, ""])


def by_hand(name: str, compiler: Compiler) -> list[tuple[tuple[str, ...], tuple[str, ...], bytes]]:
    """(optimisations, features, module) of each hand-written variant."""
    dist = ROOT / "kernels_wasm/dist"
    manifest = json.loads((dist / "manifest.json").read_text())
    for kernel in manifest["kernels"]:
        if kernel["name"] == name:
            bundles = {key: (dist / entry["path"]).read_bytes() for key, entry in manifest["bundles"].items()}
            return [
                (tuple(v["optimisations"]), tuple(v["features"]),
                 bundles[v["bundle"]][v["offset"] : v["offset"] + v["size"]])
                for v in kernel["variants"]
            ]  # fmt: skip
    text = (SOURCES / f"{name}.c").read_text()
    plain = compiler.link(compiler.compile(text, FIXED))
    vectors = compiler.link(compiler.compile(text, (*FIXED, *SIMD, "-DFT_SIMD")))
    return [((), (), plain), (("loopUnrolling", "vectorization"), ("simd",), vectors)]


def against_hand(name: str, engines: list[str], compiler: Compiler) -> dict[str, Any]:
    """One kernel's figures: rows of engine, size, pattern, hand (ratio), javascript (speedup), and the winner."""
    source = load(SOURCES / f"{name}.py")
    found = candidates.find(source, compiler)
    variants = write.named(found.kept)
    hand = by_hand(name, compiler)[: write.MOST - len(variants)]
    files = write.files(source, variants, compiler, {}, FIRST_PLACE)
    script = javascript(name, source)
    text = write.description(source, variants, {})
    text = text.replace("jsTuned = false", f"jsTuned = {str('export function jsTuned(' in script).lower()}")
    for number, (optimisations, features, module) in enumerate(hand):
        file = f"hand{number}.wasm"
        files[file] = module
        text += (
            f"\n[[variants]]\nmodule = {json.dumps(file)}\n"
            f"optimisations = {json.dumps(sorted([*optimisations, HAND]))}\nfeatures = {json.dumps(list(features))}\n"
        )
    files |= {f"{source.name}.toml": text.encode(), f"{source.name}.js": script.encode()}
    timed = tune.measure(tune.package(files), engines, [source.sizes[2], source.sizes[4]])
    forged = [t for t in timed.timings if HAND not in t.candidate]
    if not any(t.candidate == "scalar" for t in forged):
        raise SystemExit("\n".join([f"{name}: nothing forged could be timed", *timed.problems]))
    kept = tune.chosen(forged)
    rows = []
    for (engine, size, pattern), times in tune.by_place(timed.timings).items():
        best, winner = min((times[k], k) for k in kept if k in times)
        rival, other = min((ms, k) for k, ms in times.items() if HAND in k)
        plain = times["js"] if name != "sum" else times["js-tuned"]
        rows.append({"kernel": name, "engine": engine, "size": size, "pattern": pattern, "hand": rival / best,
                     "javascript": plain / best, "winner": winner, "rival": other})  # fmt: skip
    return {"rows": rows, "kept": kept, "problems": timed.problems, "browsers": timed.browsers}


def new_function(path: Path, engines: list[str]) -> dict[str, Any]:
    """Minutes from source to kernel, verdicts and speedups of one of the examples."""
    began = time.monotonic()
    arguments = argparse.Namespace(
        source=path, out=Path("/tmp/forge") / path.stem, engines=",".join(engines), sizes=3, proof=20.0
    )
    report, _ = command.make(arguments)
    return {"kernel": path.stem, "minutes": (time.monotonic() - began) / 60, "speedups": report.speedups(),
            "kept": list(report.kept), "verdicts": report.verdicts,
            "problems": report.tuned.problems if report.tuned else []}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default="chromium,firefox,webkit")
    parser.add_argument("--kernels", default="")
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    engines = args.engines.split(",")
    results: list[dict[str, Any]] = []
    if args.new:
        names = args.kernels.split(",") if args.kernels else sorted(p.stem for p in EXAMPLES.glob("*.py"))
        for name in names:
            results.append(new_function(EXAMPLES / f"{name}.py", engines))
            one = results[-1]
            speeds = "  ".join(f"{engine} {value:5.2f}" for engine, value in one["speedups"].items())
            print(f"{name:18} {one['minutes']:.1f} min  {speeds}  {one['problems'] or ''}", flush=True)
    else:
        with a_compiler() as compiler:
            for name in args.kernels.split(",") if args.kernels else KERNELS:
                one = against_hand(name, engines, compiler)
                results.append(one)
                for row in one["rows"]:
                    place = f"{name:15} {row['engine']:9} {row['size']:>8,} {row['pattern']:9}"
                    print(f"{place} hand {row['hand']:6.1%}  js {row['javascript']:6.2f}  {row['winner']} against "
                          f"{row['rival']}", flush=True)  # fmt: skip
                for problem in one["problems"]:
                    print(f"  {problem}")
        rows = [row for one in results for row in one["rows"]]
        by_kernel = {
            n: tune.geometric_mean(r["hand"] for r in rows if r["kernel"] == n)
            for n in {r["kernel"] for r in rows}
        }
        print("\n" + "  ".join(f"{name} {value:.0%}" for name, value in sorted(by_kernel.items())))
        print(f"against hand-written: geometric mean {tune.geometric_mean(r['hand'] for r in rows):.1%}, "
              f"least kernel {min(by_kernel.values()):.1%}, least cell {min(r['hand'] for r in rows):.1%}")  # fmt: skip
        print(f"against plain JavaScript: {tune.geometric_mean(r['javascript'] for r in rows):.2f}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
