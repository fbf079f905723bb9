"""Attacks on the keys: whoever answers for a server can change them only through the chain of roots.

After the same list as `test_update_attacks.py`. What is refused leaves the remembered root and the model as they were.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests import tiny
from tests.releases import START, World

from fleetune.app import handlers
from fleetune.app.platform import Response
from fleetune.app.session import Session
from fleetune.app.trust import ROOT, follow
from fleetune.app.update import MODEL, update
from fleetune.root import MAX_BYTES, Root, verify_root
from fleetune.signed import SignedError, canonical, key_id, read_keys
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server import cli
from fleetune_server.publish.keys import RENEW_SECONDS, VALID_SECONDS, KeyFileError, KeyRing, Roots

STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)


class Visitor(HttpPlatform):
    """A browser; an attacker may answer in the server's place for some addresses."""

    def __init__(self, world: World) -> None:
        super().__init__(world.http, now=lambda: world.time)
        self.world = world
        self.forged: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.asked.append(path)
        if path in self.forged:
            return Response(200, {}, self.forged[path])
        return await super().fetch(method, path, body, headers)

    async def visit(self, offered: object = None) -> dict[str, Any]:
        """What an update answers at a visit that is offered this root; the server's own if none is named."""
        boot = {"root": self.world.keys.root() if offered is None else offered}
        self.session = await handlers.start(
            self, boot=boot, manifest=tiny.manifest(), environment=tiny.ENVIRONMENT
        )
        answer: dict[str, Any] = (await handlers.call(self.session, "update", {}))["value"]
        return answer

    async def refuses(self, offered: object = None) -> str:
        """The reason for which the offered root was refused; nothing that was remembered has changed."""
        before, model = json.dumps(self.store.values), self.session.verified
        answer = await self.visit(offered)
        assert answer["status"] == "kept"
        assert answer["error"]
        assert json.dumps(self.store.values) == before
        assert model is None or (self.session.verified and self.session.verified.release == model.release)
        return str(answer["reason"])


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.publish()
    return made


@pytest.fixture
async def visitor(world: World) -> Visitor:
    """Somebody who has been here: the root of that visit is remembered."""
    made = Visitor(world)
    assert (await made.visit())["status"] == "updated"
    return made


def signed(root: Root, *keys: Ed25519PrivateKey) -> dict[str, Any]:
    message = canonical(root.to_wire())
    pairs = ((key_id(key.public_key().public_bytes_raw()), key.sign(message)) for key in keys)
    return {"signed": root.to_wire(), "signatures": {n: base64.b64encode(s).decode() for n, s in pairs}}


def root_of(world: World, version: int, *keys: Ed25519PrivateKey, **changes: Any) -> Root:
    raws = [key.public_key().public_bytes_raw() for key in keys]
    expires = int(world.time) + VALID_SECONDS
    return dataclasses.replace(Root(version, {key_id(raw): raw for raw in raws}, 1, 0, expires), **changes)


def own(world: World) -> Ed25519PrivateKey:
    return world.keys.keys[0].private


async def test_other_keys_at_the_same_server_are_refused_and_say_what_to_do(
    world: World, visitor: Visitor
) -> None:
    for version in (1, 2):
        stranger = signed(root_of(world, version, STRANGER), STRANGER)
        assert await visitor.refuses(stranger) == "root-keys"
    assert "clear this site's data" in (await visitor.visit(stranger))["error"]
    assert (await visitor.visit())["status"] == "current", "the honest server is still believed"


async def test_a_version_under_another_key_is_not_taken_although_it_is_newer_or_older(
    world: World, visitor: Visitor, tmp_path: Path
) -> None:
    other = World(tmp_path / "other")
    for _ in range(2):
        other.publish()
    visitor._http = other.http
    assert await visitor.refuses(other.keys.root()) == "root-keys"
    assert await visitor.refuses(world.keys.root()) == "root-keys", "nor after the honest root"


async def test_a_visitor_who_is_roots_behind_follows_the_chain(world: World, visitor: Visitor) -> None:
    (old,) = world.keys.public()
    world.keys.new()
    world.keys.rotate()
    world.keys.retire(old)
    world.publish()
    visitor.asked.clear()
    assert (await visitor.visit())["status"] == "updated"
    assert [path for path in visitor.asked if path.startswith("/roots/")] == ["/roots/2"]
    assert visitor.store.values[ROOT]["signed"]["version"] == 3
    visitor.asked.clear()
    assert (await visitor.visit())["status"] == "current"
    assert len(visitor.asked) == 1, "nothing more is asked once it is known"


async def test_a_page_that_was_open_while_the_keys_changed_asks_for_the_new_root(
    world: World, visitor: Visitor
) -> None:
    (old,) = world.keys.public()
    world.keys.rotate()
    world.keys.rotate()
    world.keys.retire(old)
    world.publish()
    answer = (await handlers.call(visitor.session, "update", {}))["value"]
    assert (answer["status"], answer["version"]) == ("updated", 2)


async def test_a_skipped_root_is_refused(world: World, visitor: Visitor) -> None:
    world.keys.new()
    world.keys.new()
    three = world.keys.root()
    assert three["signed"]["version"] == 3
    visitor.forged["/roots/2"] = json.dumps(three).encode()
    assert await visitor.refuses() == "root-skipped"
    del visitor.forged["/roots/2"]
    (world.keys.folder / "roots" / "2.json").unlink()
    assert await visitor.refuses() == "root-skipped"


async def test_a_root_needs_the_signatures_of_itself_and_of_the_one_before(
    world: World, visitor: Visitor
) -> None:
    fresh = root_of(world, 2, STRANGER)
    assert await visitor.refuses(signed(fresh, STRANGER)) == "root-keys"
    assert await visitor.refuses(signed(fresh, own(world))) == "root-keys"
    assert await visitor.refuses({"signed": fresh.to_wire(), "signatures": {}}) == "root-keys"
    forged = signed(fresh, own(world), STRANGER)
    wrong = dict(forged["signatures"])
    wrong[next(iter(world.keys.public()))] = base64.b64encode(bytes(64)).decode()
    assert await visitor.refuses(forged | {"signatures": wrong}) == "root-keys"
    await visitor.visit(forged)
    assert visitor.store.values[ROOT] == forged, "who holds a current key is believed"


async def test_a_first_visit_needs_a_root_that_vouches_for_itself(world: World) -> None:
    for document in (
        signed(root_of(world, 1, STRANGER), own(world)),
        signed(root_of(world, 1, STRANGER), STRANGER) | {"more": 1},
        {},
    ):
        visitor = Visitor(world)
        assert (await visitor.visit(document))["reason"] in ("root-keys", "root-form")
        assert not visitor.store.values


async def test_an_older_root_is_refused(world: World, visitor: Visitor) -> None:
    one = world.keys.root()
    world.keys.new()
    await visitor.visit()
    assert await visitor.refuses(one) == "root-rollback"


async def test_an_expired_root_is_refused_and_one_in_between_may_be_expired(
    world: World, visitor: Visitor
) -> None:
    frozen = world.keys.root()
    world.time = START + VALID_SECONDS
    assert await visitor.refuses(frozen) == "root-expired"
    assert (await Visitor(world).visit(frozen))["reason"] == "root-expired"
    world.keys.new()  # first renews the root that has expired
    world.publish()
    assert (await visitor.visit())["status"] == "updated"
    assert visitor.store.values[ROOT]["signed"]["version"] == 3


async def test_a_root_is_renewed_with_the_same_keys_long_before_it_expires(
    world: World, visitor: Visitor
) -> None:
    first = world.keys.root()
    world.time = START + VALID_SECONDS - RENEW_SECONDS - 1
    assert world.keys.root() == first
    world.time += 2
    second = world.keys.root()
    assert second["signed"]["keys"] == first["signed"]["keys"]
    assert (await visitor.visit())["status"] == "current"
    assert visitor.store.values[ROOT] == second


async def test_parts_of_two_roots_do_not_make_one(world: World, visitor: Visitor) -> None:
    world.keys.new()
    two = dict(world.keys.root())
    world.keys.new()
    three = dict(world.keys.root())
    assert await visitor.refuses(two | {"signatures": three["signatures"]}) == "root-keys"
    for name, value in (("least", 7), ("expires", 2**39), ("threshold", 2)):
        assert await visitor.refuses(two | {"signed": two["signed"] | {name: value}}) == "root-keys"
    assert (await visitor.visit(two | {"signed": three["signed"]}))["reason"] == "root-keys"
    assert visitor.store.values[ROOT] == two, "the sound step on the way there holds"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 10_000, b" " * (MAX_BYTES + 1), bytes(20 << 20)]
)
async def test_endless_or_malformed_roots_are_refused(world: World, visitor: Visitor, body: bytes) -> None:
    world.keys.new()
    world.keys.new()
    visitor.forged["/roots/2"] = body
    assert await visitor.refuses() == "root-form"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": True},
        {"version": 2**31},
        {"threshold": 0},
        {"threshold": 2},
        {"least": -1},
        {"expires": 2**41},
        {"type": "release"},
        {"keys": {}},
        {"keys": {f"{n:016x}": base64.b64encode(bytes(32)).decode() for n in range(9)}},
        {"more": 1},
    ],
)
async def test_a_root_of_another_shape_is_refused_even_if_it_is_signed(
    world: World, visitor: Visitor, change: dict[str, Any]
) -> None:
    wire = root_of(world, 2, own(world)).to_wire() | change
    signatures = {
        next(iter(world.keys.public())): base64.b64encode(own(world).sign(canonical(wire))).decode()
    }
    assert await visitor.refuses({"signed": wire, "signatures": signatures}) == "root-form"


async def test_a_signed_release_is_no_root_and_a_root_no_release(world: World, visitor: Visitor) -> None:
    answer = world.distributor.answer(0)
    forged = {"signed": answer["manifest"], "signatures": answer["signature"]}
    assert await visitor.refuses(forged) == "root-form"


async def test_an_older_version_signed_by_newer_keys_is_refused_although_the_old_key_is_gone(
    world: World, visitor: Visitor
) -> None:
    world.publish()
    await visitor.visit()
    (old,) = world.keys.public()
    world.keys.rotate()
    world.keys.rotate()
    replay = dict(
        world.distributor._make(world.records[1], None, world.time)
    )  # signed by those that stay, too
    world.keys.retire(old)
    assert world.keys.root()["signed"]["least"] == 2
    visitor.forged["/api/model/latest?version=0"] = json.dumps(replay).encode()
    answer = await visitor.visit()
    assert (answer["status"], answer["reason"]) == ("kept", "rollback")
    del visitor.forged["/api/model/latest?version=0"]
    assert (await visitor.visit())["version"] == 2


async def test_a_stolen_key_that_was_retired_makes_no_root(world: World, visitor: Visitor) -> None:
    thief, (old,) = own(world), world.keys.public()
    world.keys.rotate()
    world.keys.rotate()
    world.keys.retire(old)
    await visitor.visit()
    version = world.keys.root()["signed"]["version"]
    for keys in ((STRANGER,), (thief,), (STRANGER, thief)):
        forged = signed(root_of(world, version + 1, *keys, least=9), *keys)
        assert await visitor.refuses(forged) == "root-keys"


async def test_a_threshold_counts_keys_of_both_roots(world: World) -> None:
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2, 3)]
    check = Visitor(world).ed25519_verify
    first = await verify_root(signed(root_of(world, 1, *keys, threshold=2), *keys[:2]), None, check)
    fresh = root_of(world, 2, *keys[1:], STRANGER, threshold=2)
    await verify_root(signed(fresh, *keys[1:]), first, check)
    for some in ([keys[1]], [keys[1], STRANGER], [keys[0], keys[1]]):
        with pytest.raises(SignedError) as caught:
            await verify_root(signed(fresh, *some), first, check)
        assert caught.value.reason == "root-keys"


async def test_lost_keys_are_refused_by_those_who_knew_them_until_they_reset(
    world: World, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = world.keys.folder.glob("*.json")
    path.unlink()
    with pytest.raises(KeyFileError, match=r"--new-keys.*clear this site's data"):
        KeyRing.open(world.keys.folder, signed=True)
    with pytest.raises(KeyFileError, match="clear this site's data"):
        world.keys.new()
    world.keys = world.distributor.keys = KeyRing.open(
        world.keys.folder, now=lambda: world.time
    )  # --new-keys
    assert "the chain of roots begins anew" in caplog.text
    assert world.keys.root()["signed"]["version"] == 2
    world.publish()
    assert await visitor.refuses() == "root-keys"
    assert (await Visitor(world).visit())["version"] == 2, "who comes for the first time"
    visitor.store.values.clear()  # the visitor clears the site's data
    assert (await visitor.visit())["version"] == 2


async def test_keys_that_were_exchanged_by_hand_do_not_sign_a_root(world: World) -> None:
    shutil.copytree(world.keys.folder, world.keys.folder.with_name("aside"))
    (path,) = world.keys.folder.glob("*.json")
    path.unlink()
    stray = KeyRing(world.keys.folder.with_name("stray"))._make("signing")
    shutil.copy(world.keys.folder.with_name("stray") / f"{stray.id}.json", world.keys.folder)
    with pytest.raises(KeyFileError, match="none of the keys that root 1 names"):
        world.keys.root()
    with pytest.raises(KeyFileError, match="none of the keys that root 1 names"):
        KeyRing.open(world.keys.folder, signed=True)


async def test_a_damaged_memory_and_a_server_without_roots(world: World, visitor: Visitor) -> None:
    platform = visitor
    assert await follow(platform, None) == await follow(platform, world.keys.root())
    platform.store.values[ROOT] = {"signed": 1}
    assert (await visitor.visit())["reason"] == "root-form"
    with pytest.raises(SignedError) as caught:
        await follow(Visitor(world), None)
    assert caught.value.reason == "keys"


async def test_two_processes_that_add_a_root_at_once_make_one(world: World) -> None:
    added = Ed25519PrivateKey.generate()
    keys = {key.id: key.private for key in world.keys.keys}
    keys[key_id(added.public_key().public_bytes_raw())] = added
    here, late = Roots(world.keys.folder / "roots"), Roots(world.keys.folder / "roots")
    first = here.follow(keys, lambda: 0)
    late._write(root_of(world, 2, *keys.values()), keys)  # it looked before the other one wrote
    assert late.follow(keys, lambda: 0) == first == here.document(2)
    assert {path.name for path in here.folder.iterdir()} == {"1.json", "2.json"}


async def test_kept_model_and_root_of_an_earlier_release(world: World) -> None:
    """A visitor of a release that knew no root has a model, and takes the first root that is offered."""
    visitor = Visitor(world)
    await update(visitor, world.pinned, None)
    assert set(visitor.store.values) == {MODEL}
    world.publish()
    assert (await visitor.visit())["updateType"] == "incremental"
    assert isinstance(visitor.session, Session)


def test_the_command_names_the_root_and_what_may_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path))
    for action in ("new", "rotate", "list"):
        assert cli.main(["keys", action]) == 0
    lines = capsys.readouterr().out.splitlines()
    first, second, *_, root = lines
    assert root.startswith("root 2 names ")
    assert all(name in root for name in (first, second))
    assert cli.main(["keys", "retire", first]) == 0
    ring = KeyRing(tmp_path / "keys")
    assert read_keys(ring.public()).keys() == {second}
    assert ring.root()["signed"]["version"] == 3
