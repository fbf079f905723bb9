"""Forged kernels, published to the recorder's own server for as long as it measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from e2e.drivers.base import DriverError
from e2e.server import Server

from fleetune.manifest import Manifest

KERNELS = "kernels.json"  # beside the rows: what evaluation must know of them (fleetune_research/forged.py)


def publish(folders: Sequence[Path], server: Server) -> Manifest:
    """Add the kernel of each folder to the server; the manifest of just these. DriverError if one is refused."""
    token = _fleetune(server, "token", "new").split()[-1]
    for folder in folders:
        for description in sorted(folder.glob("*.toml")):
            _fleetune(server, "add", str(description), "--server", server.url, "--token", token)
    with urllib.request.urlopen(f"{server.url}api/kernels", timeout=60) as answer:  # noqa: S310 (our own server)
        listing = json.load(answer)
    listing["kernels"] = [entry for entry in listing["kernels"] if entry.get("own")]
    if not listing["kernels"]:
        raise DriverError("no folder holds a kernel: run `fleetune forge` first")
    return Manifest.load(listing)


def write(folder: Path, manifest: Manifest) -> None:
    """The kernels' entries, without their modules."""
    text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in manifest.raw["kernels"])
    (folder / KERNELS).write_text(f"[\n{text}\n]\n")


def _fleetune(server: Server, *words: str) -> str:
    environment = os.environ | {"FLEETUNE_DATA": str(server.data)}
    done = subprocess.run(
        [sys.executable, "-m", "fleetune_server", "kernels", *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DriverError(f"fleetune kernels {words[0]}: {done.stderr.strip()}")
    return done.stdout
