"""`fleetune data`: what is listed, what is dropped, and that a training follows."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny
from tests.postgres import Server, cluster
from tests.test_store import packets

from fleetune.context import Environment
from fleetune_server import cli
from fleetune_server.pipeline import TRAIN_NOW
from fleetune_server.settings import Settings
from fleetune_server.store.base import Cell
from fleetune_server.store.opening import open_store

CHROMIUM = replace(tiny.ENVIRONMENT, browser="chromium")


def cell(signature: str, environment: Environment, version: int) -> Cell:
    return Cell(signature, tiny.CONTEXT, environment, "scalar", version, 2.0, 0.5, 0.25)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with cluster() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A store with 50 reports of one kernel in Firefox (20 with version 3), 30 in Chromium, 10 of another."""
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path / "data"))
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        monkeypatch.setenv("FLEETUNE_STORE", server.create(f"data_{secrets.token_hex(6)}"))
    chosen = Settings.from_env(os.environ)
    kernels = json.loads((chosen.kernels / "manifest.json").read_bytes())["kernels"]
    signatures = {kernel["name"]: kernel["profileSignature"] for kernel in kernels}
    first, second = signatures["dot"], signatures["fft"]
    kinds = [
        (cell(first, tiny.ENVIRONMENT, 1), 30),
        (cell(first, tiny.ENVIRONMENT, 3), 20),
        (cell(first, CHROMIUM, 3), 30),
        (cell(second, tiny.ENVIRONMENT, 3), 10),
    ]

    async def fill() -> None:
        async with open_store(chosen) as store:
            for number, (of, count) in enumerate(kinds):
                await store.append(packets([7] * count, start=1000 * number, of=of))
                if number == 1:
                    await store.fold(2**40)

    asyncio.run(fill())
    return chosen


def left(settings: Settings) -> tuple[int, object]:
    async def read() -> tuple[int, object]:
        async with open_store(settings) as store:
            return sum(row.count for row in await store.sums()), await store.get(TRAIN_NOW)

    return asyncio.run(read())


def test_bad_reports_are_listed_then_dropped_and_a_training_is_due(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in lines[:2]] == [
        ["50", "dot", "firefox", "153"],
        ["30", "dot", "chromium", "153"],
    ]
    assert lines[-1] == ["90", "reports", "in", "all"]
    bad = ["data", "drop", "--kernel", "dot", "--environment", "firefox 153 *", "--since", "2"]
    assert cli.main(bad) == 0
    said = capsys.readouterr().out
    assert "nothing was dropped" in said
    assert "20  reports in all" in said
    assert left(settings) == (90, None)
    assert cli.main([*bad, "--yes"]) == 0
    assert "20 reports dropped" in capsys.readouterr().out
    reports, asked = left(settings)
    assert reports == 70
    assert isinstance(asked, float)
    assert cli.main([*bad, "--yes"]) == 1
    assert "no report matches" in capsys.readouterr().err
    assert cli.main(["db", "check"]) == 0
