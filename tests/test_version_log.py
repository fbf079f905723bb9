"""The public log of versions: one chain, which clients remember, and which tells when it was changed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests import releases, tiny
from tests.releases import World

from fleetune.app import update as updating
from fleetune.app import witness as witnessing
from fleetune.app.session import Session
from fleetune.app.witness import LOG
from fleetune.version_log import BEGINNING, LogEntry, LogError, extend, follows
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server import cli
from fleetune_server.store.base import VersionRecord
from fleetune_server.store.sqlite import open_sqlite

VERSIONS = [(version, f"{version:064x}", 1_795_392_000 + version) for version in (1, 2, 3, 1_000)]


def test_a_log_is_one_chain_and_any_change_breaks_it() -> None:
    log = extend(None, VERSIONS)
    assert log[0].previous == BEGINNING
    assert follows(None, log) == log[-1]
    assert follows(log[1], log[2:]) == log[-1]
    assert log == [*extend(None, VERSIONS[:2]), *extend(log[1], VERSIONS[2:])]
    for at in range(3):
        with pytest.raises(LogError, match=f"version {log[at + 1].version}"):
            follows(None, [*log[:at], dataclasses.replace(log[at], sha256="f" * 64), *log[at + 1 :]])
        with pytest.raises(LogError):
            follows(None, [*log[:at], *log[at + 1 :]])
    with pytest.raises(LogError):
        follows(None, [log[1], log[0]])
    with pytest.raises(LogError, match="goes back"):
        follows(log[1], extend(log[1], [(2, "a" * 64, 0)]))


@pytest.mark.parametrize(
    "change", [{"version": True}, {"version": 0}, {"sha256": "A" * 64}, {"previous": 7}, {"more": 1}]
)
def test_an_entry_is_read_strictly(change: dict[str, Any]) -> None:
    wire = extend(None, VERSIONS)[0].to_wire()
    assert LogEntry.from_wire(json.loads(json.dumps(wire))) == extend(None, VERSIONS)[0]
    with pytest.raises(LogError):
        LogEntry.from_wire(wire | change)
    with pytest.raises(LogError):
        LogEntry.from_wire([])


class Visitor:
    """A browser that updates as the page has it do."""

    def __init__(self, world: World) -> None:
        self.world, self.platform = world, world.platform()
        self.session = Session(self.platform, tiny.manifest(), tiny.ENVIRONMENT, {"root": world.keys.root()})

    async def update(self) -> list[str]:
        """What the page is warned of."""
        self.platform.events.clear()
        assert (await updating.update_operation(self.session, {}))["status"] == "updated"
        return [data["text"] for name, data in self.platform.events if name == "log"]

    @property
    def seen(self) -> int:
        return int(self.platform.store.values[LOG]["version"])


async def test_a_browser_remembers_the_last_entry_and_follows_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    monkeypatch.setattr(witnessing, "PAGE", 2)
    monkeypatch.setattr(releases, "PAGE", 2)
    world.publish()
    visitor = Visitor(world)
    assert await visitor.update() == []
    for _ in range(4):
        world.publish()
    world.requests.clear()
    assert await visitor.update() == []
    assert visitor.seen == 5
    asked = [request for request in world.requests if "log" in request]
    assert asked == [f"/api/log?version={version}" for version in (1, 2, 3, 4)]


async def test_a_log_that_was_changed_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    visitor = Visitor(world)
    await visitor.update()
    honest = dict(world.records)
    world.publish()
    world.records[1] = dataclasses.replace(honest[1], sha256="f" * 64)
    (said,) = await visitor.update()
    assert "not the one of earlier visits: version 1 is not what it was" in said
    world.publish()
    assert await visitor.update() == [], "told once"
    assert visitor.seen == 3
    del world.records[3]  # as a backup has it
    world.records[4] = dataclasses.replace(world.records.pop(2), version=4)
    assert visitor.session.verified
    release = dataclasses.replace(visitor.session.verified.release, version=4, sha256=world.records[4].sha256)
    visitor.platform.events.clear()
    await witnessing.witness(visitor.platform, release)
    assert "version 3 is not what it was" in visitor.platform.events[0][1]["text"]


async def test_a_release_that_the_log_does_not_name_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    visitor = Visitor(world)
    await visitor.update()
    assert visitor.session.verified
    release = visitor.session.verified.release
    for change, words in (
        ({"sha256": "a" * 64}, "another one than was signed"),
        ({"version": 2}, "is not in it"),
    ):
        visitor.platform.events.clear()
        await witnessing.witness(visitor.platform, dataclasses.replace(release, **change))
        assert words in visitor.platform.events[0][1]["text"]


async def test_a_log_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.publish()
    visitor = Visitor(world)
    await visitor.update()
    for _ in range(4):
        world.publish()
    for module in (witnessing, releases):
        monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(witnessing, "MAX_PAGES", 2)
    world.requests.clear()
    (said,) = await visitor.update()
    assert "more than 4 entries" in said
    assert len([request for request in world.requests if "log" in request]) == 3


async def test_a_server_without_a_log_and_a_broken_one_stop_no_update(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    for status, body, warnings in (
        (404, b"", 0),
        (200, b"[" * 9_999, 2),
        (503, b"", 2),
        (200, bytes(10**6), 2),
    ):
        visitor = Visitor(world)
        visitor.platform = Broken(world, status, body)
        visitor.session.platform = visitor.platform
        assert len(await visitor.update()) == warnings
        assert LOG not in visitor.platform.store.values


class Broken(HttpPlatform):
    """A browser whose every question about the log ends the same way."""

    def __init__(self, world: World, status: int, body: bytes) -> None:
        super().__init__(world.http, lambda: world.time)
        self.ending = status, body

    async def fetch(self, method: str, path: str, *more: Any) -> Any:
        answer = await super().fetch(method, path, *more)
        status, body = self.ending
        return dataclasses.replace(answer, status=status, body=body) if "/log" in path else answer


def test_the_command_verifies_what_the_store_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path))
    path = tmp_path / "fleetune.db"

    async def fill() -> None:
        async with open_sqlite(path, 10) as store:
            for version, sha256, created in VERSIONS:
                document = {"size": 1, "incremental": {}, "metadata": {}}
                await store.save_version(VersionRecord(version, sha256, 0.5, created, document), {}, 2)

    def change(statement: str) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()

    asyncio.run(fill())
    assert cli.main(["models", "log"]) == 0
    assert [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()] == [1, 2, 3, 1_000]
    assert cli.main(["models", "log", "--verify"]) == 0
    assert "4 entries, one chain" in capsys.readouterr().out
    for statement, words in (
        (f"UPDATE log SET sha256 = '{'f' * 64}' WHERE version = 1", "does not lead to version 2"),
        ("DELETE FROM log WHERE version = 1", "does not lead to version 2"),
        ("DELETE FROM log WHERE version = 1000", "version 1000 is kept and not in the log"),
        (
            f"UPDATE versions SET sha256 = '{'e' * 64}' WHERE version = 3",
            "version 3 is kept with other content",
        ),
    ):
        change(statement)
        assert cli.main(["models", "log", "--verify"]) == 1
        assert words in capsys.readouterr().err


def test_versions_of_a_release_that_kept_no_log_come_with_the_next_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_sqlite(tmp_path / "fleetune.db", 10) as store:
            for version in (3, 4):
                await store.save_version(VersionRecord(version, f"{version:064x}", 0.5, version, {}), {}, 8)
            with closing(sqlite3.connect(tmp_path / "fleetune.db")) as database:
                database.execute("DELETE FROM log")
                database.commit()
            await store.save_version(VersionRecord(5, "5" * 64, 0.5, 5, {}), {}, 8)
            log = await store.log(0, 9)
            assert [entry.version for entry in log] == [3, 4, 5]
            assert follows(None, log) == log[-1]

    asyncio.run(check())
