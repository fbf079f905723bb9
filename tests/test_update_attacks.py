"""The attacks of The Update Framework's specification (section 1.5.2), and altered updates by the thousand.

Two of its list have no counterpart: extraneous dependencies (a model has none) and mirrors (there are none; a
server that withholds updates is a freeze attack).

The attacker answers every request; what he lacks is the signing key, except where the test says so. After
every attack the browser still has the model that it had.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import alterations
from tests.alterations import Answer, Attacker, resigned, sign
from tests.releases import START, World, changed

from fleetune.app.session import VerifiedModel
from fleetune.app.update import restore, update
from fleetune.artefact import pack, unpack
from fleetune.signed import canonical
from fleetune_server.publish.distribute import VALID_SECONDS
from fleetune_server.publish.keys import KeyRing


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Two versions; browsers hold the second."""
    made = World(tmp_path)
    for _ in range(2):
        made.publish()
    return made


async def visitor(world: World) -> VerifiedModel:
    _, verified = await update(world.platform(), world.pinned, None)
    assert verified is not None
    return verified


async def attack(world: World, verified: VerifiedModel | None, answers: list[Answer], **more: Any) -> str:
    """The reason for which an attack was refused; the browser's model is untouched."""
    platform = Attacker(world, answers, more.pop("files", world.files))
    before = dict(platform.store.values)
    outcome, after = await update(platform, more.pop("keys", world.pinned), verified)
    assert outcome.status == "kept"
    assert after is verified
    assert platform.store.values == before
    assert outcome.error
    return str(outcome.reason)


async def test_arbitrary_software_attack(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    evil = changed(world.artefacts[3], 3, seed=99, share=0.9)
    full = dict(world.distributor.answer(0))
    assert await attack(world, verified, [full], files={full["checksum"]: evil[: full["size"]]}) in (
        "hash",
        "size",
    )
    stolen = sign(world, full, KeyRing.open(Path(world.keys.folder) / "other"))
    assert await attack(world, verified, [stolen]) == "signature"


async def test_rollback_attack(world: World) -> None:
    verified = await visitor(world)
    replay = dict(world.distributor._make(world.records[1], None, world.time))
    assert await attack(world, verified, [replay]) == "rollback"
    same = dict(world.distributor._make(world.records[2], None, world.time))
    assert await attack(world, verified, [same]) == "rollback"


async def test_an_operators_rollback_is_a_new_version_with_the_old_content(world: World) -> None:
    verified = await visitor(world)
    old = dataclasses.replace(unpack(world.artefacts[1]), version=3)
    world.publish(pack(old))
    outcome, now = await update(world.platform(), world.pinned, verified)
    assert (outcome.status, outcome.version) == ("updated", 3)
    assert now is not None
    assert (now.model.artefact.stored["row.value"] == unpack(world.artefacts[1]).stored["row.value"]).all()


async def test_indefinite_freeze_attack_by_saying_that_all_is_current(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    world.time = START + VALID_SECONDS + 1
    assert await attack(world, verified, [{"upToDate": True, "version": 2}]) == "expired"


async def test_indefinite_freeze_attack_by_replaying_an_old_answer(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    replay = dict(world.distributor.answer(2))
    world.time = START + VALID_SECONDS + 1
    assert await attack(world, verified, [replay]) == "expired"


async def test_a_claim_that_another_version_is_current_is_refused(world: World) -> None:
    verified = await visitor(world)
    assert await attack(world, verified, [{"upToDate": True, "version": 9}]) == "manifest"
    assert await attack(world, None, [{"upToDate": True, "version": 0}]) == "manifest"


async def test_mix_and_match_attack(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    three = dict(world.distributor.answer(2))
    world.publish()
    four = dict(world.distributor.answer(2))
    for part in ("manifest", "signature", "checksum", "version"):
        reason = await attack(world, verified, [three | {part: four[part]}])
        assert reason in ("mixed", "signature"), part
    # The delta of one with the manifest of the other gives other bytes; so does the full file then offered.
    swapped = three | {"url": four["url"], "size": four["size"]}
    assert await attack(world, verified, [swapped, swapped]) in ("base", "manifest")


async def test_mix_and_match_of_a_signed_manifest_and_a_model_of_another_version(world: World) -> None:
    verified = await visitor(world)
    evil = changed(world.artefacts[2], 7, seed=5)  # says 7 inside
    world.publish()
    answer = resigned(world, world.distributor.answer(0), evil, version=3)
    assert await attack(world, verified, [answer], files={answer["checksum"]: evil}) == "mixed"


async def test_wrong_base_is_refused(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    for_one = dict(world.distributor.answer(1))
    assert for_one["updateType"] == "incremental"
    assert await attack(world, verified, [for_one]) == "base"


async def test_endless_data_attack(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    full = dict(world.distributor.answer(0))
    padded = world.artefacts[3] + bytes(10_000_000)
    assert await attack(world, verified, [full], files={full["checksum"]: padded}) == "size"
    for size in (2**40, 0, -1, True, "9", None, 5_000_001):
        assert await attack(world, verified, [full | {"size": size}]) == "manifest"


async def test_slow_retrieval_and_missing_files_leave_the_old_model(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    assert await attack(world, verified, [dict(world.distributor.answer(2)), {}], files={}) == "manifest"
    assert await attack(world, verified, [dict(world.distributor.answer(0))], files={}) == "missing"


async def test_fast_forward_attack_without_the_key(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    answer = dict(world.distributor.answer(0))
    answer["manifest"] = answer["manifest"] | {"version": 2**31 - 1}
    assert await attack(world, verified, [answer | {"version": 2**31 - 1}]) == "signature"


async def test_fast_forward_attack_with_a_stolen_key_is_undone_by_retiring_the_key(world: World) -> None:
    far = 2**31 - 1
    evil = pack(dataclasses.replace(unpack(world.artefacts[2]), version=far))
    answer = resigned(world, world.distributor.answer(0), evil, version=far)
    platform = Attacker(world, [answer], {answer["checksum"]: evil})
    outcome, taken = await update(platform, world.pinned, await visitor(world))
    assert (outcome.status, outcome.version) == ("updated", far), "whoever has the key is believed"
    (stolen,) = world.keys.public()
    world.keys.rotate()
    world.keys.retire(stolen)
    world.publish()
    honest = world.platform()
    honest.store.values = platform.store.values
    assert await restore(honest, world.pinned) is None
    outcome, now = await update(honest, world.pinned, taken)
    assert (outcome.status, outcome.version) == ("updated", 3)
    assert now is not None


async def test_key_compromise_one_retired_key_signs_nothing_that_is_believed(world: World) -> None:
    verified = await visitor(world)
    (old,) = world.keys.public()
    thief = KeyRing(world.keys.folder).keys[0]
    world.keys.rotate()
    both = await visitor(world)
    assert len(both.signed_by) == 2
    world.keys.retire(old)
    world.publish()
    answer = dict(world.distributor.answer(0))
    signature = {old: base64.b64encode(thief.private.sign(canonical(answer["manifest"]))).decode()}
    assert await attack(world, both, [answer | {"signature": signature}]) == "signature"
    outcome, _ = await update(world.platform(), world.pinned, verified)
    assert outcome.status == "updated", "the honest one is still believed"


async def test_a_signed_model_with_a_number_that_is_not_finite_is_refused(world: World) -> None:
    verified = await visitor(world)
    world.publish()
    artefact = unpack(changed(world.artefacts[2], 3, seed=1))
    weights = [name for name, array in artefact.stored.items() if array.dtype.kind == "f"]
    assert len(weights) > 5
    for name, value in itertools.product(weights, (np.nan, np.inf, -np.inf)):
        array = np.array(artefact.stored[name])
        array.flat[0] = value
        stored = {**artefact.stored, name: array}
        evil = pack(dataclasses.replace(artefact, stored=stored))
        answer = resigned(world, world.distributor.answer(0), evil, version=3)
        assert await attack(world, verified, [answer], files={answer["checksum"]: evil}) == "model"


async def test_ten_thousand_altered_updates_none_accepted_no_model_lost() -> None:
    tally = await alterations.run(10_000)
    assert tally["accepted"] == 0
    assert tally["lost"] == 0
    assert tally["altered"] >= 10_000
    # An unsigned field on which nothing depends may differ; far more would mean that the loop tests nothing.
    assert tally["without_effect"] < 600
    assert set(tally["kinds"]) == set(alterations.KINDS)
    assert min(tally["kinds"].values()) > 50
