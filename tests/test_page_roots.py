"""Attacks on the keys of a page with a client of its own: they change only through the chain of roots."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.signed_site import DAY, Site, resigned, visit

from fleetune.root import Root
from fleetune.signed import canonical, key_id


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "keys")


def test_a_root_that_has_expired_is_not_enough(tmp_path: Path) -> None:
    site = Site(tmp_path / "keys", age=400 * DAY)
    stale = site.root
    site.age = 0
    answers = resigned(site.answers(), site.keys.keys[0].private, keys=1)
    (found,) = visit((answers, {"keys": stale}))
    assert found["code"] == "expired"
    (found,) = visit((site.answers(), {"keys": stale}))
    assert found["sum"] == 32, "the chain leads to one that holds"


def test_versions_that_were_superseded_when_keys_changed_do_not_come_back(site: Site) -> None:
    older, first = site.answers(), site.root
    (old,) = site.keys.public()
    site.keys.least = lambda: 2
    site.keys.rotate()
    site.keys.rotate()
    site.keys.retire(old)
    site.version = 2
    forged = resigned(older, site.keys.keys[0].private, keys=site.root["signed"]["version"])
    (found,) = visit(({**site.answers(), **forged}, {"keys": first}))
    assert found["code"] == "rollback"


def test_keys_that_were_rotated_are_followed_from_those_that_are_known(site: Site) -> None:
    first, before = site.root, site.answers()
    (old,) = site.keys.public()
    site.keys.new()
    site.keys.rotate()
    site.keys.retire(old)
    after = site.answers()
    met, followed, again = visit((before, {}), (after, {}), (after, {}))
    assert met["sum"] == followed["sum"] == again["sum"] == 32
    assert [path for path in followed["asked"] if path.startswith("/roots/")] == ["/roots/2", "/roots/3"]
    assert not any(path.startswith("/roots/") for path in again["asked"]), "nothing more once it is known"
    (given,) = visit((after, {"keys": first}))
    assert given["sum"] == 32


def test_a_stolen_key_that_was_retired_signs_nothing(site: Site) -> None:
    """Compromise: who has followed the chain refuses what the thief signs, and the thief's roots."""
    thief, (old,), first = site.keys.keys[0].private, site.keys.public(), site.root
    before = site.answers()
    site.keys.rotate()
    site.keys.rotate()
    site.keys.retire(old)
    after = site.answers()
    stolen = resigned(before, thief, keys=1)
    version = site.root["signed"]["version"]
    raw = thief.public_key().public_bytes_raw()
    root = Root(version + 1, {key_id(raw): raw}, 1, 0, int(time.time()) + DAY)
    signature = base64.b64encode(thief.sign(canonical(root.to_wire()))).decode()
    forged = json.dumps({"signed": root.to_wire(), "signatures": {key_id(raw): signature}}).encode()
    taken = resigned(before, thief, keys=version + 1) | {
        f"/roots/{version + 1}": forged,
        "/roots/newest": forged,
    }
    found = visit((before, {"keys": first}), (after, {}), (stolen, {}), (taken, {}), (after, {}))
    assert [one.get("code") for one in found] == [None, None, "signature", "root-keys", None]


@pytest.mark.parametrize(
    ("root", "code"),
    [
        (b"{}", "root-form"),
        (b"null", "root-form"),
        (b'{"signed":{"type":"root"},"signatures":{}}', "root-form"),
    ],
)
def test_a_root_of_another_shape_is_refused(site: Site, root: bytes, code: str) -> None:
    answers = site.answers()
    (first,) = visit(({**answers, "/roots/newest": root}, {}))
    assert first["code"] == code
    given = site.root
    site.keys.new()
    (later,) = visit(({**site.answers(), "/roots/2": root}, {"keys": given}))
    assert later["code"] == code


def test_a_root_is_signed_by_itself_too_and_does_not_allow_older_versions_again(site: Site) -> None:
    own, other = site.keys.keys[0].private, Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)
    names = {key_id(raw): raw for raw in (key.public_key().public_bytes_raw() for key in (own, other))}

    def root(version: int, least: int, *signers: Ed25519PrivateKey) -> Any:
        wire = Root(version, names, 1 if version == 1 else 2, least, int(time.time()) + DAY).to_wire()
        pairs = ((key_id(key.public_key().public_bytes_raw()), key.sign(canonical(wire))) for key in signers)
        return {"signed": wire, "signatures": {name: base64.b64encode(made).decode() for name, made in pairs}}

    answers = resigned(site.answers(), own, keys=2)
    for document, code in (
        (root(2, 1, own, other), None),
        (root(2, 1, own), "root-keys"),  # its own threshold is 2
        (root(2, 0, own, other), "root-rollback"),
    ):
        (found,) = visit(({**answers, "/roots/2": json.dumps(document).encode()}, {"keys": root(1, 1, own)}))
        assert found.get("code") == code


def test_keys_in_another_form_are_refused_by_name(site: Site) -> None:
    wrong: list[object] = [site.keys.public(), {"signed": {}}, "key"]
    for keys in wrong:
        (found,) = visit((site.answers(), {"keys": keys}))
        assert found["code"] == "root-form"


def test_parts_of_two_roots_and_a_skipped_one_are_refused(site: Site) -> None:
    first = site.root
    site.keys.new()
    site.keys.new()
    answers = site.answers()
    two, three = (json.loads(answers[f"/roots/{number}"]) for number in (2, 3))
    for root, code in (
        (three, "root-skipped"),
        ({**two, "signatures": three["signatures"]}, "root-keys"),
        ({**two, "signatures": {}}, "root-keys"),
        ({**two, "signed": {**two["signed"], "threshold": 0}}, "root-form"),
        ({**two, "signed": {**two["signed"], "expires": 2**39}}, "root-keys"),
    ):
        (found,) = visit(({**answers, "/roots/2": json.dumps(root).encode()}, {"keys": first}))
        assert found["code"] == code, root
    far = resigned(answers, site.keys.keys[0].private, keys=5000)
    (found,) = visit((far, {"keys": first}))
    assert found["code"] == "root-skipped"
