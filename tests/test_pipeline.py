"""The closed loop in one process: packets → sums → training → gate → publication → announcement."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import tiny

from fleetune.model import Model
from fleetune.packet import DAY, build
from fleetune_server.pipeline import PINNED
from fleetune_server.publish.release import Publisher
from fleetune_server.runtime import State, running
from fleetune_server.settings import Settings
from fleetune_server.store.base import StoreError, VersionRecord
from fleetune_server.training.sources import guessed_rows
from fleetune_server.training.train import TrainRequest
from fleetune_server.training.trainer import Trainer, TrainerDiedError

ENOUGH = 120
TRUTH = 2.2  # ln speedup that every device measures: far beyond what one version may move


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return dataclasses.replace(
        Settings.from_env({}),
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        retrain_packets=ENOUGH,
    )


async def send(state: State, count: int) -> None:
    """Reports of `count` devices that all measured TRUTH, made with the newest model as clients make them."""
    kernel = state.catalogue.manifest.kernels["dot"]
    model = state.library.latest
    assert model is not None
    base = model.predict(kernel, tiny.CONTEXT, tiny.ENVIRONMENT, ("vectorization",)).mean[0]
    day = int(time.time()) // DAY
    for _ in range(count):
        packet = build(
            kernel,
            tiny.CONTEXT,
            tiny.ENVIRONMENT,
            "vectorization",
            base,
            TRUTH,
            model.clip_at(kernel, tiny.ENVIRONMENT),
            2.0,
            model.version,
            day,
        )
        stored = state.intake.checker.accept(packet.to_wire())
        state.intake.arrived(sum(await state.store.append([stored])))


async def until(state: State, version: int, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while state.library.version < version:  # noqa: ASYNC110 - the product has no event for this
            await asyncio.sleep(0.02)


def predicted(state: State) -> float:
    model = state.library.latest
    assert model is not None
    kernel = state.catalogue.manifest.kernels["dot"]
    return float(model.predict(kernel, tiny.CONTEXT, tiny.ENVIRONMENT, ("vectorization",)).mean[0])


@asynccontextmanager
async def lag() -> AsyncIterator[list[float]]:
    """How late the event loop wakes a sleeper, sampled while the block runs."""
    late = [0.0]

    async def watch() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append(time.perf_counter() - start - 0.01)

    task = asyncio.create_task(watch())
    try:
        yield late
    finally:
        task.cancel()


async def test_enough_packets_make_a_better_model_and_everyone_hears_of_it(settings: Settings) -> None:
    async with running(settings) as state:
        assert state.library.version == 1
        before = predicted(state)
        heard: list[int] = []

        async def told(version: int) -> None:
            heard.append(version)

        state.pipeline.announce = told
        await send(state, ENOUGH - 1)
        await asyncio.sleep(0.1)
        assert state.pipeline.progress.state == "waiting"
        async with lag() as late:
            await send(state, 1)
            await until(state, 2)
        assert predicted(state) > before + 0.3, "as far as one version may move a cell"
        assert heard == [2]
        assert max(late) < 0.5, "training must not hold up requests"
        assert state.pipeline.progress.fresh == 0
        records = await state.store.versions()
        assert [record.version for record in records] == [1, 2]
        assert await artefact(state, records[1]) == state.library.models[2].to_bytes()
        assert records[1].document["metadata"]["sampleCount"] > 0


async def artefact(state: State, record: VersionRecord) -> bytes:
    body = await state.store.blob(record.sha256)
    assert body is not None
    assert Model.from_bytes(body).version == record.version
    return body


async def test_a_restart_goes_on_where_the_server_stopped(settings: Settings) -> None:
    async with running(settings) as state:
        await send(state, 40)
        keys = state.keys.public()
        first = state.library.models[1].to_bytes()
    start = time.perf_counter()
    async with running(settings) as state:
        assert time.perf_counter() - start < 2, "a restart does not train"
        assert state.library.version == 1
        assert state.library.models[1].to_bytes() == first
        assert state.keys.public() == keys
        assert state.pipeline.progress.fresh == 40
        await send(state, ENOUGH - 40)
        await until(state, 2)


async def test_packets_are_folded_after_the_hold_and_still_count(settings: Settings) -> None:
    async with running(dataclasses.replace(settings, hold_seconds=0.0)) as state:
        await send(state, ENOUGH)
        await until(state, 2)
        async with asyncio.timeout(20):
            while (await state.store.counts()).pending:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)
        counts = await state.store.counts()
        assert (counts.folded, counts.reports) == (ENOUGH, ENOUGH)


async def published_by_hand(state: State) -> int:
    """As `fleetune models rollback` does from a process of its own: the server is not told."""
    latest = state.library.records[state.library.version]
    artefact = await state.store.blob(latest.sha256)
    assert artefact is not None
    version = latest.version + 1
    record, files, _ = Publisher().again(version, latest, "by hand", {latest.version: artefact})
    await state.store.save_version(record, files, 5)
    return version


async def test_a_version_published_by_hand_is_taken_over_and_learning_goes_on(settings: Settings) -> None:
    """The server was about to publish the same number. It neither waits nor tries that number for ever."""
    async with running(settings) as state:
        heard: list[int] = []

        async def told(version: int) -> None:
            heard.append(version)

        state.pipeline.announce = told
        version = await published_by_hand(state)
        await send(state, ENOUGH)
        await until(state, version + 1, seconds=20)
        assert heard[:2] == [version, version + 1]
        assert state.library.records[version].document["gate"] == ["by hand"]


async def test_packets_without_a_pause_do_not_keep_the_server_from_looking(settings: Settings) -> None:
    """Each of them wakes a pinned server that has enough: it must look at the store by the clock."""
    async with running(settings) as state:
        await state.store.put(PINNED, True)
        await send(state, ENOUGH)
        version = await published_by_hand(state)
        end = time.monotonic() + 20
        while state.library.version < version:
            assert time.monotonic() < end, "it does not look"
            await send(state, 1)
            await asyncio.sleep(0.05)
        assert state.library.version == version


async def test_time_alone_retrains_if_anything_came(settings: Settings) -> None:
    async with running(dataclasses.replace(settings, retrain_seconds=0.2)) as state:
        assert not state.pipeline.due
        await send(state, ENOUGH // 2)
        await asyncio.sleep(0.3)
        assert state.pipeline.due
        await until(state, 2)


async def test_old_cells_that_cannot_be_merged_do_not_stop_learning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> int:
        raise StoreError("UNIQUE constraint failed")

    async with running(settings) as state:
        monkeypatch.setattr(state.pipeline.old_cells, "merge", fails)
        await send(state, ENOUGH)
        await until(state, 2)


async def test_a_model_of_guesses_shows_no_figures(settings: Settings) -> None:
    async with running(settings) as state:
        metadata: dict[str, Any] = state.library.records[1].document["metadata"]
        assert metadata["trainedOn"]["labRows"] == 0
        assert set(metadata["metrics"]) == {"reports"}
        rows = guessed_rows(state.catalogue.manifest)
        assert len(rows) > 0


async def test_without_kernels_the_server_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    empty = dataclasses.replace(
        Settings.from_env({}), data=tmp_path / "data", kernels=tmp_path / "none", lab=tmp_path
    )
    async with running(empty) as state:
        assert state.library.version == 0
        assert state.catalogue.problem
        assert "make kernels" in state.catalogue.problem


def die(request: TrainRequest) -> Any:
    """A training that is killed."""
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_killed_training_is_reported_and_the_next_one_works() -> None:
    trainer = Trainer()
    request: Any = None
    with pytest.raises(TrainerDiedError):
        await trainer.run(die, request)
    assert await trainer.run(abs, -3) == 3
    trainer.close()


KILLED = """
import asyncio, multiprocessing, time
from fleetune_server.training.trainer import Trainer

async def main():
    trainer = Trainer()
    await trainer.run(abs, 1)
    print(multiprocessing.active_children()[0].pid, flush=True)
    await trainer.run(time.sleep, 60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_a_training_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(KILLED)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "server.py")], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        trainer = Path("/proc", server.stdout.readline().strip())
        time.sleep(0.2)  # the training is under way
        assert trainer.exists()
        server.kill()
    deadline = time.monotonic() + 5
    while trainer.exists() and "State:\tZ" not in (trainer / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_training_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    trainer = Trainer()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await trainer.run(time.sleep, 60)
    assert await trainer.run(abs, -3) == 3
    with pytest.raises(TypeError):
        await trainer.run(abs, "x")  # type: ignore[arg-type]
    assert await trainer.run(abs, -4) == 4, "an error does not end it"
    trainer.close()


def lanes(_request: object) -> tuple[int, int]:
    """(threads once numpy is there, niceness) of the process that trains."""
    import numpy as np

    np.ones((300, 300)) @ np.ones((300, 300))
    return len(list(Path("/proc/self/task").iterdir())), os.nice(0)


async def test_training_takes_one_core_and_lets_requests_go_first() -> None:
    trainer = Trainer()
    threads, niceness = await trainer.run(lanes, None)
    trainer.close()
    assert threads == 2, "it and one that waits; numpy's own threads would take every core"
    assert niceness >= os.nice(0) + 10 or niceness == 19
