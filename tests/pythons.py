"""`python -m tests.pythons [--json]`: the wheel installed and started under every Python that this machine has.

Each interpreter gets a fresh environment with the dependencies that the wheel names, from the package index. Run by
hand: it takes a minute a version. `tests/test_wheel.py` does the same with the interpreter of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")
PATHS = ("", "dashboard", "privacy", "pyodide/pyodide.mjs", "api/kernels", "api/model/latest", "metrics")


def claimed() -> list[str]:
    """The versions that pyproject.toml names, as 3.11."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [match[1] for text in classifiers if (match := re.fullmatch(r".* :: Python :: (3\.\d+)", text))]


def interpreter(version: str) -> str | None:
    """One of this version that can make environments: on the path, or among pyenv's."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    candidates = [*map(str, kept), shutil.which(f"python{version}")]
    for path in filter(None, candidates):
        done = subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False)
        if done.returncode == 0:
            return path
    return None


@contextlib.contextmanager
def serving(python: Path, home: Path) -> Iterator[str]:
    """`fleetune serve` of an environment in an empty home; its address."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
    environment |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "share"), "FLEETUNE_PORT": "0"}
    environment.pop("PYTHONPATH", None)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [python.with_name("fleetune"), "serve"], cwd=home, env=environment, stdout=subprocess.PIPE,
            stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Fleetune is at "), (home / "log").read_text()[-3000:]
        yield line.removeprefix("Fleetune is at ").strip()
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def tried(wheel: Path, path: str, folder: Path) -> dict[str, Any]:
    """Install and start it; seconds of both, and what the log complains of. AssertionError if it does not serve."""
    begin = time.monotonic()
    subprocess.run([path, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([python, *PIP, "install", wheel], check=True, stderr=subprocess.DEVNULL)
    installed = time.monotonic()
    with serving(python, folder) as url:
        started = time.monotonic()
        for name in PATHS:
            assert httpx.get(url + name).status_code == 200, name
        assert httpx.get(f"{url}readyz").json() == {"ready": True, "problems": []}
    complaints = [line for line in (folder / "log").read_text().splitlines() if '"level": "info"' not in line]
    return {
        "python": path,
        "install": round(installed - begin, 1),
        "start": round(started - installed, 1),
        "complaints": complaints,
    }


def main() -> int:
    """0; 1 if a version that is here does not serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fleetune-pythons-") as name:
        made = Path(name) / "wheel"
        subprocess.run([sys.executable, *PIP, "wheel", "--no-deps", "-w", made, ROOT], check=True)
        (wheel,) = made.glob("*.whl")
        for version in claimed():
            path = interpreter(version)
            folder = Path(name) / version
            folder.mkdir()
            try:
                found[version] = tried(wheel, path, folder) if path else "not on this machine"
            except (AssertionError, subprocess.CalledProcessError, httpx.HTTPError) as error:
                found[version] = f"failed: {error}"
    print(json.dumps(found) if asked.json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return int(any(str(result).startswith("failed") for result in found.values()))


if __name__ == "__main__":
    sys.exit(main())
