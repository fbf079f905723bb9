"""Signed manifests: what is believed, what is not, and why."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetune.signed import (
    CLOCK_SLACK,
    MAX_SIGNATURES,
    Release,
    SignedError,
    canonical,
    check_bytes,
    check_time,
    key_id,
    read_keys,
    verify,
)

RELEASE = Release(8, 7, "ab" * 32, 1234, 1_795_392_000, 1_796_000_000, 0.35)
OLD, NEW, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2, 3))


async def check(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def pinned(*keys: Ed25519PrivateKey) -> dict[str, bytes]:
    return {key_id(public(key)): public(key) for key in keys}


def signed(*keys: Ed25519PrivateKey, manifest: dict[str, Any] | None = None) -> dict[str, str]:
    message = canonical(manifest or RELEASE.to_wire())
    return {key_id(public(key)): base64.b64encode(key.sign(message)).decode() for key in keys}


def test_the_signed_bytes_are_canonical() -> None:
    assert canonical(RELEASE.to_wire()) == (
        b'{"base":7,"clip":0.35,"created":1795392000,"expires":1796000000,"sha256":"'
        + b"ab" * 32
        + b'","size":1234,"version":8}'
    )
    assert Release.from_wire(json.loads(canonical(RELEASE.to_wire()))) == RELEASE


async def test_a_good_signature_is_believed() -> None:
    assert await verify(RELEASE.to_wire(), signed(OLD), pinned(OLD), check) == (RELEASE, tuple(pinned(OLD)))


async def test_while_keys_rotate_pages_with_either_key_believe_and_none_with_neither() -> None:
    both = signed(OLD, NEW)
    for page in (pinned(OLD), pinned(NEW), pinned(OLD, NEW)):
        release, names = await verify(RELEASE.to_wire(), both, page, check)
        assert (release, set(names)) == (RELEASE, set(page))
    with pytest.raises(SignedError) as caught:
        await verify(RELEASE.to_wire(), both, pinned(STRANGER), check)
    assert caught.value.reason == "signature"


@pytest.mark.parametrize(
    "signatures",
    [
        {},
        None,
        [],
        "x",
        {"0" * 16: base64.b64encode(bytes(64)).decode()},
        {next(iter(pinned(OLD))): base64.b64encode(bytes(64)).decode()},
        {next(iter(pinned(OLD))): base64.b64encode(bytes(63)).decode()},
        {next(iter(pinned(OLD))): 7},
        {next(iter(pinned(OLD))): "*" * 88},
        {next(iter(pinned(OLD))): "A" * 10_000},
        {"short": base64.b64encode(bytes(64)).decode()},
        {next(iter(pinned(OLD))): next(iter(signed(NEW).values()))},
        {f"{number:016x}": base64.b64encode(bytes(64)).decode() for number in range(MAX_SIGNATURES + 1)},
    ],
)
async def test_a_wrong_or_missing_signature_is_not(signatures: object) -> None:
    with pytest.raises(SignedError) as caught:
        await verify(RELEASE.to_wire(), signatures, pinned(OLD), check)
    assert caught.value.reason == "signature"


async def test_one_wrong_signature_by_a_pinned_key_spoils_the_rest() -> None:
    mixed = signed(OLD) | {key_id(public(NEW)): next(iter(signed(OLD).values()))}
    with pytest.raises(SignedError):
        await verify(RELEASE.to_wire(), mixed, pinned(OLD, NEW), check)


@settings(deadline=None)
@given(
    field=st.sampled_from(sorted(RELEASE.to_wire())),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=70), st.lists(st.integers())
    ),
)
async def test_a_manifest_with_any_field_altered_is_refused(field: str, value: object) -> None:
    manifest = RELEASE.to_wire() | {field: value}
    if type(value) is type(RELEASE.to_wire()[field]) and value == RELEASE.to_wire()[field]:
        return
    with pytest.raises(SignedError):
        await verify(manifest, signed(OLD), pinned(OLD), check)


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        [],
        {},
        RELEASE.to_wire() | {"extra": 1},
        RELEASE.to_wire() | {"base": 8},
        RELEASE.to_wire() | {"base": 0},
        RELEASE.to_wire() | {"version": True},
        RELEASE.to_wire() | {"version": 2**31},
        RELEASE.to_wire() | {"size": 5_000_001},
        RELEASE.to_wire() | {"size": 0},
        RELEASE.to_wire() | {"expires": RELEASE.created},
        RELEASE.to_wire() | {"clip": float("nan")},
        RELEASE.to_wire() | {"clip": 1},
        RELEASE.to_wire() | {"clip": -0.5},
        RELEASE.to_wire() | {"sha256": "AB" * 32},
    ],
)
async def test_a_manifest_of_another_shape_is_refused_even_if_it_is_signed(manifest: object) -> None:
    signatures = signed(OLD)
    if isinstance(manifest, dict) and manifest and manifest.get("clip") == manifest.get("clip"):
        signatures = signed(OLD, manifest=manifest)
    with pytest.raises(SignedError):
        await verify(manifest, signatures, pinned(OLD), check)


def test_time_is_checked_with_slack_for_slow_clocks() -> None:
    check_time(RELEASE, RELEASE.created)
    check_time(RELEASE, RELEASE.created - CLOCK_SLACK)
    check_time(RELEASE, RELEASE.expires - 1)
    for now, reason in ((RELEASE.expires, "expired"), (RELEASE.created - CLOCK_SLACK - 1, "future")):
        with pytest.raises(SignedError) as caught:
            check_time(RELEASE, now)
        assert caught.value.reason == reason


def test_bytes_are_checked_by_size_and_hash() -> None:
    for artefact, reason in ((b"x", "size"), (bytes(1234), "hash")):
        with pytest.raises(SignedError) as caught:
            check_bytes(RELEASE, artefact)
        assert caught.value.reason == reason


def test_pinned_keys_must_bear_their_own_names() -> None:
    wire = {name: base64.b64encode(raw).decode() for name, raw in pinned(OLD, NEW).items()}
    assert read_keys(wire) == pinned(OLD, NEW)
    short = base64.b64encode(bytes(31)).decode()
    wrongs: list[object] = [
        {},
        None,
        [],
        {"0" * 16: next(iter(wire.values()))},
        {key_id(bytes(31)): short},
        {"a": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(SignedError) as caught:
            read_keys(wrong)
        assert caught.value.reason == "keys"
