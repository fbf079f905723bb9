"""Journey: embed. A developer's page on another origin calls kernels through Fleetune's module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder
from e2e.server import ROOT, Server
from e2e.steps import BOOT_SECONDS, assert_only_public, republish
from e2e.wire import Wire

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone's page</title>
<h1>Someone's page</h1><script type="module" src="/host.js"></script></html>"""
SETTINGS = {"push_origins": "*"}
SCRIPT = """
window.swaps = [];
try {
  const { connect } = await import("%sfleetune.js");
  const tuner = await connect({ push: true });
  tuner.addEventListener("model", (event) => window.swaps.push(event.detail));
  window.dot = await tuner.kernel("dot");
  window.tuner = tuner;
} catch (error) {
  window.failed = String(error);
}
"""
# Largest relative error of dot products of several lengths against a plain loop in double precision.
ERROR_OF_DOT = """
let worst = 0;
for (const n of [1, 7, 64, 1000, 40000]) {
  const x = Float32Array.from({ length: n }, (_, i) => 1 + (i % 7) / 8);
  const y = Float32Array.from({ length: n }, (_, i) => 2 - (i % 5) / 4);
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i] * y[i];
  worst = Math.max(worst, Math.abs(dot(x, y, n) - sum) / sum);
}
return worst;
"""

# A page that calls kernels, measures, goes on calling them, and asks for a new model.
CONFIRMED = """
const names = ["dot", "fnv1a64"];
const calls = await Promise.all(names.map((name) => tuner.kernel(name)));
const [bytes, hash] = [tuner.alloc(names[1], Uint8Array, 64).fill(7), tuner.alloc(names[1], Uint32Array, 2)];
const before = calls[1](bytes, hash, 64);
window.swaps = [];
const { confirmed } = await tuner.benchmark({ budgetMs: 12000, kernels: names });
const said = () => names.map((name) => tuner.explain(name, { size: 8, copied: name === "dot" }));
const rows = said();
await tuner.refresh();
const sum = calls[0](Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6));
const same = calls[1](bytes, hash, 64) === before;
return { confirmed, rows, again: said(), swaps: swaps.length, sum, same };
"""

# What the next visit follows, once storage has answered.
KEPT = """(() => {
  const said = tuner.explain("dot", { size: 8, copied: true });
  return said.source === "measured" && said;
})()"""

# A page whose own module worker measures; the page keeps every message of that worker.
IN_WORKER = """
window.heard = [];
const worker = new Worker("/worker.js", { type: "module" });
worker.onmessage = ({ data }) => {
  window.heard.push(data);
  if (data.results !== undefined || data.error) window.ended = data;
};
worker.onerror = ({ message }) => (window.ended = { error: message });
"""
WORKER = """
const { connect } = await import("%sfleetune.js");
const tuner = await connect({ server: "%s" });
const enough = new AbortController();
tuner.addEventListener("progress", (event) => event.detail.done >= 1 && enough.abort());
tuner.benchmark({ budgetMs: 60000, kernels: ["dot"], signal: enough.signal }).then(
  ({ results }) => postMessage({ results: results.length }),
  (error) => postMessage({ error: String(error) }),
);
"""


@pytest.fixture
def host(wire: Wire) -> Iterator[Embedder]:
    with Embedder({"/": PAGE, "/host.js": SCRIPT % wire.url}, csp=None, host="127.0.0.1") as site:
        yield site


# A page that carries the client itself, as a bundle from npm would, and names the server.
BUNDLED = """
try {
  const { connect } = await import("/web/embed/fleetune.js");
  const tuner = await connect({ server: "%s" });
  window.dot = await tuner.kernel("dot");
  window.sum = dot(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6));
} catch (error) {
  window.failed = String(error);
}
"""
WEB = ROOT / "browser" / "web"
# The client waits 10 s for an answer, and then 10 s for what the browser kept.
AWAY_SECONDS = 45.0


@pytest.fixture
def bundled(wire: Wire) -> Iterator[Embedder]:
    client = {
        f"/web/{file.relative_to(WEB).as_posix()}": file.read_text()
        for folder in ("embed", "shared")
        for file in (WEB / folder).glob("*.js")
    }
    with Embedder({"/": PAGE, "/host.js": BUNDLED % wire.url, **client}, csp=None, host="127.0.0.1") as site:
        yield site


def connect(page: Page, host: Embedder) -> None:
    page.open(f"{host.origin}/")
    wait_for(page, "window.tuner || window.failed")
    assert page.evaluate("return window.failed ?? null") is None


def test_a_kernel_is_called_on_someone_elses_page(page: Page, wire: Wire, host: Embedder) -> None:
    connect(page, host)
    assert page.evaluate(ERROR_OF_DOT) < 1e-4
    why = page.evaluate("return tuner.explain('dot', { size: 40000 })")
    assert why["variant"]
    assert why["source"] in ("predicted", "default")
    assert why["speedup"] > 0
    assert_only_public(wire)
    asked = {request.route for request in wire.requests}
    assert not [route for route in asked if route.startswith("/pyodide/")], "no Python unless it is asked for"
    own = (f"{host.origin}/", wire.url, f"ws://127.0.0.1:{wire.port}", "blob:", "data:")
    assert [url for url in page.requests() if not url.startswith(own)] == []


def test_the_page_goes_on_when_the_server_is_gone(page: Page, wire: Wire, host: Embedder) -> None:
    connect(page, host)
    wire.cut()
    assert page.evaluate(ERROR_OF_DOT) < 1e-4
    page.reload()
    wait_for(page, "window.failed")


# An automated WebKitGTK loads nothing from its cache across a reload.
@pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))
def test_a_server_that_is_gone_is_replaced_by_what_the_browser_kept(
    page: Page, wire: Wire, bundled: Embedder
) -> None:
    page.open(f"{bundled.origin}/")
    assert wait_for(page, "window.sum ?? window.failed") == 32
    wire.cut()
    page.reload()
    assert wait_for(page, "window.sum ?? window.failed", timeout=AWAY_SECONDS) == 32


@pytest.mark.deep
def test_without_a_server_and_without_an_earlier_visit_connect_says_so(
    page: Page, wire: Wire, bundled: Embedder
) -> None:
    wire.hold("/api/decisions")
    page.open(f"{bundled.origin}/")
    assert "rror" in wait_for(page, "window.sum ?? window.failed", timeout=AWAY_SECONDS)


@pytest.mark.deep
def test_each_server_has_its_own_answer_and_none_disturbs_what_the_page_keeps(
    page: Page, wire: Wire, bundled: Embedder
) -> None:
    page.open(f"{bundled.origin}/")
    wait_for(page, "window.sum ?? window.failed")
    told = page.evaluate(
        """const { connect } = await import("/web/embed/fleetune.js");
        const kept = await import("/web/shared/storage.js");
        await kept.set("choose/sha256", "the winner");
        const [one, other] = await Promise.all(a.map((server) => connect({ server })));
        const [refused, undecided] = await Promise.all([one.consent.record("off"), other.consent.get()]);
        const again = await one.consent.get();
        return [refused.state, undecided.state, again.state, await kept.get("choose/sha256")];""",
        wire.url,
        wire.url.replace("127.0.0.1", "localhost"),
    )
    assert told == ["off", "undecided", "off", "the winner"]


def test_a_new_model_reaches_the_embedding_page(
    page: Page, wire: Wire, host: Embedder, server: Server
) -> None:
    connect(page, host)
    before = page.evaluate("return tuner.version")
    wait_for(page, "a[0] > 0", len(wire.seen("/ws")))
    republish(server, before)
    wait_for(page, "swaps.length > 0")
    assert page.evaluate("return swaps[0]") == {"from": before, "to": before + 1}
    assert page.evaluate("return tuner.version") == before + 1
    assert page.evaluate(ERROR_OF_DOT) < 1e-4


@pytest.mark.deep
def test_a_page_that_measures_confirms_the_calls_it_makes(page: Page, wire: Wire, host: Embedder) -> None:
    connect(page, host)
    found = page.evaluate(CONFIRMED, timeout=BOOT_SECONDS)
    assert found["confirmed"] > 0
    for row in found["rows"]:  # ordinary arrays of one kernel, those in the other's memory
        assert row["source"] == "measured"
        assert row["why"].startswith("Timed here as this page calls it: ")
        assert row["confidence"]["low"] <= row["speedup"] <= row["confidence"]["high"]
        assert row["variant"] != "js" or row["speedup"] == 1
    assert found["again"] == found["rows"], "a new model does not undo what was timed"
    assert found["swaps"] == 2, "measured and confirmed at once, refreshed"
    assert found["sum"] == 32
    assert found["same"]
    page.reload()
    wait_for(page, "window.tuner || window.failed")
    kept = wait_for(page, KEPT)
    assert kept == found["rows"][0], "the next visit follows it, without Python"
    assert page.evaluate("return tuner.running") is False
    assert_only_public(wire)
    assert page.console() == []


@pytest.mark.deep
def test_a_pages_own_worker_measures_and_the_page_hears_none_of_it(page: Page, wire: Wire) -> None:
    files = {"/": PAGE, "/host.js": IN_WORKER, "/worker.js": WORKER % (wire.url, wire.url)}
    with Embedder(files, csp=None, host="127.0.0.1") as site:
        page.open(f"{site.origin}/")
        ended = wait_for(page, "window.ended", timeout=BOOT_SECONDS)
    assert ended.get("results", 0) > 0, ended
    assert page.evaluate("return heard") == [ended]
