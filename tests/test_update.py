"""The browser's update: incremental, full, offline, in several tabs, and when something fails on the way."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import tiny
from tests.releases import START, World

from fleetune.app import handlers
from fleetune.app.platform import NetworkError, PlatformError, Response
from fleetune.app.session import Session
from fleetune.app.update import MODEL, RENEW_SECONDS, restore, update
from fleetune.context import canonical_json
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server.publish.distribute import VALID_SECONDS


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.publish()
    return made


async def test_a_first_visit_fetches_the_full_model_and_later_ones_the_difference(world: World) -> None:
    platform = world.platform()
    outcome, good = await update(platform, world.pinned, None)
    assert (outcome.status, outcome.version, outcome.previous, outcome.update_type) == (
        "updated",
        1,
        0,
        "full",
    )
    assert good is not None
    world.publish()
    outcome, good = await update(platform, world.pinned, good)
    assert (outcome.status, outcome.version, outcome.previous) == ("updated", 2, 1)
    assert outcome.update_type == "incremental"
    assert outcome.bytes < len(world.artefacts[2]) / 4
    assert good is not None
    assert good.artefact == world.artefacts[2]
    assert good.model.version == 2
    outcome, same = await update(platform, world.pinned, good)
    assert (outcome.status, outcome.bytes, same) == ("current", 0, good)


async def test_a_browser_that_missed_three_versions_gets_them_in_one_chain(world: World) -> None:
    platform = world.platform()
    _, good = await update(platform, world.pinned, None)
    for _ in range(3):
        world.publish()
    world.requests.clear()
    outcome, good = await update(platform, world.pinned, good)
    assert (outcome.version, outcome.update_type, len(world.requests)) == (4, "incremental", 2)
    assert good is not None
    assert good.artefact == world.artefacts[4]


async def test_the_last_good_model_works_offline_after_a_restart(world: World) -> None:
    platform = world.platform()
    await update(platform, world.pinned, None)
    world.time += 400 * 86_400
    again = await restore(platform, world.pinned)
    assert again is not None, "an expired signature does not matter offline"
    assert again.artefact == world.artefacts[1]
    offline = Broken(platform, NetworkError("the server cannot be reached"))
    outcome, good = await update(offline, world.pinned, None)
    assert (outcome.status, outcome.version, outcome.reason) == ("kept", 1, "network")
    assert "model 1, the last good one, stays in use" in str(outcome.error)
    assert good is not None


async def test_with_no_model_and_no_server_it_says_so(world: World) -> None:
    outcome, good = await update(Broken(world.platform(), NetworkError("no network")), world.pinned, None)
    assert (outcome.status, outcome.version, good) == ("kept", 0, None)
    assert "there is no model yet" in str(outcome.error)


async def test_one_tab_downloads_for_all(world: World) -> None:
    first, second = world.platform(), world.platform()
    second.store = first.store
    await update(first, world.pinned, None)
    world.requests.clear()
    outcome, good = await update(second, world.pinned, None)
    assert (outcome.status, outcome.version, outcome.bytes) == ("updated", 1, 0)
    assert good is not None
    assert not [path for path in world.requests if path.startswith("/models/")]


async def test_a_damaged_delta_is_made_good_by_the_full_file_once(world: World) -> None:
    platform = world.platform()
    _, good = await update(platform, world.pinned, None)
    record = world.publish()
    name = record.document["incremental"]["1"]["sha256"]
    for damage in (world.files[name][:-1], b"", bytes(len(world.files[name])), None):
        visitor = world.platform()
        visitor.store.values = dict(platform.store.values)
        world.distributor._files.clear()
        world.files.pop(name, None)
        if damage is not None:
            world.files[name] = damage
        world.requests.clear()
        outcome, new = await update(visitor, world.pinned, good)
        assert (outcome.status, outcome.version, outcome.update_type) == ("updated", 2, "full")
        assert sum("latest" in path for path in world.requests) == 2
        assert new is not None
        assert new.artefact == world.artefacts[2]


async def test_if_the_full_file_fails_too_the_last_good_model_stays(world: World) -> None:
    platform = world.platform()
    _, good = await update(platform, world.pinned, None)
    world.publish()
    kept = dict(platform.store.values)
    for name in world.files:
        world.files[name] = b"rubbish"
    world.distributor._files.clear()
    outcome, same = await update(platform, world.pinned, good)
    assert (outcome.status, outcome.version, outcome.reason) == ("kept", 1, "size")
    assert same is good
    assert platform.store.values == kept


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_an_answer_with_an_error_status_changes_nothing(world: World, status: int) -> None:
    _, good = await update(world.platform(), world.pinned, None)
    platform = Broken(world.platform(), Response(status, {}, b"sorry"))
    outcome, same = await update(platform, world.pinned, good)
    assert (outcome.status, outcome.reason, same) == ("kept", "network", good)


async def test_a_full_disk_does_not_keep_this_tab_from_the_new_model(world: World) -> None:
    platform = world.platform()

    async def full(key: str, value: object) -> None:
        raise PlatformError("this browser's storage is full")

    platform.store.set = full  # type: ignore[method-assign]
    outcome, good = await update(platform, world.pinned, None)
    assert (outcome.status, outcome.version) == ("updated", 1)
    assert good is not None
    assert any("storage is full" in str(data) for _event, data in platform.events)


async def test_killed_in_mid_update_there_is_the_old_model_or_the_new_one(world: World) -> None:
    platform = world.platform()
    _, good = await update(platform, world.pinned, None)
    world.publish()
    for fatal in range(1, 8):
        victim = Mortal(world.platform(), fatal)
        victim.store.values = dict(platform.store.values)
        with contextlib.suppress(Killed):
            await update(victim, world.pinned, good)
        survivor = await restore(HttpPlatform(world.http, lambda: world.time), world.pinned)
        assert survivor is None, "another browser has nothing to do with it"
        again = world.platform()
        again.store.values = victim.store.values
        kept = await restore(again, world.pinned)
        assert kept is not None
        assert kept.artefact == world.artefacts[kept.version]


async def test_a_signature_about_to_expire_is_renewed_without_downloading_the_model(world: World) -> None:
    platform = world.platform()
    _, good = await update(platform, world.pinned, None)
    world.time = START + VALID_SECONDS - RENEW_SECONDS + 1
    outcome, renewed = await update(platform, world.pinned, good)
    assert (outcome.status, outcome.bytes) == ("current", 0)
    assert good is not None
    assert renewed is not None
    assert renewed.release.expires > good.release.expires
    kept = await restore(platform, world.pinned)
    assert kept is not None
    assert kept.release.expires == renewed.release.expires


@pytest.mark.parametrize("part", ["manifest", "signature", "artefact"])
async def test_a_kept_model_that_was_tampered_with_is_not_used(world: World, part: str) -> None:
    platform = world.platform()
    await update(platform, world.pinned, None)
    value = platform.store.values[MODEL]
    damages: list[Any] = [None, 7, "A" * 88, {}, base64.b64encode(b"FTM1").decode()]
    for wrong in damages:
        platform.store.values[MODEL] = value | {part: wrong}
        assert await restore(platform, world.pinned) is None
    wholes: list[Any] = [None, [], "x", {}]
    for whole in wholes:
        platform.store.values[MODEL] = whole
        assert await restore(platform, world.pinned) is None
    outcome, good = await update(platform, world.pinned, None)
    assert (outcome.status, outcome.version) == ("updated", 1), "and it is fetched again"
    assert good is not None


async def test_the_page_calls_the_operation_and_hears_of_the_swap(world: World) -> None:
    platform = world.platform()
    session = Session(platform, tiny.manifest(), tiny.ENVIRONMENT, {"root": world.keys.root()})
    answer = await handlers.call(session, "update", {"draw": 5})
    assert answer["value"]["version"] == 1
    assert ("model", answer["value"]) in platform.events
    assert session.verified is not None
    assert world.requests[0].endswith("version=0&draw=5")
    session.boot = {"root": {}}
    answer = await handlers.call(session, "update", {})
    assert answer["value"]["reason"] == "root-form"
    assert session.verified.version == 1
    canonical_json(answer)


async def test_the_answer_is_read_strictly(world: World) -> None:
    _, good = await update(world.platform(), world.pinned, None)
    for body in (b"", b"[]", b"null", b"{}", b"[" * 100_000, b'{"upToDate": 1}', b"\xff", b" " * 70_000):
        outcome, same = await update(Broken(world.platform(), Response(200, {}, body)), world.pinned, good)
        assert (outcome.status, same) == ("kept", good)
        assert outcome.reason in ("manifest", "signature")


class Broken(HttpPlatform):
    """A browser whose every request ends the same way."""

    def __init__(self, like: HttpPlatform, ending: Response | Exception) -> None:
        super().__init__(like._http, like._now)
        self.store = like.store
        self.ending = ending

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending


class Killed(BaseException):
    """The tab was closed."""


class Mortal(HttpPlatform):
    """A browser that is killed at its n-th step outside."""

    def __init__(self, like: HttpPlatform, steps: int) -> None:
        super().__init__(like._http, like._now)
        self.steps = steps
        store_set = self.store.set

        async def mortal_set(key: str, value: object) -> None:
            self.step()
            await store_set(key, json.loads(json.dumps(value)))
            self.step()

        self.store.set = mortal_set  # type: ignore[method-assign]

    def step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            raise Killed

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.step()
        response = await super().fetch(method, path, body, headers)
        self.step()
        return response


async def test_an_answer_without_end_is_cut_off() -> None:
    class Endless(httpx.AsyncByteStream):
        sent = 0

        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                self.sent += 1 << 20
                yield bytes(1 << 20)

    stream = Endless()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=stream))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        with pytest.raises(NetworkError, match="does not end"):
            await HttpPlatform(http).fetch("GET", "/models/x")
    assert stream.sent < 20 << 20
