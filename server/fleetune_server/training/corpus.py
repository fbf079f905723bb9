"""Kernels that only teach: the lab measured them, the model learns from them, and no page is offered them.

They lie in a folder of the lab's: `kernels.json`, their entries as a manifest has them, and a file of rows per engine
(`python -m kernels_wasm.lab.record --forged …` writes both).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from fleetune.manifest import SCHEMA, Manifest
from fleetune_server.training.lab import LabError, load, of_visitors
from fleetune_server.training.sources import Lab, lab_rows

FOLDER, KERNELS = "corpus", "kernels.json"


def taught(folder: Path, manifest: Manifest) -> Manifest:
    """The catalogue and what the corpus in this folder has beside it; LabError if that cannot be read."""
    try:
        entries = json.loads((folder / KERNELS).read_bytes())
        more = Manifest.load({"schema": SCHEMA, "bundles": {}, "kernels": entries})
    except FileNotFoundError:
        return manifest
    except (OSError, ValueError) as error:
        raise LabError(f"{FOLDER}/{KERNELS}: {error}") from error
    # Under names of their own: an operator's kernel may be called the same.
    only = {
        f"{FOLDER}/{name}": kernel
        for name, kernel in more.kernels.items()
        if kernel.signature not in manifest.by_signature
    }
    return replace(manifest, kernels={**manifest.kernels, **only})


def measured(lab: Path, manifest: Manifest) -> Lab:
    """The public rows of a lab folder, of visitors' browsers, and those of its corpus."""
    corpus = lab / FOLDER
    whole = taught(corpus, manifest)
    own = {kernel.signature for kernel in manifest.kernels.values()}
    more = [row for row in of_visitors(load(corpus, whole)) if row.signature not in own]
    return Lab(lab_rows(of_visitors(load(lab, manifest)), manifest), corpus=lab_rows(more, whole))
