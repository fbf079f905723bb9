"""The package `fleetune` as npm packs it, alone and in the bundles of a small app (bundlers/)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import node

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "browser" / "web"
TOOLS = ROOT / "tests" / "bundlers"
BUNDLERS = ("esbuild", "rollup", "vite", "webpack")


def pack(*options: str) -> dict[str, Any]:
    """What `npm pack` says of the package: filename, files …"""
    npm = Path(sys.executable).with_name("npm")
    done = subprocess.run(
        [npm, "pack", "--json", *options], cwd=WEB, capture_output=True, text=True, timeout=60, check=True
    )
    packed: dict[str, Any] = json.loads(done.stdout)[0]
    return packed


def install(app: Path) -> Path:
    """Pack it and put it where an app in this folder finds it."""
    app.mkdir(parents=True, exist_ok=True)
    modules = app / "node_modules"
    modules.mkdir()
    archive = app / pack("--pack-destination", str(app))["filename"]
    subprocess.run(
        ["tar", "-xzf", archive, "-C", modules], check=True
    )  # the filters of tarfile are younger than 3.11.4
    (app / "package.json").write_text('{"private": true, "type": "module"}')
    return (modules / "package").rename(modules / "fleetune")


def bundle(app: Path, bundlers: Sequence[str] = BUNDLERS) -> None:
    """Build bundlers/app.js in a folder below `app` for each bundler; AssertionError with what one complains of."""
    assert (TOOLS / "node_modules").is_dir(), "the bundlers are not installed: make test does it"
    install(app)
    shutil.copy(TOOLS / "app.js", app / "index.js")
    for bundler in bundlers:
        node.run(TOOLS / "build.mjs", bundler, app)
