"""The wheel is a complete server: installed outside the checkout, it serves the page and learns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 60_000_000
PATHS = {
    "/": "text/html",
    "/dashboard": "text/html",
    "/privacy": "text/html",
    "/functions": "text/html",
    "/functions/new": "text/html",
    "/static/shared/card.png": "image/png",
    "/fleetune.js": "javascript",
    "/widget.js": "javascript",
    "/pyodide/pyodide.mjs": "javascript",
    "/pyodide/pyodide.asm.wasm": "application/wasm",
    "/api/kernels": "application/json",
    "/api/boot.json": "application/json",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, made as `make wheel` makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; only its dependencies come from the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", str(wheel)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python3*/site-packages")
    # A path in a .pth file adds the folder alone: the checkout's own .pth in there is not read.
    paths = [*dict.fromkeys((sysconfig.get_path("purelib"), *sys.path))]
    dependencies = [path for path in paths if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return folder


@contextlib.contextmanager
def serving(installed: Path, home: Path) -> Iterator[str]:
    """`fleetune serve` in an empty folder; yields its address."""
    empty = home / "empty"
    empty.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
    environment |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "share"), "FLEETUNE_PORT": "0"}
    environment.pop("PYTHONPATH", None)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [installed / "bin" / "fleetune", "serve"], cwd=empty, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Fleetune is at "), (home / "log").read_text()[-3000:]
        yield line.removeprefix("Fleetune is at ").strip().rstrip("/")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_wheel_is_a_complete_server_in_an_empty_folder(
    wheel: Path, installed: Path, tmp_path: Path
) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    before = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    with serving(installed, tmp_path) as url, httpx.Client(base_url=url) as http:
        for path, kind in PATHS.items():
            answer = http.get(path)
            assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True), path
        boot = http.get("/api/boot.json").json()
        assert http.get(boot["wheel"]).status_code == 200
        assert http.get(boot["translator"]).status_code == 200
        assert len(http.get("/api/kernels").json()["kernels"]) == 28
        assert http.get("/api/model/latest").json()["version"] == 1
        assert http.get("/readyz").json() == {"ready": True, "problems": []}
    assert not any((tmp_path / "empty").iterdir())
    assert (tmp_path / "share" / "fleetune" / "fleetune.db").is_file()
    after = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    assert after == before, "nothing is written into the environment"
    assert not [line for line in _events(tmp_path / "log") if line["level"] in ("warning", "error")]


def test_the_forge_is_not_in_it_and_its_command_says_where_it_is(installed: Path) -> None:
    assert not list(installed.glob("lib/python3*/site-packages/kernels_wasm/forge"))
    done = subprocess.run(
        [installed / "bin" / "fleetune", "forge", "sum.py"],
        cwd=installed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "In a checkout of Fleetune: pip install -e '.[forge]'" in done.stderr


def _events(log: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
