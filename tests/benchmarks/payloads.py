"""Sizes of what a browser downloads: the full model, deltas after a retrain and after one environment moved.

`python tests/benchmarks/payloads.py [--json]`. Rows are the lab's where there are any, else synthetic ones
over the built catalogue: the full size and the deltas after a retrain. What one environment's move costs is
asked of a fleet of several environments around them (`fleet_*`); of the lab alone, where one environment
is half of everything, it is `delta_half_ratio`. `apply_ms` is measured in Pyodide (Node), the median of 20.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests import node, synthetic  # noqa: E402

from fleetune.artefact import COLUMNS, STEP  # noqa: E402
from fleetune.delta import apply  # noqa: E402
from fleetune.manifest import Manifest  # noqa: E402
from fleetune.model import Model  # noqa: E402
from fleetune_research.fleet.world import Parameters, build  # noqa: E402
from fleetune_server.publish.diff import diff  # noqa: E402
from fleetune_server.training.fit import Rows, fit  # noqa: E402
from fleetune_server.training.lab import load  # noqa: E402
from fleetune_server.training.sources import lab_rows  # noqa: E402

# Columns that say what a wide row is about; the others hold what was learned.
KEYS = {f"row.{name}" for name in COLUMNS} - {"row.value", "row.sd", "row.contrast"}
AGAIN_SD = 0.03  # every cell measured anew: ln speedup
MOVED_SD = 0.1  # the one environment's change


def rows(manifest: Manifest) -> tuple[str, Rows]:
    """Where the rows are from, and the rows."""
    lab = load(ROOT / "kernels_wasm" / "lab", manifest)
    return ("lab", lab_rows(lab, manifest)) if lab else ("synthetic", synthetic.measured(manifest))


def again(measured: Rows, sd: float, only: int | None = None) -> Rows:
    """The rows after another measurement, of all cells or of one environment's."""
    noise = np.random.default_rng(1).normal(0, sd, len(measured))
    if only is not None:
        noise[measured.frame.environment != only] = 0
    return dataclasses.replace(measured, target=measured.target + noise)


def apply_ms(old: bytes, delta: bytes, new: bytes) -> float:
    """Milliseconds to apply a delta in Pyodide: the median of 20, result checked."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("old", old), ("delta", delta), ("new", new)):
            (Path(folder) / name).write_bytes(data)
        script = Path(__file__).with_name("apply_in_pyodide.mjs")
        return float(node.run(script, folder, timeout=300))


def measure(pyodide: bool = True) -> dict[str, object]:
    """Every figure, by name."""
    manifest = Manifest.load((ROOT / "kernels_wasm" / "dist" / "manifest.json").read_bytes())
    source, measured = rows(manifest)
    first, _ = fit(measured, seed=0, version=1, clip=0.5)
    dense, _ = fit(again(measured, AGAIN_SD), seed=0, init=first, prior="train", version=2, clip=0.35)
    usual, _ = fit(again(measured, AGAIN_SD), seed=0, init=first, prior="keep", version=2, clip=0.35)
    half, _ = fit(again(measured, MOVED_SD, only=0), seed=0, init=first, prior="keep", version=2, clip=0.5)
    old = first.to_bytes()
    full = len(gzip.compress(old, mtime=0))
    deltas = {}
    for name, model in (("dense", dense), ("usual", usual), ("half", half)):
        deltas[name] = diff(old, model.to_bytes())
        assert apply(old, deltas[name], len(model.to_bytes())) == model.to_bytes()
    figures: dict[str, object] = {
        "rows": source,
        "cells": len(measured),
        "full_bytes": len(old),
        "full_gzip_bytes": full,
        "float32_bytes": float32_bytes(first),
        "compression_vs_float32": round(float32_bytes(first) / full, 2),
    }
    for name, delta in deltas.items():
        figures[f"delta_{name}_bytes"] = len(delta)
        figures[f"delta_{name}_ratio"] = round(len(delta) / full, 4)
    figures |= fleet(measured)
    if pyodide:
        figures["apply_ms"] = apply_ms(old, deltas["dense"], dense.to_bytes())
    return figures


def fleet(measured: Rows) -> dict[str, object]:
    """A model of many environments, and the delta after one of them moved."""
    everyone = Rows.join([measured, build(measured, Parameters(), seed=0).rows])
    environments = len(everyone.frame.environments)
    moved = again(everyone, MOVED_SD, only=environments // 2)
    first, _ = fit(everyone, seed=0, version=1, clip=0.5)
    one, _ = fit(moved, seed=0, init=first, prior="keep", version=2, clip=0.5)
    old, new = first.to_bytes(), one.to_bytes()
    full, delta = len(gzip.compress(old, mtime=0)), diff(old, new)
    assert apply(old, delta, len(new)) == new
    return {
        "fleet_environments": environments,
        "fleet_full_gzip_bytes": full,
        "fleet_compression_vs_float32": round(float32_bytes(first) / full, 2),
        "delta_one_environment_bytes": len(delta),
        "delta_one_environment_ratio": round(len(delta) / full, 4),
    }


def float32_bytes(model: Model) -> int:
    """The size of the model's learned numbers as float32, without steps and keys."""
    return 4 * sum(
        array.size
        for name, array in model.artefact.stored.items()
        if name not in KEYS and not name.endswith(STEP)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args()
    figures = measure()
    print(
        json.dumps(figures) if args.json else "\n".join(f"{key}: {value}" for key, value in figures.items())
    )


if __name__ == "__main__":
    main()
