"""The checker with a memory decides as the checker alone does, also about what it has seen before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests import tiny
from tests.test_intake import wire
from tests.test_intake_check import FixedRounds

from fleetune.packet import DAY
from fleetune_server.intake import repeats
from fleetune_server.intake.check import Checker, RefusedError
from fleetune_server.intake.repeats import Repeats, Wire, read_wire

MANIFEST = tiny.manifest()


def checker(clock: Callable[[], float] = time.time) -> Checker:
    return Checker(MANIFEST.by_signature, FixedRounds(), (2.0, 1.0), 2, lambda nonce: nonce < "8", clock)


def read(packet: dict[str, Any]) -> Wire:
    found = read_wire(json.dumps(packet))
    assert isinstance(found, Wire)
    return found


def verdict(accept: Callable[[Any], object], packet: object) -> object:
    try:
        return accept(packet)
    except (RefusedError, msgspec.DecodeError) as error:
        return type(error), str(error)


CHANGES: list[dict[str, Any]] = [
    {},
    {"nonce": "f" * 32},
    {"nonce": "F" * 32},
    {"nonce": "f" * 31},
    {"v": 2},
    {"modelVersion": 9},
    {"timestamp": (int(time.time()) // DAY - 9) * DAY},
    {"timestamp": (int(time.time()) // DAY + 9) * DAY},
    {"timestamp": int(time.time()) // DAY * DAY + 1},
    {"profileSignature": "0" * 32},
    {"contextHash": "0" * 16},
    {"browserFingerprint": "0" * 16},
    {"context": {}},
    {"environment": {}},
    {"privacy": {"mechanism": "piecewise", "epsilon": 1.5, "clip": 0.5}},
    {"actualSpeedups": {"scalar": 1.2345}},
    {"actualSpeedups": {"scalar": 7e11}},
    {"actualSpeedups": {"js": 1.0}},
    {"actualSpeedups": {"unheard": 1.0}},
    {"actualSpeedups": {}},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_memory_changes_no_verdict(change: dict[str, Any]) -> None:
    plain, seen = checker(), Repeats(checker())
    first = wire()
    seen.accept(read(first), {})
    packet = first | change
    for _twice in range(2):
        assert verdict(lambda one: seen.accept(one, {}), read(packet)) == verdict(plain.accept, packet)


def test_what_was_seen_is_not_checked_in_full_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Repeats(checker())
    first = wire()
    one = seen.accept(read(first), {})
    monkeypatch.setattr(seen.checker, "accept", None)
    two = seen.accept(read(first | {"nonce": "9" * 32}), {})
    assert (two.cell, two.symbol, two.nonce, two.heldout) == (one.cell, one.symbol, "9" * 32, False)
    assert two.cell is one.cell


def test_days_pass_catalogues_change_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.time()]
    seen = Repeats(checker(lambda: now[0]))
    packet = read(wire())
    seen.accept(packet, {})
    now[0] += 5 * DAY
    with pytest.raises(RefusedError):
        seen.accept(packet, {})
    now[0] -= 5 * DAY
    seen.accept(packet, {})
    seen.checker.adopt({})
    with pytest.raises(RefusedError):
        seen.accept(packet, {})
    monkeypatch.setattr(repeats, "PLACES", 1)
    seen.checker.adopt(MANIFEST.by_signature)
    for epsilon in (2.0, 1.0, 2.0):
        seen.accept(read(wire(epsilon)), {})
        assert len(seen._places) == 1


def test_white_space_cannot_fill_the_memory() -> None:
    seen = Repeats(checker())
    for room in range(3):
        body = json.dumps(wire()).replace('"log2Size": ', '"log2Size": ' + " " * (10_000 + room))
        found = read_wire(body)
        assert isinstance(found, Wire)
        assert seen.accept(found, {}).cell.context == tiny.CONTEXT
    assert not seen._places
    assert seen.accept(read(wire()), {})
    assert len(seen._places) == 1


def test_a_raw_part_that_is_not_json_is_found_out() -> None:
    body = json.dumps(wire()).encode().replace(b'"random"', b'"\xff"')
    found = read_wire(body)
    assert isinstance(found, Wire)
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        Repeats(checker()).accept(found, {})
