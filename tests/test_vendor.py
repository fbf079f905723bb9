"""What is vendored is the pinned releases', and keeps its licence."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests import npm

BROWSER = Path(__file__).parents[1] / "browser"
VENDOR = BROWSER / "vendor"
PYODIDE = "0.27.8"
LICENCES = {  # file in licences/ → (wheel's package, file in the wheel)
    "numpy-2.0.2.txt": ("numpy", "numpy-2.0.2.dist-info/LICENSE.txt"),
}


def lock() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BROWSER / "node_modules/pyodide/pyodide-lock.json").read_text())
    assert found["info"]["version"] == PYODIDE
    return found


def test_the_vendored_wheel_is_the_one_that_the_release_names() -> None:
    named = lock()["packages"]["numpy"]
    (wheel,) = VENDOR.glob("*.whl")
    assert wheel.name == named["file_name"]
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == named["sha256"]


@pytest.mark.parametrize("name", LICENCES)
def test_a_licence_is_the_wheels_own(name: str) -> None:
    package, inside = LICENCES[name]
    with zipfile.ZipFile(VENDOR / lock()["packages"][package]["file_name"]) as wheel:
        assert (VENDOR / "licences" / name).read_bytes() == wheel.read(inside)


def test_every_kept_licence_is_accounted_for() -> None:
    assert {path.name for path in (VENDOR / "licences").iterdir()} == LICENCES.keys()


def test_the_script_that_checks_signatures_is_made_of_the_pinned_packages(tmp_path: Path) -> None:
    made = tmp_path / "ed25519.js"
    options = (
        "--bundle --minify --format=esm --target=es2022 --legal-comments=inline --banner:js='// @ts-nocheck'"
    )
    assert options in (VENDOR / "README.md").read_text(), "the command that renews it"
    esbuild = npm.TOOLS / "node_modules" / ".bin" / "esbuild"
    given: list[str | Path] = [*shlex.split(options), "--log-level=error", f"--outfile={made}"]
    subprocess.run([esbuild, VENDOR / "ed25519.mjs", *given], check=True)
    assert made.read_bytes() == (BROWSER / "web" / "shared" / "ed25519.js").read_bytes()
    for package in ("ed25519", "hashes"):  # MIT asks for its notice in every copy
        licence = (BROWSER / "node_modules" / "@noble" / package / "LICENSE").read_text()
        _, owner, notice = licence.split("\n\n", 2)
        assert notice.strip() in made.read_text()
        assert owner.partition(" (https")[0] in made.read_text()
