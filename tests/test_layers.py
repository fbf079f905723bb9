"""Imports keep to the contracts in pyproject.toml, and files stay small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("browser/fleetune", "server/fleetune_server", "server/fleetune_research", "kernels_wasm")
MAX_LINES = 350  # "about 300"


def test_imports_keep_to_the_contracts() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_small() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    long = {path.name: count for path in files if (count := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}
