"""Publishing and distributing: immutable files, signed answers, keys on disk."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from tests.releases import START, World, changed, first, metadata

from fleetune.delta import MAX_SIZE, apply
from fleetune.model import ModelError
from fleetune.signed import verify
from fleetune_server import cli
from fleetune_server.publish.distribute import RENEW_SECONDS, VALID_SECONDS
from fleetune_server.publish.keys import KeyFileError, KeyRing
from fleetune_server.publish.release import Publisher, PublishError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_every_kept_base_gets_an_update_that_leads_to_the_same_checksum(world: World) -> None:
    for _ in range(8):
        world.publish()
    for base in range(8):
        answer = world.distributor.answer(base)
        body = (await world.http.get(answer["url"])).content
        assert len(body) == answer["size"]
        result = (
            apply(world.artefacts[base], body, answer["manifest"]["size"])
            if answer["updateType"] == "incremental"
            else body
        )
        assert hashlib.sha256(result).hexdigest() == answer["checksum"] == answer["manifest"]["sha256"]
        assert (answer["updateType"] == "incremental") == (base >= 3), "five bases back, else full"
        platform = world.platform()
        release, _ = await verify(
            answer["manifest"], answer["signature"], world.pinned, platform.ed25519_verify
        )
        assert (release.version, release.base) == (8, base if base >= 3 else None)
    assert world.distributor.answer(8) == {"upToDate": True, "version": 8}


async def test_answers_have_the_documented_shape(world: World) -> None:
    world.publish()
    full = (await world.http.get("/api/model/latest")).json()
    common = {"upToDate", "updateType", "version", "url", "size", "checksum", "manifest", "signature"}
    assert full.keys() == common | {"metadata"}
    wanted = {"trainedOn", "sampleCount", "trainingLoss", "architecture", "checksum", "clip", "metrics"}
    assert full["metadata"].keys() == wanted
    world.publish()
    incremental = (await world.http.get("/api/model/latest", params={"version": 1})).json()
    assert incremental.keys() == common | {"base"}
    assert incremental["base"] == 1
    assert (await world.http.get("/api/model/latest", params={"version": 2})).json() == {
        "upToDate": True,
        "version": 2,
    }
    for wrong in ("x", "-1", "1.5", "99999999999", "²"):
        assert (await world.http.get("/api/model/latest", params={"version": wrong})).status_code == 400
    assert (await world.http.get("/api/model/latest", params={"draw": "1000"})).status_code == 400


async def test_files_are_immutable_and_compressed_where_that_helps(world: World) -> None:
    record = world.publish()
    url = f"/models/{record.sha256}"
    codings = {
        "gzip": "gzip",
        "gzip, deflate, br, zstd": "br",
        "br;q=0, gzip;q=0.5": "gzip",
        "identity": None,
        "": None,
        "abr, gzipped": None,
    }
    sizes = {}
    for accepted, coding in codings.items():
        got = await world.http.get(url, headers={"accept-encoding": accepted})
        assert got.headers.get("content-encoding") == coding, accepted
        assert got.content == first()
        assert got.headers["vary"] == "accept-encoding"
        sizes[coding] = int(got.headers["content-length"])
    assert sizes["br"] < sizes["gzip"] < sizes[None]
    plain = await world.http.get(url, headers={"accept-encoding": "identity"})
    assert "immutable" in plain.headers["cache-control"]
    again = await world.http.get(url, headers={"if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await world.http.get(f"/models/{'0' * 64}")).status_code == 404
    assert (await world.http.get("/models/nothing")).status_code == 404


async def test_polling_with_an_entity_tag_costs_nothing(world: World) -> None:
    assert (await world.http.get("/api/model/latest")).status_code == 503, "before the first version"
    world.publish()
    answer = await world.http.get("/api/model/latest", params={"version": 1})
    tag = {"if-none-match": answer.headers["etag"]}
    assert (await world.http.get("/api/model/latest", params={"version": 1}, headers=tag)).status_code == 304
    world.publish()
    assert (await world.http.get("/api/model/latest", params={"version": 1}, headers=tag)).status_code == 200


async def test_signatures_are_renewed_long_before_they_expire_and_after_a_rotation(world: World) -> None:
    world.publish()
    before = world.distributor.answer(0)
    assert world.distributor.answer(0) is before
    world.time = START + RENEW_SECONDS + 1
    after = world.distributor.answer(0)
    assert after["manifest"]["expires"] == int(world.time) + VALID_SECONDS > before["manifest"]["expires"]
    world.keys.rotate()
    assert len(world.distributor.answer(0)["signature"]) == 2
    world.keys.retire(next(iter(before["signature"])))
    assert world.distributor.answer(0)["signature"].keys() == world.keys.public().keys()


def test_what_a_browser_would_refuse_is_not_published() -> None:
    publisher = Publisher()
    with pytest.raises(ModelError):
        publisher.release(1, first()[:-1], metadata(), {})
    with pytest.raises(PublishError):
        publisher.release(2, first(), metadata(), {})
    assert MAX_SIZE == 5_000_000, "the contract's limit"


def test_an_update_that_saves_too_little_is_not_offered() -> None:
    other = changed(first(), 2, seed=1, share=1.0)
    record, files = Publisher().release(2, other, metadata(), {1: b"nothing alike"})
    assert (record.document["incremental"], list(files)) == ({}, [record.sha256])


def test_keys_are_private_to_their_owner(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    (path,) = (tmp_path / "keys").glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert KeyRing.open(tmp_path / "keys").public() == ring.public(), "made once"
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        KeyRing.open(tmp_path / "keys")


@pytest.mark.parametrize("damage", ["", "{}", '{"state": "signing", "created": 1, "private": "AAAA"}', "[1]"])
def test_a_damaged_key_file_is_named(tmp_path: Path, damage: str) -> None:
    KeyRing.open(tmp_path)
    (path,) = tmp_path.glob("*.json")
    path.write_text(damage)
    with pytest.raises(KeyFileError, match=path.name):
        KeyRing.open(tmp_path)


def test_a_key_under_another_keys_name_is_refused(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path)
    (first_key,) = ring.keys
    (tmp_path / f"{ring.new().id}.json").rename(tmp_path / f"{first_key.id}.json")
    with pytest.raises(KeyFileError, match="another key"):
        _ = KeyRing(tmp_path).keys


def test_a_rotation_by_command_line_is_seen_by_a_running_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("FLEETUNE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLEETUNE_DATA", str(tmp_path))
    running = KeyRing.open(tmp_path / "keys")
    (old,) = running.sign(b"m")
    assert cli.main(["keys", "new"]) == 0
    standby = capsys.readouterr().out.strip()
    assert running.public().keys() == {old, standby}
    assert running.sign(b"m").keys() == {old}, "a standby key is pinned, it does not sign"
    assert cli.main(["keys", "retire", old]) == 1, "the only signing key stays"
    assert "rotate" in capsys.readouterr().err
    assert cli.main(["keys", "rotate"]) == 0
    assert running.sign(b"m").keys() == {old, standby}
    assert cli.main(["keys", "retire", old]) == 0
    assert running.sign(b"m").keys() == running.public().keys() == {standby}
    capsys.readouterr()
    assert cli.main(["keys", "list"]) == 0
    assert capsys.readouterr().out.split()[:2] == [standby, "signing"]
    assert cli.main(["keys", "retire", old]) == 1
