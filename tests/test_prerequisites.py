"""`make` says in one line what a machine lacks, and how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLD = 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi'
WITHOUT_VENV = 'case "$*" in *ensurepip*) echo "Traceback ..." >&2; exit 1;; esac'


def complaints(folder: Path, *arguments: str, **programs: str) -> list[str]:
    """What `make` says on stderr where PATH has only these scripts; it must fail and leave no environment."""
    path = folder / "bin"
    path.mkdir()
    for name, script in programs.items():
        (path / name).write_text(f"#!/bin/bash\n{script}\n")
        (path / name).chmod(0o755)
    make = shutil.which("make")
    assert make
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        [make, *(arguments or (f"VENV={folder}/venv", f"{folder}/venv/bin/python"))],
        cwd=ROOT,
        env=environment | {"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert not (folder / "venv").exists()
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


def test_no_python_at_all(tmp_path: Path) -> None:
    (line,) = complaints(tmp_path)
    assert "needs Python 3.11 or newer; PATH has no python3" in line
    assert "apt-get install python3 python3-venv" in line


def test_an_old_python(tmp_path: Path) -> None:
    (line,) = complaints(tmp_path, python3=OLD)
    assert "needs Python 3.11 or newer; PATH has Python 3.9.2" in line


def test_python_without_venv(tmp_path: Path) -> None:
    (line,) = complaints(tmp_path, **{"python3": OLD, "python3.12": WITHOUT_VENV})
    assert "which python3.12 lacks" in line
    assert "apt-get install python3.12-venv" in line


def test_an_old_make(tmp_path: Path) -> None:
    (line,) = complaints(tmp_path, "MAKE_VERSION=3.81", "help")
    assert "needs GNU Make 4 or newer; this is 3.81" in line
