"""Data folders of earlier releases: the newest server starts on them, trains and publishes within 2,000 reports."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.running import server

from fleetune.version_log import LogEntry, follows

FOLDER = Path(__file__).with_name("upgrade")  # databases as those commits left them, after 2,000 reports
REPORTS = 2000


@pytest.mark.parametrize(
    "commit", sorted(path.name.removesuffix(".db.xz") for path in FOLDER.glob("*.db.xz"))
)
def test_an_older_data_folder_learns_on(commit: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "fleetune.db").write_bytes(lzma.decompress((FOLDER / f"{commit}.db.xz").read_bytes()))
    settings = {"retrain_packets": REPORTS, "retrain_seconds": 0, "hold_seconds": 1, "new_keys": 1}
    with server(tmp_path, **settings) as running:
        before = httpx.get(f"{running.url}api/model/latest").json()["version"]
        assert before >= 1
        command = [sys.executable, "-m", "fleetune_research", "client", "--server", running.url]
        done = subprocess.run(
            [*command, "--packets", str(REPORTS), "--wait", "240"],
            capture_output=True,
            text=True,
            check=False,
        )
        said = [event for event in running.events() if event["level"] != "info"]
        assert done.returncode == 0, (done.stdout, done.stderr, said)
        assert httpx.get(f"{running.url}api/model/latest").json()["version"] > before
        log = [LogEntry.from_wire(entry) for entry in httpx.get(f"{running.url}api/log").json()["entries"]]
        assert follows(None, log) == log[-1]
        assert log[0].version <= before < log[-1].version
        assert httpx.get(f"{running.url}readyz").json() == {"ready": True, "problems": []}
