"""`fleetune gate accept`: a refused version passes once, with the operator's reason in its record."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import tiny

from fleetune_server import cli
from fleetune_server.commands import models
from fleetune_server.pipeline import ACCEPT, VERDICT
from fleetune_server.runtime import State, running
from fleetune_server.settings import Settings
from fleetune_server.store.base import Store
from fleetune_server.training.gate import HELD, Check, GateVerdict
from fleetune_server.training.train import TrainRequest, TrainResult, train

REASON = "the lab of this morning agrees"
HOLDS = Check(HELD, True, 1.0, 0.0, "reports not believed: dot in firefox 153")


def refused(request: TrainRequest) -> TrainResult:
    """A real training whose model the gate does not like."""
    check = Check("movement", False, 2.5, 1.0, "it moves too far")
    return dataclasses.replace(train(request), verdict=GateVerdict((check,)))


def dying(request: TrainRequest) -> TrainResult:
    """A training that ends without a result."""
    raise OSError("no memory")


def holding(request: TrainRequest) -> TrainResult:
    """A real training that holds a place, unless every report is to be believed."""
    result = train(request)
    checks = result.verdict.checks if request.held is None else (*result.verdict.checks, HOLDS)
    return dataclasses.replace(result, verdict=GateVerdict(checks))


async def until(state: State, refusals: int, version: int) -> None:
    async with asyncio.timeout(60):
        while state.pipeline.progress.refused < refusals and state.library.version < version:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def command(*words: str) -> int:
    return await asyncio.to_thread(cli.main, words)


@pytest.fixture
async def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[State]:
    """A running server in this process, whose data folder the commands find."""
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path / "data"))
    settings = dataclasses.replace(
        Settings.from_env({}), data=tmp_path / "data", kernels=tiny.write(tmp_path / "dist"), lab=tmp_path
    )
    async with running(settings) as state:
        yield state


async def test_a_refused_version_passes_once_with_a_reason(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    accept = ("gate", "accept", "2", "--reason", REASON)
    assert await command(*accept) == 1
    assert (
        "version 2 is neither refused nor holds places: the last verdict is about version 1"
        in capsys.readouterr().err
    )
    state.pipeline.train = refused
    assert await command("train", "now", "--wait", "20") == 1
    assert await command("gate", "accept", "2", "--reason", "  ") == 1
    assert state.library.version == 1
    assert await command(*accept) == 0
    await until(state, 9, 2)
    assert state.library.version == 2
    (_, record) = await state.store.versions()
    said = f"an operator accepted it although the gate refused it: {REASON}"
    assert record.document["gate"] == [said, "it moves too far"]
    capsys.readouterr()
    assert await command("gate", "explain", "2") == 0
    explained = capsys.readouterr().out
    assert said in explained
    assert "FAILED  movement" in explained
    assert await command("train", "now", "--wait", "20") == 1, "the next one is judged as ever"
    assert state.library.version == 2


async def test_an_operator_may_believe_a_place_that_is_held(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    state.pipeline.train = holding
    assert await command("train", "now", "--wait", "20") == 0
    assert state.library.version == 2
    assert await command("gate", "explain", "2") == 0
    assert "reports not believed: dot in firefox 153" in capsys.readouterr().out
    assert await command("gate", "accept", "2", "--reason", REASON) == 0
    assert "version 3 believes every report" in capsys.readouterr().out
    await until(state, 9, 3)
    assert HELD not in {check["name"] for check in (await state.store.get(VERDICT))["checks"]}
    assert await command("train", "now", "--wait", "20") == 0
    assert HELD in {check["name"] for check in (await state.store.get(VERDICT))["checks"]}, "once"


async def test_a_verdict_about_a_number_that_another_took_is_not_told_of_it(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("models", "rollback", "1") == 0
    verdict = await state.store.get(VERDICT)
    await state.store.put(VERDICT, {**verdict, "version": 2})
    capsys.readouterr()
    assert await command("gate", "explain", "2") == 0
    explained = capsys.readouterr().out
    assert "rolled back to the content of version 1" in explained
    assert "passed" not in explained


async def test_a_rollback_wins_against_a_server_that_publishes_meanwhile(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = [1, 1]  # numbers that somebody published while the command made its files

    async def late(store: Store, version: int) -> int:
        return taken.pop() if taken else version

    monkeypatch.setattr(models, "above_backup", late)
    assert await command("models", "rollback", "1") == 0
    assert taken == []


async def test_a_training_that_fails_does_not_use_up_the_operators_word(state: State) -> None:
    state.pipeline.train = refused
    assert await command("train", "now", "--wait", "20") == 1
    state.pipeline.train = dying
    assert await command("gate", "accept", "2", "--reason", REASON) == 0
    async with asyncio.timeout(30):
        while state.pipeline.progress.outcome != "failed":  # noqa: ASYNC110 - the product has no event for this
            await asyncio.sleep(0.05)
    assert (await state.store.get(ACCEPT))["reason"] == REASON
