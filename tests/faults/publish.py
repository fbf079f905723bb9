"""A server killed while it publishes: the next start publishes cleanly, and nothing half done is served."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from random import Random
from typing import Any

import httpx
from tests import tiny
from tests.faults.shim import Orders
from tests.load import Round, encode, hammer
from tests.running import Running, server, server_in

from fleetune.model import Model
from fleetune_server.store.sqlite_file import check

ENOUGH = 60  # reports that a new version is trained from
WRITES = 200  # from the first write after the reports to beyond the publication
PATIENCE = 60


def killed_publishing(trials: int, seed: int, folder: Path) -> dict[str, Any]:
    """Each trial: reports for version 2, death at a random write of what follows, a new start, version 2."""
    chance = Random(seed)
    killed, problems = 0, list[str]()
    for trial in range(trials):
        died, found = _trial(folder / str(trial), chance.randrange(3, WRITES))
        killed += died
        problems += found
    clean = not problems and killed > 0
    return {"trials": trials, "killed": killed, "problems": problems[:5], "clean": clean}


def _trial(folder: Path, writes: int) -> tuple[bool, list[str]]:
    folder.mkdir()
    orders = Orders(folder, folder / "data")
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "retrain_packets": ENOUGH}
    with server_in(orders.environment, folder, settings) as running:
        packets = Round.fetch(running.url).packets(ENOUGH, tiny.ENVIRONMENT)
        asyncio.run(hammer(running.url, encode(packets[1:], 59), 1))
        orders.kill_after(writes)
        asyncio.run(hammer(running.url, encode(packets[:1]), 1))
        died = _died(running, 1)
    problems = check(folder / "data" / "fleetune.db")
    with server(folder, **settings) as running:
        problems += _served(running)
        asyncio.run(hammer(running.url, encode(packets[:1]), 1))  # it may have had no answer
        _until(running, 2)
        problems += _served(running)
    return died, problems


def _newest(running: Running) -> int:
    return int(httpx.get(f"{running.url}api/model/latest").raise_for_status().json()["version"])


def _died(running: Running, before: int) -> bool:
    """Wait for the death, or for the version if it came first."""
    began = time.monotonic()
    while running.process.poll() is None:
        assert time.monotonic() - began < PATIENCE, "neither died nor published"
        try:
            if _newest(running) > before:
                break
        except httpx.HTTPError:
            continue
        time.sleep(0.02)
    if running.process.poll() is None:
        running.kill()
        return False
    return True


def _until(running: Running, version: int) -> None:
    began = time.monotonic()
    while _newest(running) < version:
        assert time.monotonic() - began < PATIENCE, f"version {version} does not come"
        time.sleep(0.05)


def _served(running: Running) -> list[str]:
    """What is wrong with the newest version, as a browser is given it in full and from every older one."""
    found = []
    with httpx.Client(base_url=running.url) as client:
        newest = client.get("/api/model/latest").raise_for_status().json()
        for base in range(newest["version"]):
            answer = client.get("/api/model/latest", params={"version": base}).raise_for_status().json()
            file = client.get(answer["url"])
            if file.status_code != 200 or hashlib.sha256(file.content).hexdigest() not in answer["url"]:
                found.append(f"version {newest['version']} from {base}: file not served whole")
            elif not base and Model.from_bytes(file.content).version != newest["version"]:
                found.append(f"version {newest['version']}: another model is served for it")
    return found
