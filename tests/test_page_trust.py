"""Attacks on a page with a client of its own: who answers without the server's keys gives it no code and no choices.

After the same list as `test_trust.py`, which has those on Python's side. Here the client runs in Node;
`e2e/test_page_trust.py` has what only browsers have.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests import node, own_world
from tests.signed_site import DAY, DECISIONS, WEB, Answers, Site, opened, resigned, signed, visit

from fleetune.signed import key_id
from fleetune_server.common.assets import sri
from fleetune_server.kernels.package import Package
from fleetune_server.kernels.shelf import package_of, to_document
from fleetune_server.publish.distribute import VALID_SECONDS

STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "keys")


def own_kernel(source: str = own_world.SCRIPT) -> Package:
    return package_of(to_document(own_world.description(), source, own_world.modules()))


def unsigned(answers: Answers) -> Answers:
    """As servers of earlier releases answer."""
    fields = ("version", "root", "kernels", "kinds")
    return {
        path: json.dumps({name: opened(body)[name] for name in fields}).encode()
        if path.startswith(DECISIONS)
        else body
        for path, body in answers.items()
        if not path.startswith("/roots/")
    }


def refusals(site: Site, answers: Answers, honest: Answers | None = None, **options: Any) -> tuple[str, str]:
    """The codes by which a page refuses these answers that knows the keys, or remembers them from an earlier visit."""
    honest = honest or site.answers()
    before, remembered, after = visit((honest, {}), (answers, options), (honest, {}))
    assert before["sum"] == after["sum"] == 32, "the honest server is still believed"
    (given,) = visit((answers, {"keys": site.root, **options}))
    return given["code"], remembered["code"]


def test_what_is_signed_runs_with_keys_that_are_given_remembered_or_new(site: Site) -> None:
    answers = site.answers()
    first, again, given = visit((answers, {}), (answers, {}), (answers, {"keys": site.root}))
    for found in (first, again, given):
        assert (found["sum"], found["aside"], found["version"]) == (32, [], 1)
    assert "/roots/newest" in first["asked"]
    assert not any(path.startswith("/roots/") for path in (*again["asked"], *given["asked"])), "asked once"
    script = site.path("dot.js")
    assert all(script in found["asked"] for found in (first, again, given)), "it was compared, then imported"


def test_browsers_without_ed25519_check_in_script_what_they_believe(site: Site) -> None:
    answers = site.answers()
    forged = resigned(answers, version=2)
    good, bad = visit((answers, {}), (forged, {}), old=True)
    assert (good["sum"], bad["code"]) == (32, "signature")


def test_an_altered_module_is_set_aside_and_javascript_runs(site: Site) -> None:
    answers = site.answers()
    for path, body in list(answers.items()):
        if path.startswith(site.path("dot/")):
            answers[path] = body[:-1] + bytes([body[-1] ^ 1])
    (found,) = visit((answers, {"keys": site.root}))
    assert found["sum"] == 32
    assert found["aside"]


def test_an_altered_module_whose_entry_was_altered_to_fit_is_refused(site: Site) -> None:
    answers = site.answers()
    entry = json.loads(answers[site.path("dot.json")])
    for variant in entry["variants"]:
        path = site.path(f"dot/{variant['name']}.wasm")
        answers[path] += b"\0\2\1x"  # a custom section: as good a module as before
        variant |= {"integrity": sri(answers[path]), "sha256": hashlib.sha256(answers[path]).hexdigest()}
    answers[site.path("dot.json")] = json.dumps(entry).encode()
    assert refusals(site, answers) == ("hash", "hash")
    files = opened(answers[f"{DECISIONS}?kernel=dot"])["files"]
    named = {"embed/dot.json": sri(answers[site.path("dot.json")])}
    forged = resigned(answers, where=f"{DECISIONS}?kernel=dot", files=files | named)
    assert refusals(site, forged) == ("signature", "signature")


@pytest.mark.parametrize("name", ["dot.json", "dot.js"])
@pytest.mark.parametrize("change", ["longer", "shorter", "empty", "missing", "another kernel's"])
def test_an_altered_entry_or_script_is_refused(site: Site, name: str, change: str) -> None:
    answers = site.answers()
    path, other = site.path(name), site.path(name.replace("dot", "saxpy"))
    body = answers[path]
    answers[path] = {"longer": body + b"\n", "shorter": body[:-1], "empty": b""}.get(change, answers[other])
    if change == "missing":
        del answers[path]
    assert refusals(site, answers) == ("hash", "hash")


def test_an_altered_script_does_not_run(site: Site) -> None:
    answers = site.answers()
    answers[site.path("dot.js")] = b"globalThis.process.exit(7);\n"  # the page would end with an error
    assert refusals(site, answers) == ("hash", "hash")


def test_an_own_kernel_is_covered_with_the_script_of_its_operator(tmp_path: Path) -> None:
    site = Site(tmp_path / "keys", packages=(own_kernel(),))
    answers = site.answers()
    good, bad = (site.path(f"own_sum{end}") for end in (".js", ".source.js"))
    (found,) = visit((answers, {"keys": site.root, "name": "own_sum"}))
    assert found["sum"] == 6
    assert {good, bad} <= set(found["asked"])
    for path in (good, bad):
        altered = {**answers, path: answers[path] + b"\n"}
        assert refusals(site, altered, answers, name="own_sum") == ("hash", "hash")


def test_a_list_of_another_catalogue_does_not_fit(tmp_path: Path) -> None:
    """Mix and match: each part is signed, but for another release, kernel or engine."""
    site = Site(tmp_path / "keys", packages=(own_kernel(),))
    answers = site.answers()
    older = Site(tmp_path / "keys", packages=(own_kernel(own_world.SCRIPT + "\n// of before\n"),)).answers()
    ask = f"{DECISIONS}?kernel=own_sum&model=1"
    stale = {path: body for path, body in older.items() if path not in answers}
    assert stale, "the catalogues have different addresses"
    mixed = {
        **answers,
        site.path("own_sum.source.js"): next(b for p, b in stale.items() if p.endswith(".source.js")),
    }
    assert refusals(site, mixed, answers, name="own_sum") == ("hash", "hash")
    (whole,) = visit(({**answers, **stale, ask: older[ask]}, {"keys": site.root, "name": "own_sum"}))
    assert whole["sum"] == 6, "a whole kernel of another replica, which is signed, does"
    other = {**answers, ask: answers[f"{DECISIONS}?kernel=dot&model=1"]}
    assert refusals(site, other, answers, name="own_sum") == ("mixed", "mixed")


def test_an_answer_about_another_engine_or_of_another_kind_is_refused(site: Site) -> None:
    answers, own = site.answers(), site.keys.keys[0].private
    assert refusals(site, resigned(answers, own, engine="firefox")) == ("mixed", "mixed")
    assert refusals(site, resigned(answers, own, type="log")) == ("mixed", "mixed")
    root = json.dumps({**site.root["signed"], "engine": "x", "signature": site.root["signatures"]}).encode()
    assert "code" in visit(({**answers, f"{DECISIONS}?kernel=": root}, {"keys": site.root}))[0]


def test_a_stranger_signs_nothing(site: Site) -> None:
    answers = site.answers()
    assert refusals(site, resigned(answers, STRANGER)) == ("signature", "signature")
    name = site.keys.keys[0].id
    lie = signed(opened(answers[f"{DECISIONS}?kernel="]), STRANGER)
    lie = lie.replace(key_id(STRANGER.public_key().public_bytes_raw()).encode(), name.encode())
    assert refusals(site, {**answers, f"{DECISIONS}?kernel=": lie}) == ("signature", "signature")


def test_altered_choices_are_refused(site: Site) -> None:
    answers = site.answers()
    kernels = opened(answers[f"{DECISIONS}?kernel=dot"])["kernels"]
    for rows in kernels["dot"].values():
        for row in rows:
            row["choice"] = "js"
    forged = resigned(answers, where=f"{DECISIONS}?kernel=dot", kernels=kernels)
    assert refusals(site, forged) == ("signature", "signature")


def test_an_answer_without_a_signature_is_refused_once_the_server_is_known_to_sign(site: Site) -> None:
    """Downgrade: to a server of an earlier release, which signed none of this."""
    plain = unsigned(site.answers())
    assert refusals(site, plain) == ("unsigned", "unsigned")
    (found,) = visit((plain, {}))
    assert site.path("dot.json") in found["asked"], "who knows nothing of its keys takes its word"
    assert found["code"] == "ERR_UNSUPPORTED_ESM_URL_SCHEME", (
        "and imports from its address, which Node does not"
    )


def test_an_old_answer_is_refused(site: Site) -> None:
    """Freeze: whoever shows it may hide a newer one."""
    honest = site.answers()
    site.age = VALID_SECONDS + DAY
    assert refusals(site, site.answers(), honest) == ("expired", "expired")


def test_an_older_version_is_refused_an_hour_after_a_newer_one_was_seen(site: Site) -> None:
    """Rollback. Before that it may be a replica that has not heard of it."""
    older = site.answers()
    site.version = 2
    newer = site.answers()
    seen, soon, late, new = visit(
        (newer, {}), (older, {}), (older, {"later": 4000}), (newer, {"later": 4000})
    )
    assert (seen["version"], soon["version"], new["version"]) == (2, 1, 2)
    assert late["code"] == "rollback"


def test_a_version_on_trial_that_is_withdrawn_is_no_rollback(site: Site) -> None:
    """A page asks for it by its number, so the next visit may get the one before."""
    script = """
    const { trusted } = await import(process.argv[1]);
    const answers = JSON.parse(process.argv[2]);
    const ask = async (url) => new Response(answers[url.split("?")[1]]);
    const way = trusted("https://tuner.example/", JSON.parse(process.argv[3]), ask);
    const at = "https://tuner.example/api/decisions/other-relaxedSimd?";
    const versions = [];
    for (const query of ["kernel=", "kernel=&model=2", "kernel="]) {
      versions.push((await way.read(at + query)).version);
      Date.now = ((then) => () => then + 7_200_000)(Date.now());
    }
    console.log(JSON.stringify(versions));
    """
    stable = site.answers()[f"{DECISIONS}?kernel="].decode()
    site.version = 2
    trial = site.answers()[f"{DECISIONS}?kernel="].decode()
    answers = json.dumps({"kernel=": stable, "kernel=&model=2": trial})
    trust = (WEB / "shared" / "trust.js").as_uri()
    assert node.evaluate(script, trust, answers, json.dumps(site.root)) == [1, 2, 1]


def test_answers_and_roots_without_end_are_cut_off(site: Site) -> None:
    """Endless data: memory stays bounded, and the page hears of it at once."""

    def endless(stream: Any) -> None:
        try:
            while True:
                stream.write(b" " * 65_536)
        except OSError:
            pass  # the page has hung up

    answers = site.answers()
    (found,) = visit(({**answers, f"{DECISIONS}?kernel=": endless}, {"keys": site.root}))
    assert found["code"] == "the answer does not end"
    (found,) = visit(({**answers, "/roots/newest": endless}, {}))
    assert found["code"] == "the answer does not end"


def test_a_file_without_end_is_given_up(site: Site) -> None:
    def slow(stream: Any) -> None:
        try:
            while True:
                stream.write(b" " * 1024)
                time.sleep(0.01)
        except OSError:
            pass  # the page has hung up

    began = time.monotonic()
    (found,) = visit(({**site.answers(), site.path("dot.json"): slow}, {"keys": site.root}))
    assert "sum" not in found
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a":1,"signature":', b'{"a":1,"signature":{}}', b'x,"signature":{}}']
)
def test_malformed_answers_are_refused(site: Site, body: bytes) -> None:
    (found,) = visit(({**site.answers(), f"{DECISIONS}?kernel=": body}, {"keys": site.root}))
    assert "code" in found
