"""How long the server keeps what: packets until folded, nonces as long as the setting says, then sums."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny
from tests.test_pipeline import send

from fleetune_server.runtime import running
from fleetune_server.settings import Settings

DAY = 86_400
HOLD = 3600.0
HOUR = 3600  # arrivals are known no finer


def rows(settings: Settings, table: str) -> int:
    """How many rows the database has in a table."""
    with sqlite3.connect(f"file:{settings.data / 'fleetune.db'}?mode=ro", uri=True) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("days", [3, 9])
async def test_packets_go_when_folded_and_nonces_when_their_days_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    settings = replace(
        Settings(),
        retention_days=days,
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        hold_seconds=HOLD,
    )
    async with running(settings) as state:
        await send(state, 7)
        later = 0.0
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + later)

        async def kept(after: float) -> tuple[int, int]:
            nonlocal later
            later = after
            await state.pipeline._fold()
            return rows(settings, "packets"), rows(settings, "nonces")

        assert await kept(HOLD - 60) == (7, 0), "these can still be withdrawn"
        assert await kept(HOLD + HOUR + 60) == (0, 7), "no raw packet is left"
        assert await kept(days * DAY - HOUR - 60) == (0, 7), "the days are not over"
        assert await kept(days * DAY + 60) == (0, 0), "nothing is left that tells one report from another"
        assert sum(row.count for row in await state.store.sums()) == 7


def test_nonces_cannot_be_kept_for_less_than_a_replay_would_need() -> None:
    assert Settings.retention_days > Settings.stale_days + 1, "a packet is accepted while its day is not over"
