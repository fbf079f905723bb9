"""`fleetune forge sum.py`: from one function to a tuned kernel."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from kernels_wasm.build.scripts import ScriptError
from kernels_wasm.forge import candidates, rewrites, write
from kernels_wasm.forge.compiling import CompileError, a_compiler
from kernels_wasm.forge.loading import load
from kernels_wasm.forge.report import Report
from kernels_wasm.translate.expressions import SourceError

ENGINES = "chromium,firefox,webkit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The source, where to write, and which browsers time it."""
    parser.add_argument("source", type=Path, help="a Python file with one @kernel function, or a C file")
    parser.add_argument(
        "--out", type=Path, help="folder for the kernel (default: <name>.kernel beside the source)"
    )
    parser.add_argument(
        "--engines", default=ENGINES, help="browsers that time it (default: %(default)s); '' for none"
    )
    parser.add_argument(
        "--proof",
        type=float,
        default=20,
        metavar="S",
        help="seconds for the proof of one variant (default 20; 0: none)",
    )
    parser.add_argument("--sizes", type=int, default=3, help="how many of its sizes are timed (default 3)")


def run(args: argparse.Namespace) -> int:
    """0, or 1 with what is wrong on stderr."""
    try:
        report, paths = make(args)
    except (
        SourceError,
        ScriptError,
        CompileError,
        candidates.UndefinedError,
        candidates.WrongModuleError,
        OSError,
    ) as error:
        for line in str(error).splitlines():
            print(f"{args.source}: {line}", file=sys.stderr)
        return 1
    print(report.text())
    for path in paths:
        print(path)
    print(f"\nNext: fleetune kernels check {paths[0]}")
    return 0


def make(args: argparse.Namespace) -> tuple[Report, list[Path]]:
    """Forge it and write the files."""
    began = time.monotonic()
    source = load(args.source)
    folder = args.out or args.source.parent / f"{source.name}.kernel"
    with a_compiler() as compiler:
        found = candidates.find(source, compiler)
        variants = write.named(found.kept)[: write.MOST]
        report = Report(source, variants, [v.name for v in variants], found.dropped, 0.0)
        report.unvectorised = rewrites.reasons(source.program)
        engines = [name for name in args.engines.split(",") if name]
        if engines:
            from kernels_wasm.forge import tune  # browsers and their drivers: only when they are wanted

            timed = tune.package(write.files(source, variants, compiler))
            report.tuned = tune.measure(timed, engines, write.spread(source.sizes, args.sizes))
            report.kept = tune.chosen(report.tuned.timings)
        kept = [variant for variant in variants if variant.name in report.kept]
        if args.proof > 0:
            kept = _proved(report, kept, args.proof)
        files = write.files(source, write.renamed(kept), compiler, report.verdicts)
    report.seconds = time.monotonic() - began
    paths = write.write(folder, {**files, "report.txt": report.text().encode()})
    return report, paths


def _proved(report: Report, kept: list[write.Named], seconds: float) -> list[write.Named]:
    """The kept ones that are not refuted; every verdict goes to the report."""
    from kernels_wasm.forge import proving

    scalar = kept[0].candidate
    good = [kept[0]]
    for variant, verdict in proving.verdicts(report.source, kept[1:], scalar, seconds):
        report.verdicts[variant.candidate.digest] = proving.in_words(verdict)
        if verdict.kind == "refuted":
            report.kept = [name for name in report.kept if name != variant.name]
            report.dropped = [*report.dropped, (variant.name, report.verdicts[variant.candidate.digest])]
        else:
            good.append(variant)
    return good


def main(argv: list[str] | None = None) -> int:
    """`python -m kernels_wasm.forge.command sum.py`."""
    parser = argparse.ArgumentParser(prog="fleetune forge", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
