"""How a server starts, ages and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny
from tests.load import Outcome, Round, encode, hammer
from tests.running import Running, server
from tests.test_pipeline import send, settings
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fleetune_server.publish.keys import KeyFileError
from fleetune_server.runtime import running
from fleetune_server.settings import Settings

__all__ = ["settings"]


async def _ended_under_load(running: Running, bodies: list[bytes]) -> tuple[Outcome, int]:
    """SIGTERM while packets arrive and a page is connected: what was answered, the page's close code."""
    outcome = Outcome()
    async with connect(f"{running.url.replace('http', 'ws')}ws", compression=None) as socket:
        await socket.send(json.dumps({"type": "hello", "version": 1}))
        load = asyncio.create_task(hammer(running.url, bodies, outcome=outcome))
        while len(outcome.acknowledged) < 300:  # noqa: ASYNC110 - it only counts
            await asyncio.sleep(0.005)
        running.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                pass
        await load
    return outcome, socket.close_code or 0


def test_a_server_that_is_told_to_go_keeps_what_it_answered_and_sends_pages_away(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path, "retrain_packets": 10**6}
    with server(tmp_path, **settings) as running:
        packets = Round.fetch(running.url).packets(6000, tiny.ENVIRONMENT)
        outcome, code = asyncio.run(_ended_under_load(running, encode(packets)))
        assert running.process.wait(20) == 0, "a clean stop is no failure to a supervisor"
    assert code == 1012, "come back later, after a while of your own"
    assert set(outcome.statuses) <= {202, 503}
    assert len(outcome.acknowledged) < len(packets)
    with closing(sqlite3.connect(tmp_path / "data" / "fleetune.db")) as connection:
        kept = {nonce.hex() for (nonce,) in connection.execute("SELECT nonce FROM packets")}
    assert {packets[index]["nonce"] for index in outcome.acknowledged} <= kept
    assert not (tmp_path / "data" / "fleetune.db-wal").exists(), "the log is written back"


def _broken_file(data: Path) -> None:
    data.mkdir()
    (data / "fleetune.db").write_bytes(b"something else entirely" * 100)


def _no_folder(data: Path) -> None:
    data.write_bytes(b"a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_broken_file, "fleetune.db: file is not a database. `fleetune db check`"),
        (_no_folder, "the folder of FLEETUNE_DATA must be one that this process can write to"),
    ],
)
def test_a_start_that_fails_says_in_one_line_why_and_what_helps(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    data = tmp_path / "data"
    spoil(data)
    with (
        pytest.raises(AssertionError),
        server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path),
    ):
        pass
    first, *rest = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert said in first["event"]
    assert "Traceback" not in first["event"]
    assert len(rest) <= 1


async def test_nonces_are_forgotten_when_their_time_is_over_and_sums_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings) as state:
        await send(state, 30)
        day = settings.retention_days * 86_400
        for later, nonces in (
            (0, 0),
            (settings.hold_seconds + 3600 + 60, 30),
            (day - 3660, 30),
            (day + 60, 0),
        ):
            now = time.time() + later
            monkeypatch.setattr("fleetune_server.pipeline.time.time", lambda now=now: now)
            await state.pipeline._fold()
            counts = await state.store.counts()
            assert (counts.nonces, counts.reports) == (nonces, 30)
            monkeypatch.undo()
        assert counts.folded == 30


def test_the_installed_command_starts_from_any_folder(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("fleetune")), "serve", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


async def test_a_version_that_cannot_be_read_is_set_aside_and_learning_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(
        Settings(),
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        retrain_seconds=0,
    )
    async with running(settings) as state:
        assert state.library.version == 1
    with closing(sqlite3.connect(tmp_path / "data" / "fleetune.db")) as database:
        database.execute("UPDATE blobs SET body = x'00'")
        database.commit()
    async with running(settings) as state:
        assert state.library.version == 2, "the number is not used again"
        assert state.library.latest is not None
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["a model version cannot be read and is set aside"]


async def test_lost_keys_are_not_replaced_without_a_word(tmp_path: Path) -> None:
    settings = replace(
        Settings(),
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        retrain_seconds=0,
    )
    async with running(settings) as state:
        before = state.keys.public()
    for path in (tmp_path / "data" / "keys").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(KeyFileError, match="--new-keys"):
        async with running(settings):
            pass
    assert not list((tmp_path / "data" / "keys").iterdir())
    async with running(replace(settings, new_keys=True)) as state:
        assert state.keys.public().keys().isdisjoint(before)
