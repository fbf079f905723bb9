"""History for the dashboard: an entry an hour, none where nothing changed; figures outlive their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from tests.running import server

from fleetune_server.publish.history import DAY, HOUR, History, contributors
from fleetune_server.publish.library import Library
from fleetune_server.store.base import VersionRecord
from fleetune_server.store.sqlite import open_sqlite

START = 1_795_392_000.0
DOCUMENT: dict[str, Any] = {"size": 3, "incremental": {}, "metadata": {"metrics": {}}, "gate": []}


async def test_an_hour_has_one_entry_and_a_quiet_one_none(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "db", 100) as store:
        library = Library(8)
        history = History(store, library)
        await history.note(START)
        await history.note(START + 60)
        await history.note(START + HOUR)  # nothing came
        assert [hour["at"] for hour in await history.hours()] == [int(START)]
        library.records[1] = VersionRecord(1, "a", 0.5, 0, DOCUMENT)
        await history.note(START + 2 * HOUR)
        library.records = {2: VersionRecord(2, "b", 0.5, 0, DOCUMENT)}  # the first is off the shelf
        await history.note(START + 2 * HOUR + 60)
        hours = await history.hours()
        assert [(hour["at"] - START, hour["version"]) for hour in hours] == [(0, 0), (2 * HOUR, 2)]
        assert [one["version"] for one in await history.versions()] == [1, 2]


def test_contributors_are_the_reports_of_a_day_with_an_interval() -> None:
    hours = [{"at": START, "reports": 100}, {"at": START + DAY, "reports": 160}]
    found = contributors(hours, 190, START + DAY + 2 * HOUR)
    assert found["count"] == 90
    assert found["low"] is not None
    assert found["high"] is not None
    assert found["low"] < 90 < found["high"]
    nobody = contributors([], 0, START)
    assert nobody["count"] == 0


def test_an_operator_can_close_the_dashboard(tmp_path: Path) -> None:
    with server(tmp_path, kernels=tmp_path / "none", dashboard=0) as closed:
        answers = {
            path: httpx.get(closed.url + path).status_code for path in ("dashboard", "api/metrics", "")
        }
    assert answers == {"dashboard": 404, "api/metrics": 404, "": 200}
