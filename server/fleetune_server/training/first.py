"""Version 1, trained where the package is built: a new server is there at once.

`python -m fleetune_server.training.first` makes it. A server that measured other kernels, or whose code would train
another model of the same measurements, trains its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import fleetune
from fleetune.context import canonical_json
from fleetune.manifest import Manifest
from fleetune_server import training
from fleetune_server.settings import ROOT, Settings
from fleetune_server.training.gate import FIRST
from fleetune_server.training.sources import public_rows
from fleetune_server.training.train import TrainRequest, TrainResult, train

FOLDER = ROOT / "server" / "dist"
MODEL, ABOUT = "first.bin", "first.json"
CODE = (Path(fleetune.__file__).parent, Path(training.__file__).parent)
EXACT = 6  # decimals of measurements: processors differ beyond


def source(request: TrainRequest) -> str:
    """What the version is made of: a SHA-256 of measurements, kernels and code."""
    made_of = hashlib.sha256(canonical_json(request.manifest))
    for column in (request.lab.target, request.lab.variance):
        made_of.update(column.round(EXACT).astype("<f8").tobytes())
    for path in sorted(path for folder in CODE for path in folder.glob("*.py")):
        made_of.update(path.read_bytes())
    return made_of.hexdigest()


def shipped(request: TrainRequest, folder: Path = FOLDER) -> TrainResult | None:
    """What training this request would give, if it was made before: only without reports and an earlier version."""
    if request.previous or request.version != 1 or request.aggregates or not (folder / ABOUT).is_file():
        return None
    about = json.loads((folder / ABOUT).read_bytes())
    model = (folder / MODEL).read_bytes()
    if about["source"] != source(request) or about["sha256"] != hashlib.sha256(model).hexdigest():
        return None
    return TrainResult(model, about["metadata"], FIRST)


def make(request: TrainRequest, folder: Path = FOLDER) -> None:
    """Train it, and keep it there."""
    result = train(request)
    about = {
        "source": source(request),
        "sha256": hashlib.sha256(result.model).hexdigest(),
        "metadata": result.metadata,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(result.model)
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    settings = Settings()
    manifest = Manifest.load(json.loads((settings.kernels / "manifest.json").read_bytes()))
    make(TrainRequest(manifest.raw, public_rows(settings.lab, manifest), (), None, 1))
