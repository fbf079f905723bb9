"""`python -m fleetune_research client`: many one-report browsers in one program, against a real server."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests import synthetic, tiny
from tests.running import Running, server
from tests.tiny_lab import write_lab

from fleetune.artefact import unpack
from fleetune.manifest import BASELINE
from fleetune.packet import DAY, check, snap
from fleetune.privacy import mechanism
from fleetune_research.__main__ import main as research
from fleetune_research.fleet.client import DEVICE_SD, Client, measurements
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server import cli
from fleetune_server.training.lab import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("client")
    write_lab(made / "lab")
    return made


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    # 4,000 reports make fewer versions than are kept. Of versions that are no better, the gate refuses one in forty:
    # then the next one comes without more reports.
    settings = {"retrain_packets": 1000, "retrain_seconds": 10}
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder / "lab", **settings) as started:
        yield started


def test_only_measurements_that_a_visitors_browser_could_make_are_used(folder: Path) -> None:
    manifest = tiny.manifest()
    found = measurements(load(folder / "lab", manifest), manifest)
    assert {cell.environment.browser for cell, _ in found} == {"chromium", "firefox"}
    assert BASELINE not in {cell.variant for cell, _ in found}


async def test_its_packets_are_legal_and_follow_the_lab_with_device_noise(
    running: Running, folder: Path
) -> None:
    async with httpx.AsyncClient(base_url=running.url) as http:
        rows = load(folder / "lab", tiny.manifest())
        client = Client(HttpPlatform(http), rows, 2.0, seed=1)
        await client.connect()
        assert client.verified is not None
        noise, residuals, nonces = mechanism(2.0), [], set()
        for _ in range(1500):
            packet = client.packet()
            check(packet.to_wire())
            assert packet.timestamp % DAY == 0
            nonces.add(packet.nonce)
            kernel = tiny.manifest().by_signature[packet.profile_signature]
            names = kernel.candidates(packet.environment.features)
            model = client.verified.model.predict(kernel, packet.context, packet.environment, names)
            base = float(model.mean[names.index(packet.variant)])
            truth = synthetic.truth(kernel, packet.context, packet.environment, packet.variant)
            reported = noise.decode(snap(packet.speedup, base, packet.clip, 2.0)) * packet.clip + base
            residuals.append(reported - truth)
        assert len(nonces) == 1500
        # Unbiased: the mean of the decoded reports is the truth (within 4 standard errors).
        assert abs(np.mean(residuals)) < 4 * np.std(residuals) / math.sqrt(len(residuals))
        assert np.std(residuals) > DEVICE_SD


def test_two_thousand_packets_make_a_version_that_old_and_new_clients_agree_on(
    running: Running, folder: Path
) -> None:
    command = [sys.executable, "-m", "fleetune_research", "client", "--server", running.url]
    more = ["--packets", "2000", "--lab", str(folder / "lab"), "--wait", "60"]
    # The first reports may replace the guess that the server began with, in a whole new file; the next add to it.
    for _ in range(2):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr + running.log.read_text()[-2000:]
        assert "2,000 packets accepted" in done.stdout
        old, new = (
            next(line for line in done.stdout.splitlines() if kind in line) for kind in ("old", "new client")
        )
        assert "full" in new
        assert old.split()[-1] == new.split()[-1]
    assert "incremental" in old


def test_its_errors_say_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = ["client", "--server", "http://127.0.0.1:9"]
    assert research([*address, "--packets", "1"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert research([*address, "--packets", "0"]) == 2
    assert research([*address, "--packets", "1", "--batch", "101"]) == 2


def test_an_operator_rolls_back_and_the_running_server_takes_it_over(
    running: Running, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("FLEETUNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLEETUNE_DATA", str(folder / "data"))
    before = httpx.get(running.url + "api/model/latest").json()["version"]
    assert cli.main(["models", "rollback", "1"]) == 0
    version = int(capsys.readouterr().out)
    assert version > before
    end = time.monotonic() + 30
    while httpx.get(running.url + "api/model/latest").json()["version"] < version:
        assert time.monotonic() < end, "the running server does not take it over"
        time.sleep(0.2)
    assert cli.main(["gate", "explain", str(version)]) == 0
    assert "rolled back to the content of version 1" in capsys.readouterr().out
    assert cli.main(["gate", "explain", "1"]) == 0
    assert "first" in capsys.readouterr().out
    exported = folder / "exported"
    values = []
    for number in (1, version):
        assert cli.main(["models", "export", str(number), str(exported)]) == 0
        values.append(unpack(exported.read_bytes()).stored["row.value"].tolist())
    assert values[0] == values[1]
    assert cli.main(["models", "import", str(exported)]) == 0
    assert int(capsys.readouterr().out) == version + 1
    assert cli.main(["models", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 3
    assert cli.main(["models", "show", str(version)]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == version
    for wrong in (["show", "999"], ["rollback", "999"], ["import", str(folder / "lab" / "engine0.jsonl")]):
        assert cli.main(["models", *wrong]) == 1
        assert "fleetune models:" in capsys.readouterr().err
    assert cli.main(["gate", "explain", "999"]) == 1


def test_while_pinned_nothing_is_published(
    running: Running, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("FLEETUNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLEETUNE_DATA", str(folder / "data"))
    assert cli.main(["models", "pin"]) == 0
    time.sleep(6)  # whatever was under way is over, and the server has looked at the store again
    before = httpx.get(running.url + "api/model/latest").json()["version"]
    address = ["client", "--server", running.url, "--lab", str(folder / "lab")]
    assert research([*address, "--packets", "600"]) == 0
    time.sleep(6)
    assert httpx.get(running.url + "api/model/latest").json()["version"] == before
    assert cli.main(["models", "unpin"]) == 0
    end = time.monotonic() + 60
    while httpx.get(running.url + "api/model/latest").json()["version"] == before:
        assert time.monotonic() < end, "after unpinning nothing is published"
        time.sleep(5)
        assert (
            research([*address, "--packets", "100"]) == 0
        )  # one gate in twenty refuses by chance until more come
