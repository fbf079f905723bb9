"""Journey: page trust. A page with a copy of the client of its own calls kernels, and someone lies in between: what the
server's keys have not signed does not run, whether the page brings the keys or the browser remembers them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.signed_site import opened, signed

from e2e.drivers.base import Page
from e2e.embedder import Embedder, policy
from e2e.server import ROOT, Server
from e2e.steps import BOOT_SECONDS
from e2e.tamper import Lie, Tamper
from fleetune_server.common.assets import sri
from fleetune_server.publish.keys import KeyRing

PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone</title><h1>Someone</h1></html>'
CLIENT = {
    f"/web/{file.relative_to(ROOT / 'browser' / 'web').as_posix()}": file.read_text()
    for folder in ("embed", "shared")
    for file in (ROOT / "browser" / "web" / folder).glob("*.js")
}
# `say`: the visitor says no to telemetry, so that something is kept of them.
VISIT = """
const [server, name, keys, say] = a;
const aside = [];
try {
  const { connect } = await import("/web/embed/fleetune.js");
  const tuner = await connect({ server, keys: keys ?? undefined });
  if (say) await tuner.consent.record("off");
  tuner.addEventListener("setaside", ({ detail }) => aside.push(detail.candidate));
  const call = await tuner.kernel(name);
  const vectors = [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)];
  return { sum: name === "dot" ? call(...vectors) : 0, aside, owned: window.owned ?? false };
} catch (error) {
  return { code: error.code ?? String(error), owned: window.owned ?? false };
}
"""
KEPT = """
const { storageOf } = await import("/web/shared/storage.js");
const kept = storageOf(a[0]);
return [(await kept.get("root"))?.signed.version ?? null, (await kept.get("decisions"))?.version ?? null];
"""
EVIL = b"window.owned = true;\n"
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
GOOD = {"sum": 32, "aside": [], "owned": False}


def refused(code: str) -> dict[str, Any]:
    return {"code": code, "owned": False}


@contextmanager
def between(server: Server, lie: Lie | None = None) -> Iterator[tuple[Tamper, Callable[..., Any]]]:
    """A relay of its own, which is another server to the browser, and how a page visits it."""
    with Tamper(server.url) as relay:
        relay.about = ("/kernels/", "/api/decisions/", "/roots/")
        relay.lie = lie
        with Embedder({"/": PAGE, **CLIENT}, policy(relay.url)) as site:

            def visit(page: Page, keys: object = None, name: str = "dot", say: bool = False) -> Any:
                page.open(f"{site.origin}/")
                return page.evaluate(VISIT, relay.url, name, keys, say)

            yield relay, visit


def keys_of(server: Server) -> KeyRing:
    return KeyRing(server.data / "keys")


def about(end: str, change: Callable[[bytes], bytes]) -> Lie:
    """A lie about what this ends the address of."""
    return lambda path, truth: change(truth) if path.split("?")[0].endswith(end) else truth


def flipped(module: bytes) -> bytes:
    return module[:-1] + bytes([module[-1] ^ 1])


def test_what_the_servers_keys_have_not_signed_does_not_run(page: Page, server: Server) -> None:
    keys = keys_of(server).root()
    with between(server) as (_, visit):
        assert visit(page) == visit(page, keys) == GOOD
        assert not any("/static" in url for url in page.requests()), (
            "no script of the server's, and no worker"
        )
    with between(server, about("/dot.js", lambda script: EVIL + script)) as (_, visit):
        assert visit(page, keys) == visit(page) == refused("hash")
    with between(server, about("/dot.json", lambda entry: entry + b" ")) as (_, visit):
        assert visit(page, keys) == visit(page) == refused("hash")
    with between(server, about(".wasm", flipped)) as (_, visit):
        found = visit(page, keys)
        assert (found["sum"], bool(found["aside"]), found["owned"]) == (32, True, False)

    def rewritten(path: str, truth: bytes) -> bytes:
        """Other code, with other digests in the answer that names it."""
        if path.endswith("/dot.js"):
            return EVIL + truth
        if "?kernel=dot" not in path:
            return truth
        answer = json.loads(truth)
        answer["files"]["embed/dot.js"] = sri(EVIL + script)
        return json.dumps(answer, separators=(",", ":")).encode()

    catalogue = httpx.get(f"{server.url}api/kernels").json()["root"]
    script = httpx.get(f"{server.url}{catalogue[1:]}embed/dot.js").content
    with between(server, rewritten) as (_, visit):
        assert visit(page, keys) == visit(page) == refused("signature")


def test_a_server_with_two_faces_shows_a_script_once(page: Page, server: Server) -> None:
    """What was compared is what is imported: there is no second request that could be answered otherwise."""
    asked: list[str] = []

    def lie(path: str, truth: bytes) -> bytes:
        if not path.endswith("/dot.js"):
            return truth
        asked.append(path)
        return truth if len(asked) == 1 else EVIL + truth

    with between(server, lie) as (_, visit):
        assert visit(page, keys_of(server).root()) == GOOD
    assert len(asked) == 1


def test_who_has_been_here_before_believes_no_other_keys(page: Page, server: Server) -> None:
    def stranger(path: str, truth: bytes) -> bytes:
        return signed(opened(truth), STRANGER) if path.startswith("/api/decisions/") else truth

    def unsigned(path: str, truth: bytes) -> bytes:
        return json.dumps(opened(truth)).encode() if path.startswith("/api/decisions/") else truth

    with between(server) as (relay, visit):
        assert visit(page) == GOOD
        assert page.evaluate("return (await indexedDB.databases()).length") == 0, (
            "nothing is kept of who only calls"
        )
        assert visit(page, say=True) == GOOD
        assert visit(page) == GOOD
        root, version = page.evaluate(KEPT, relay.url)
        assert root == keys_of(server).root()["signed"]["version"]
        assert version >= 1
        for lie, code in ((stranger, "signature"), (unsigned, "unsigned")):
            relay.lie = lie
            assert visit(page, name="saxpy") == refused(code)
        relay.lie = None
        ring = keys_of(server)
        (old, *_) = [key.id for key in ring.keys]
        ring.rotate()
        ring.rotate()
        ring.retire(old)
        assert visit(page, name="saxpy") == {**GOOD, "sum": 0}, "the chain leads to the new keys"
        assert page.evaluate(KEPT, relay.url)[0] == ring.root()["signed"]["version"] > root


@pytest.mark.deep
def test_python_believes_the_keys_that_the_page_brings_and_not_the_first_that_come(
    page: Page, server: Server, tmp_path: Path
) -> None:
    ring, stranger = keys_of(server), KeyRing.open(tmp_path)
    forged = {"root": stranger.root(), "keys": stranger.public()}

    def lie(path: str, truth: bytes) -> bytes:
        return json.dumps(json.loads(truth) | forged).encode() if path == "/api/boot.json" else truth

    ask = """
    const [server, keys] = a;
    const { connect } = await import("/web/embed/fleetune.js");
    const tuner = await connect({ server, keys: keys ?? undefined });
    await tuner.preview();
    tuner.close();
    const { storageOf } = await import("/web/shared/storage.js");
    return Object.keys((await storageOf(server).get("root")).signed.keys);
    """
    for keys in (ring.root(), None):
        with between(server) as (relay, visit):
            assert visit(page) == GOOD
            relay.about, relay.lie = ("/api/boot.json",), lie
            assert set(page.evaluate(ask, relay.url, keys, timeout=BOOT_SECONDS)) == ring.public().keys()


@pytest.mark.only_in(("chromium", "isolated"))
def test_a_page_that_demands_trusted_types_and_a_nonce_calls_what_is_signed(
    page: Page, server: Server
) -> None:
    strict = (
        f"script-src 'self' 'nonce-abc' 'wasm-unsafe-eval'; connect-src {server.url}; "
        "require-trusted-types-for 'script'; trusted-types fleetune"
    )
    files = {"/": f'{PAGE}<script nonce="abc" type="module" src="/web/shared/api.js"></script>', **CLIENT}
    with Embedder(files, strict) as site:
        page.open(f"{site.origin}/")
        assert page.evaluate(VISIT, server.url, "dot", keys_of(server).root(), False) == GOOD
        assert page.console() == []


def test_a_page_worker_imports_what_was_compared(page: Page, server: Server) -> None:
    worker = f"""
    const a = [{json.dumps(server.url)}, "dot", {json.dumps(keys_of(server).root())}, false];
    const visit = async () => {{ {VISIT.replace("window.", "self.")} }};
    postMessage(await visit());
    """
    start = """return new Promise((resolve, reject) => {
      const worker = new Worker("/worker.js", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    })"""
    with Embedder({"/": PAGE, "/worker.js": worker, **CLIENT}, csp=None) as site:
        page.open(f"{site.origin}/")
        assert page.evaluate(start) == GOOD
