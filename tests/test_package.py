"""What the server's wheel brings, imported where there is no checkout."""

from __future__ import annotations

import site
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# -I and -S: neither the working folder nor the venv's .pth files (which name the checkout) are on the path.
CODE = """
import sys
sys.path[:0] = sys.argv[1:]
import fleetune_server.http.app, fleetune_server.cli, fleetune_server.commands.kernels
from fleetune_server.kernels import template
import kernels_wasm.build.scripts
for line in (kernels_wasm.build.scripts.__file__, *sys.path):
    print(line)
"""


def test_the_wheels_packages_import_without_the_checkout(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        folder = tmp_path / Path(package).name
        for source in (ROOT / package).rglob("*.py"):
            copy = folder / source.relative_to(ROOT / package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    before = [str(tmp_path), *site.getsitepackages()]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", CODE, *before],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    where, *path = done.stdout.splitlines()
    assert Path(where) == tmp_path / "kernels_wasm" / "build" / "scripts.py"
    assert {str(ROOT), str(ROOT / "browser"), str(ROOT / "server")}.isdisjoint(path)


def test_a_checkout_runs_from_any_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name(
        "fleetune"
    )  # unlike `python -m`, it does not look where it stands
    done = subprocess.run(
        [command, "kernels", "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "add" in done.stdout
