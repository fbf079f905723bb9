"""Prove the modules of the catalogue, one after another; what is proved already is not proved again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kernels_wasm.build import catalogue, verdicts
from kernels_wasm.build.catalogue import KernelRow, VariantRow
from kernels_wasm.forge.proof.cases import WIDTHS, Spec
from kernels_wasm.forge.proof.decide import ORDER
from kernels_wasm.forge.proof.operations import Operations
from kernels_wasm.forge.proof.prove import Prover, Verdict
from kernels_wasm.forge.proof.terms import Terms

from fleetune.manifest import Manifest

ROOT = Path(__file__).resolve().parents[2]
UNROLLED = {"copy": 8, "fnv1a64": 8}  # copies of the loop's body with `loopUnrolling`; 4 elsewhere
FLOOR = 8  # N that every verdict reaches
FEWEST = 16  # n is proved at least so far
UNSUPPORTED = (
    "imported functions, tables, reference types",
    "symbolic addresses with more than 4,200 values or of unaligned words",
    "memory.copy and memory.fill of symbolic length",
    "jump tables with a symbolic index",
    "division by a symbolic value",
    "loops whose end depends on the data, beyond 200 open branches",
    "identities of floats beyond reordering and multiply-add (approximations, exact twiddles)",
)


def wanted(kernel: KernelRow, row: VariantRow) -> int:
    """The N to reach: twice what one turn of the unrolled vector loop takes, at most 64."""
    names = {o.name for o in row.optimisations}
    size = WIDTHS[kernel.dtype] // 8
    lanes = 16 // size if "vectorization" in names else 8 // size if "swar" in names and size == 1 else 1
    for name, step in (("slicing4", 4), ("slicing8", 8), ("pairTable", 3)):
        lanes = step if name in names else lanes
    if kernel.name == "base64" and "vectorization" in names:
        lanes = 12
    unroll = UNROLLED.get(kernel.name, 4) if "loopUnrolling" in names else 1
    if "tiling" in names and kernel.name == "transpose":
        lanes, unroll = 16, 1  # the tile, whatever is unrolled inside
    return max(FLOOR, min(64, 2 * lanes * unroll))


def load_modules(dist: Path = ROOT / "dist") -> tuple[catalogue.Catalogue, dict[str, bytes]]:
    """The catalogue's table and every built module by its label."""
    table = catalogue.load(ROOT / "variants.toml")
    manifest = Manifest.load((dist / "manifest.json").read_bytes())
    bundles = {name: (dist / bundle.path).read_bytes() for name, bundle in manifest.bundles.items()}
    modules = {
        f"{kernel.name}/{variant.name}": bundles[variant.bundle][
            variant.offset : variant.offset + variant.size
        ]
        for kernel in manifest.kernels.values()
        for variant in kernel.variants.values()
    }
    return table, modules


def prove_catalogue(
    names: Iterable[str],
    *,
    n: int | None,
    deadline: float,
    path: Path | None,
    fresh: bool = False,
    solver: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Prove the variants of these kernels (all if none are named); the report as JSON.

    With `path`, each verdict is written there at once and one that is there for the same bytes is kept, unless
    `fresh` or it stopped below the N that is wanted now. Raises ValueError for an unknown kernel.
    """
    from hashlib import sha256

    table, modules = load_modules()
    chosen = list(names)
    if unknown := set(chosen) - {k.name for k in table.kernels}:
        raise ValueError(f"no kernel is called {', '.join(sorted(unknown))}")
    rows = verdicts.read(path) if path else {}
    found: dict[str, dict[str, Any]] = {}
    for kernel in table.kernels:
        if chosen and kernel.name not in chosen:
            continue
        prover: Prover | None = None
        for row in kernel.variants:
            data = modules[row.label]
            digest = sha256(data).hexdigest()
            if row.name == "scalar":
                continue
            goal = wanted(kernel, row)
            kept = rows.get(digest)
            if kept is None or fresh or (n is not None and kept["kind"] != "refuted" and kept["n"] < n):
                prover = prover or Prover(
                    Spec.of(kernel), modules[f"{kernel.name}/scalar"], use_solver=solver
                )
                most = n if n is not None else max(goal, FEWEST)
                verdict = prover.prove(data, most, deadline, enough=min(goal, most))
                kept = rows[digest] = _row(row.label, goal, verdict)
                if path:
                    verdicts.write(rows, path)
                say(
                    f"{row.label}: {kept['kind']} to n = {kept['n']} in {kept['seconds']} s {kept.get('reason', '')}"
                )
            found[row.label] = kept
    return report(table, found, chosen)


def _row(label: str, goal: int, verdict: Verdict) -> dict[str, Any]:
    row = {"label": label, "kind": verdict.kind, "n": verdict.n, "wanted": goal}
    row["seconds"] = round(verdict.seconds, 1)
    if verdict.difference is not None:
        row["difference"] = float(f"{verdict.difference:.2g}")
    if verdict.tested:
        row["tested"] = verdict.tested
    if verdict.reason:
        row["reason"] = verdict.reason[:160]
    if verdict.assumptions:
        row["assumptions"] = list(verdict.assumptions)
    if verdict.counterexample:
        row["counterexample"] = verdict.counterexample.as_dict()
    return row


def report(table: catalogue.Catalogue, found: dict[str, dict[str, Any]], chosen: list[str]) -> dict[str, Any]:
    """Counts over all modules and for each kernel; the scalar modules are the specification."""
    kernels: dict[str, Any] = {}
    for kernel in table.kernels:
        if chosen and kernel.name not in chosen:
            continue
        rows = [found[row.label] for row in kernel.variants if row.label in found]
        kernels[kernel.name] = {
            "n": min((r["n"] for r in rows if r["kind"] in ORDER), default=None),
            "verdicts": dict(Counter(r["kind"] for r in rows)),
            "seconds": round(sum(r["seconds"] for r in rows), 1),
        }
    kinds = Counter(row["kind"] for row in found.values())
    decided = sum(kinds[kind] for kind in ORDER)
    return {
        "modules": len(found),
        "scalar": sum(1 for k in table.kernels if not chosen or k.name in chosen),
        "decided": decided,
        "share": round(decided / len(found), 3) if found else None,
        "refuted": kinds["refuted"],
        "verdicts": dict(kinds),
        "kernels": kernels,
        "opcodes": opcodes(),
        "unsupported": list(UNSUPPORTED),
        "seconds": round(sum(row["seconds"] for row in found.values()), 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def opcodes() -> dict[str, int]:
    """How many opcodes the machine executes, by prefix."""
    operations = Operations(Terms())
    codes = operations.binary.keys() | operations.general.keys()
    loads, control, bulk = 23, 22, 2
    plain = sum(code < 0x100 for code in codes)
    return {
        "plain": plain + loads + control,
        "bulk": bulk + 8,
        "vector": sum(c >> 16 == 0xFD for c in codes) + 22,
    }
