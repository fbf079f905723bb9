"""`fleetune doctor` names each broken set-up and what to do; `/readyz` says the same while a server runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny

from fleetune_server import cli
from fleetune_server.commands import doctor, training
from fleetune_server.commands.doctor import diagnose
from fleetune_server.common import health
from fleetune_server.pipeline import TRAINED
from fleetune_server.publish.keys import KeyRing
from fleetune_server.runtime import running
from fleetune_server.settings import Settings
from fleetune_server.training.trainer import STUCK


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which version 1 was published, and its catalogue."""
    folder = tmp_path_factory.mktemp("doctor")

    async def start() -> None:
        async with running(settings_in(folder, tiny.write(folder / "dist"))):
            pass

    asyncio.run(start())
    return folder


def settings_in(folder: Path, kernels: Path) -> Settings:
    return replace(Settings(), port=0, data=folder / "data", kernels=kernels, lab=folder, retrain_seconds=0)


@pytest.fixture
def settings(made: Path, tmp_path: Path) -> Settings:
    """The same in a folder of this test's own."""
    for path in (made / "data").rglob("*"):
        if path.is_file():
            copy = tmp_path / "data" / path.relative_to(made / "data")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode)
    return settings_in(tmp_path, made / "dist")


async def found(settings: Settings) -> list[str]:
    return [problem async for problem in diagnose(settings)]


async def test_a_sound_set_up_has_no_problem_and_is_left_as_it_was(settings: Settings) -> None:
    before = {path: path.read_bytes() for path in settings.data.rglob("*") if path.is_file()}
    assert await found(settings) == []
    assert {path: path.read_bytes() for path in settings.data.rglob("*") if path.is_file()} == before


async def test_a_first_start_has_no_problem(settings: Settings, tmp_path: Path) -> None:
    assert await found(replace(settings, data=tmp_path / "new" / "data")) == []
    assert not (tmp_path / "new").exists()


def execute(settings: Settings, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(settings.data / "fleetune.db")) as database:
        database.execute(statement, values)
        database.commit()


def no_keys(settings: Settings) -> None:
    for path in (settings.data / "keys").glob("*.json"):
        path.unlink()


def other_keys(settings: Settings) -> None:
    no_keys(settings)
    aside = KeyRing.open(settings.data / "aside")
    for path in aside.folder.glob("*.json"):
        path.rename(settings.data / "keys" / path.name)


def open_keys(settings: Settings) -> None:
    for path in (settings.data / "keys").glob("*.json"):
        path.chmod(0o644)


def damaged(settings: Settings) -> None:
    with (settings.data / "fleetune.db").open("rb+") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def unreadable_model(settings: Settings) -> None:
    body = b"a model in a format of another day"
    name = hashlib.sha256(body).hexdigest()
    with closing(sqlite3.connect(settings.data / "fleetune.db")) as database:
        (old,) = database.execute("SELECT sha256 FROM versions").fetchone()
        database.execute("UPDATE blobs SET sha256 = ?, body = ? WHERE sha256 = ?", (name, body, old))
        database.execute("UPDATE versions SET sha256 = ?", (name,))
        database.commit()


def clock_back(settings: Settings) -> None:
    execute(settings, "UPDATE versions SET created = ?", int(time.time()) + 86_400 * 30)


def stuck(settings: Settings) -> None:
    value = json.dumps({"reports": 1, "at": time.time(), "refused": STUCK})
    execute(settings, "INSERT OR REPLACE INTO settings VALUES (?, ?)", TRAINED, value)


def poisoned(settings: Settings) -> None:
    place = {
        "signature": "ab",
        "environment": "firefox *",
        "candidate": "simd",
        "reports": 1234,
        "why": "crowd",
    }
    value = json.dumps({"reports": 1, "at": time.time(), "suspicions": [place]})
    execute(settings, "INSERT OR REPLACE INTO settings VALUES (?, ?)", TRAINED, value)


def newer_schema(settings: Settings) -> None:
    execute(settings, "INSERT INTO migrations VALUES ('9999_later')")


BROKEN: dict[str, tuple[Callable[[Settings], None], str]] = {
    "keys gone": (no_keys, "--new-keys"),
    "keys exchanged": (other_keys, "root 1 names"),
    "keys that others can read": (open_keys, "chmod 600"),
    "a damaged database": (damaged, "fleetune db restore"),
    "a model of another release": (unreadable_model, "sets it aside"),
    "a clock that is wrong": (clock_back, "set the time"),
    "learning that is stuck": (stuck, "fleetune gate explain"),
    "a poisoned place": (poisoned, "fleetune data list --kernel ab --environment 'firefox *'"),
    "a database of a newer release": (newer_schema, "update this one"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_data_folder_is_named_with_its_remedy(name: str, settings: Settings) -> None:
    break_it, remedy = BROKEN[name]
    break_it(settings)
    problems = await found(settings)
    assert len(problems) == 1, problems
    assert remedy in problems[0]


async def test_no_kernels_are_named(settings: Settings, tmp_path: Path) -> None:
    (problem,) = await found(replace(settings, kernels=tmp_path / "nothing"))
    assert "make kernels" in problem


async def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        (problem,) = await found(replace(settings, port=other.getsockname()[1]))
    assert "in use" in problem


async def test_an_address_that_is_not_ours_is_named(settings: Settings) -> None:
    (problem,) = await found(replace(settings, port=8000, host="nobody.invalid"))
    assert "FLEETUNE_HOST" in problem


async def test_few_file_descriptors_are_named(settings: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))
    try:
        (problem,) = await found(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "LimitNOFILE" in problem


async def test_a_page_that_is_not_installed_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ROOT", Path("/nowhere"))
    problems = await found(settings)
    assert len(problems) == len(doctor.PAGE)
    assert all("make run" in problem for problem in problems)


def test_a_folder_without_room_is_named(tmp_path: Path) -> None:
    assert health.no_room(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    problem = health.no_room(Path("/proc"))
    assert problem is not None
    assert "FLEETUNE_DATA" in problem


def test_the_command_names_a_setting_and_its_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETUNE_PORT", "http")
    assert cli.main(["doctor"]) == 1
    assert "FLEETUNE_PORT='http'" in capsys.readouterr().out


def test_a_server_without_an_operators_name_is_told_so_by_the_doctor_and_at_its_start(
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FLEETUNE_DATA", str(made / "nothing yet"))
    monkeypatch.setenv("FLEETUNE_PORT", "0")
    cli.main(["doctor"])
    assert f"note: {health.UNNAMED}" in capsys.readouterr().out
    monkeypatch.setenv("FLEETUNE_OPERATOR", "Example Ltd")
    cli.main(["doctor"])
    assert "note:" not in capsys.readouterr().out

    async def told(settings: Settings) -> object:
        caplog.clear()
        with caplog.at_level("INFO"):
            async with running(settings):
                pass
        (started,) = [record for record in caplog.records if record.getMessage() == "started"]
        return started.__dict__["operator"]

    settings = settings_in(made, made / "dist")
    assert asyncio.run(told(settings)) == health.UNNAMED
    assert asyncio.run(told(replace(settings, operator="Example Ltd"))) == "Example Ltd"


async def test_a_running_server_is_not_ready_while_something_is_wrong(settings: Settings) -> None:
    async with running(settings) as state:
        assert await state.problems() == []
        state.pipeline.progress.refused = STUCK
        assert any("refused" in problem for problem in await state.problems())
        state.pipeline.progress.refused = 0
        open_keys(settings)
        for path in (settings.data / "keys").glob("*.json"):
            os.utime(path, ns=(1, 1))  # the ring looks again when a file changed
        assert any("chmod 600" in problem for problem in await state.problems())


async def test_an_operator_can_ask_for_a_training(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings) as state:
        code = await training.ask(settings, 120)
        assert code == 0, capsys.readouterr()
        assert state.library.version == 2
    assert "version 2: published" in capsys.readouterr().out
