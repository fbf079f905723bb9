"""Kernels that nobody wrote by hand and no model learns from: `fleetune forge` made them, and they judge first choices.

They lie in a folder: `kernels.json`, their entries as a manifest has them, and a file of rows per engine
(`python -m kernels_wasm.lab.record --forged …` writes both).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetune.manifest import SCHEMA, Manifest
from fleetune_server.training.lab import LabError, LabRow, load, of_visitors

FOLDER = Path(__file__).with_name("forged_lab")
ENTRIES = "kernels.json"


@dataclass(frozen=True)
class Forged:
    """The kernels, and what was measured of them."""

    manifest: Manifest
    lab: Sequence[LabRow]


def read(known: Manifest, folder: Path = FOLDER) -> Forged:
    """What is in the folder, without kernels that a server's catalogue `known` has as well; LabError if it cannot be
    read."""
    try:
        entries = json.loads((folder / ENTRIES).read_bytes())
        manifest = Manifest.load({"schema": SCHEMA, "bundles": {}, "kernels": entries})
    except (OSError, ValueError) as error:
        raise LabError(f"{folder.name}/{ENTRIES}: {error}") from error
    rows = of_visitors(load(folder, manifest))
    return Forged(manifest, [row for row in rows if row.signature not in known.by_signature])
