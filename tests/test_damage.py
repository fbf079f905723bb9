"""A database file spoilt under a running server: told, nothing more is acknowledged, reads go on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
from tests import tiny
from tests.faults.disks import READS
from tests.load import Round
from tests.running import Running, server

from fleetune_server.store.sqlite_file import check, damage

PATIENCE = 60.0  # seconds


def spoil(database: Path) -> None:
    """Write over everything but the first page of the file, and over its log."""
    for path, kept in ((database, 4096), (database.with_name(database.name + "-wal"), 32)):
        with path.open("r+b") as file:
            rest = file.seek(0, os.SEEK_END) - kept
            file.seek(kept)
            file.write(os.urandom(max(0, rest)))


def unready(client: httpx.Client) -> str:
    began = time.monotonic()
    while (answer := client.get("readyz")).status_code == 200:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)
    return " ".join(answer.json()["problems"])


def test_damage_is_told_and_nothing_more_is_taken(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path, "retrain_packets": 10**6}
    with (
        server(tmp_path, check_seconds=0.2, **settings) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        packets = Round.fetch(running.url).packets(300, tiny.ENVIRONMENT)
        assert client.post("api/telemetry", json=packets[:100]).status_code == 202
        file = client.get("api/model/latest").json()["url"].lstrip("/")
        database = tmp_path / "data" / "fleetune.db"
        assert damage(database) is None
        spoil(database)
        assert damage(database)
        assert "restore a backup" in unready(client)
        refused = client.post("api/telemetry", json=packets[100:200])
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "store-unavailable"
        assert {path: client.get(path).status_code for path in (*READS, file)} == dict.fromkeys(
            (*READS, file), 200
        )
        again = [client.post("api/telemetry", json=packets[200:]).status_code for _ in range(20)]
        assert set(again) == {503}, "it does not heal by itself"
        assert client.get("readyz").status_code == 503
    assert "store cannot write" in told(running)
    assert check(database)


def told(running: Running) -> list[str]:
    return [line["event"] for line in running.events() if line["level"] in ("warning", "error")]


def test_what_cannot_be_read_at_present_is_not_called_damaged(tmp_path: Path) -> None:
    assert damage(tmp_path / "missing" / "fleetune.db") is None
