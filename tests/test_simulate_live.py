"""`python -m fleetune_research simulate --http`: the simulated fleet teaches a running server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiny
from tests.running import server
from tests.tiny_lab import write_lab

from fleetune_research.__main__ import main as research


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue and its lab."""
    made = tmp_path_factory.mktemp("live")
    tiny.write(made / "dist")
    write_lab(made / "lab")
    return made


def test_a_simulated_fleet_teaches_a_running_server(folder: Path) -> None:
    settings = {"retrain_packets": 500, "retrain_seconds": 0}
    with server(folder, kernels=folder / "dist", lab=folder / "lab", **settings) as running:
        command = [sys.executable, "-m", "fleetune_research", "simulate", "--http", running.url, "--json"]
        more = ["--users", "600,3000", "--days", "1", "--lab", str(folder / "lab"), "--wait", "60"]
        kernels = ["--kernels", str(folder / "dist")]
        done = subprocess.run([*command, *more, *kernels], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr + running.log.read_text()[-2000:]
        curve = json.loads(done.stdout)["curve"]
        assert [point["reports"] for point in curve] == [0, 600, 3000]
        assert curve[0]["version"] < curve[-1]["version"]
        assert 0 == curve[0]["coverage"] <= curve[1]["coverage"] < curve[2]["coverage"]
        assert 0.5 < curve[-1]["accuracy"] <= 1


def test_a_server_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate = ["simulate", "--http", "http://127.0.0.1:9", "--users", "10", "--lab", str(folder / "lab")]
    assert research([*simulate, "--kernels", str(folder / "dist")]) == 1
    assert "cannot be reached" in capsys.readouterr().err
