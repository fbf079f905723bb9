"""python -m tests.calls [--minutes 30] [--seed 1] [--kernels dot,sort] [--json]

Makes adversarial calls until the time is up. Ends with 1 if any was wrong; `first` says after how many cases each kind
was found. Kernels are the catalogue's and, in turns, those of own.py; `--kernels` and `--tree` mean the catalogue's.
`--tree ../before --finite` calls another checkout whose kernels are built, such as an older one, without the counts
that unchecked code never comes back from (Node wants `{"type": "module"}` in its kernels_wasm/package.json).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tests.calls.attack import attack, kernels
from tests.calls.kinds import first_of
from tests.calls.own import own_kernels

MOST = 100_000  # wrong calls that are told


def tree(root: Path) -> dict[str, str]:
    """Where another checkout has its built kernels and its dispatcher."""
    places = [root / "browser/web" / name for name in ("embed/tuned_kernel.js", "tuned_kernel.js")]
    return {"dist": str(root / "kernels_wasm/dist"), "tuned": str(next(p for p in places if p.exists()))}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernels", default="", help="only these, separated by commas")
    parser.add_argument("--tree", type=Path, help="root of another checkout")
    parser.add_argument("--finite", action="store_true", help="no endless counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    only = options.kernels.split(",") if options.kernels else None
    where: dict[str, Any] = {"most": MOST, **(tree(options.tree) if options.tree else {})}
    own = () if only or options.tree else own_kernels()
    found = attack(
        options.seed, None, 60 * options.minutes, kernels(only), own, endless=not options.finite, **where
    )
    figures: dict[str, Any] = {key: len(found[key]) for key in ("kernels", "candidates", "ways", "wrong")}
    figures = {"seed": options.seed, "cases": found["cases"], "calls": found["calls"], **figures}
    first = first_of(found["wrong"])
    if first:
        figures["first"] = {name: wrong["case"] + 1 for name, wrong in first.items()}
    if options.json:
        print(json.dumps(figures))
    else:
        print(", ".join(f"{value} {key}" for key, value in figures.items()))
    for one in first.values():
        print(json.dumps(one), file=sys.stderr)
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
