"""The forge's commands.

python -m kernels_wasm.forge make sum.py               a tuned kernel of one function (also: fleetune forge sum.py)
python -m kernels_wasm.forge prove --all | KERNEL …    prove the catalogue's variants against their scalar modules
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kernels_wasm.build import verdicts
from kernels_wasm.forge import command
from kernels_wasm.forge.proof import smt
from kernels_wasm.forge.proof.command import prove_catalogue


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kernels_wasm.forge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prove = commands.add_parser(
        "prove", help="prove variants equal to their scalar module for every n up to N"
    )
    prove.add_argument("kernels", nargs="*", metavar="KERNEL")
    prove.add_argument("--all", action="store_true", help="every kernel of the catalogue")
    prove.add_argument("--json", action="store_true", help="print the report as JSON")
    prove.add_argument(
        "--n", type=int, help="N for all (default: twice the unrolled vector loop, at least 16)"
    )
    prove.add_argument(
        "--deadline", type=float, default=60, metavar="S", help="seconds for a module (default 60)"
    )
    prove.add_argument(
        "--results", type=Path, default=verdicts.PATH, help="where verdicts are kept (verdicts.json)"
    )
    prove.add_argument("--fresh", action="store_true", help="prove again what is kept there")
    prove.add_argument("--no-solver", action="store_true", help="without z3")
    made = "make a tuned kernel of one function"
    command.add_arguments(commands.add_parser("make", help=made, description=made))
    options = parser.parse_args(arguments)
    if options.command == "make":
        return command.run(options)
    if options.all == bool(options.kernels):
        prove.error("name kernels, or give --all")
    if options.n is not None and options.n < 0:
        prove.error("--n must not be negative")
    if not options.no_solver and not smt.available():
        print(
            "z3 is not installed (pip install 'fleetune[forge]'): its questions stay undecided",
            file=sys.stderr,
        )
    try:
        found = prove_catalogue(
            options.kernels,
            n=options.n,
            deadline=options.deadline,
            path=options.results,
            fresh=options.fresh,
            solver=not options.no_solver,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except (ValueError, OSError) as error:
        print(f"forge: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{found['decided']} of {found['modules']} modules decided, {found['refuted']} refuted")
        for name, row in found["kernels"].items():
            print(f"{name}: N = {row['n']}, {row['verdicts']}, {row['seconds']} s")
    return 1 if found["refuted"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
