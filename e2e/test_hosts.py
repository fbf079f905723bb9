"""Journey: hosts. The npm package in each bundler's build, in Node, and on pages that demand Trusted Types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from tests import node, npm
from tests.kernel_runner import manifest

from e2e.drivers.base import Page, wait_for
from e2e.embedder import Embedder, policy
from e2e.server import ROOT
from e2e.steps import BOOT_SECONDS, assert_only_public
from e2e.wire import Wire

pytestmark = pytest.mark.only_in(("chromium", "isolated"))
EMBED = ROOT / "browser" / "EMBED.md"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone\'s page</title>'
TRUSTED = "; require-trusted-types-for 'script'; trusted-types fleetune"
MEASURING = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
const { connect } = await import("SERVERfleetune.js");
await import("SERVERwidget.js");
const tuner = await connect();
const dot = await tuner.kernel("dot");
const enough = new AbortController();
tuner.addEventListener("progress", ({ detail }) => detail.done >= 1 && enough.abort());
const sum = dot(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6));
tuner.benchmark({ budgetMs: 60000, kernels: ["dot"], signal: enough.signal }).then(
  ({ results }) => (window.found = { sum, results: results.length, violations }),
  (error) => (window.found = { failed: String(error), violations }),
);
"""
REFUSED = """
const refused = (act) => { try { act(); } catch { return true; } };
return [() => new Worker("/page.js"), () => (document.body.innerHTML = "<p>")].map(refused);
"""
IN_NODE = """
delete globalThis.navigator;
const { connect } = await import("fleetune");
const tuner = await connect({ server: process.argv[1], push: true, all: true });
const events = [];
tuner.addEventListener("failed", ({ detail }) => events.push(detail.message));
const failure = (call) => call.then(() => "", ({ message }) => message);
const found = {
  environment: tuner.environment.browser,
  explained: tuner.explain("dot", { size: 65536 }).variant,
  sum: (await tuner.kernel("dot"))(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)),
  consent: (await tuner.consent.get()).state,
  asked: await failure(tuner.consent.request()),
  measured: await failure(tuner.benchmark()),
  events,
};
tuner.close();
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = tmp_path_factory.mktemp("app")
    npm.bundle(app)
    return app


@pytest.fixture
def host(bundles: Path, wire: Wire) -> Iterator[Embedder]:
    files = {}
    for bundler in npm.BUNDLERS:
        for path in (bundles / bundler).rglob("*.js"):
            files[f"/{path.relative_to(bundles)}"] = path.read_text()
        # webpack's output is a classic script.
        kind = "defer" if bundler == "webpack" else 'type="module"'
        files[f"/{bundler}"] = f'{HEAD}<body><script {kind} src="/{bundler}/index.js"></script>'
    with Embedder(files, policy(wire.url)) as site:
        yield site


# A module and a classic script; tests/test_npm.py builds with all four.
@pytest.mark.parametrize("bundler", ["vite", "webpack"])
def test_a_bundled_app_chooses_calls_and_measures(
    page: Page, wire: Wire, host: Embedder, bundler: str
) -> None:
    page.open(f"{host.origin}/{bundler}?server={quote(wire.url)}")
    found = wait_for(page, "window.found", timeout=BOOT_SECONDS)
    assert "failed" not in found, found["failed"]
    assert (found["sum"], found["measured"], found["dot"]) == (6, 1, 32)
    assert (found["state"], found["results"]) == ("undecided", 1)
    assert "dot" in found["card"]
    assert page.console() == []
    assert_only_public(wire)


def test_a_page_that_demands_trusted_types_measures(page: Page, wire: Wire) -> None:
    files = {
        "/": HEAD + '<fleetune-widget></fleetune-widget><script type="module" src="/page.js"></script>',
        "/page.js": MEASURING.replace("SERVER", wire.url),
    }
    with Embedder(files, policy(wire.url) + TRUSTED) as site:
        page.open(f"{site.origin}/")
        found = wait_for(page, "window.found", timeout=BOOT_SECONDS)
        assert found == {"sum": 32, "results": 1, "violations": []}
        assert page.evaluate(REFUSED) == [True, True], "the page does demand them"


def test_what_is_pinned_runs_and_what_differs_from_it_does_not(page: Page, wire: Wire) -> None:
    line = EMBED.read_text().split("## Pinning what runs")[1].split("```html\n")[1].split("```")[0]
    named = httpx.get(f"{wire.url}integrity.json").json()
    widget = named["entries"]["widget.js"]
    imported = next(path for path in named["integrity"] if path.endswith("/embed/widget.js"))
    absolute = {wire.url + path: digest for path, digest in named["integrity"].items()}
    other = absolute[wire.url + widget]

    def body(digests: Mapping[str, str], digest: str = other) -> str:
        pinned = line.replace("https://tuner.example/", wire.url).replace("widget-HASH.js", widget)
        mapped = f'<script type="importmap">{json.dumps({"integrity": digests})}</script>'
        return f"{HEAD}{mapped}<fleetune-widget></fleetune-widget>{pinned.replace('sha384-DIGEST', digest)}"

    files = {
        "/same": body(absolute),
        "/entry": body({}, "sha384-" + "A" * 64),
        "/import": body(absolute | {wire.url + imported: other}),
    }
    with Embedder(files, None) as site:
        page.open(f"{site.origin}/same")
        wait_for(page, "customElements.get('fleetune-widget') !== undefined")
        for path in ("/entry", "/import"):
            page.open(f"{site.origin}{path}")
            wait_for(page, "performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
            assert page.evaluate("return customElements.get('fleetune-widget') === undefined"), path


def test_kernels_run_in_node_and_the_rest_says_what_it_needs(bundles: Path, wire: Wire) -> None:
    wire.requests.clear()  # of the pages before
    found = node.evaluate(IN_NODE, wire.url, cwd=bundles)
    assert (found["environment"], found["consent"]) == ("other", "undecided")
    assert found["explained"] in manifest().kernels["dot"].variants
    assert found["sum"] == 32, (
        "what is signed is fetched and compared, so it need not be imported from the network"
    )
    assert "only a page can ask" in found["asked"]
    assert "there are none here" in found["measured"]
    assert found["events"] == []
    assert_only_public(wire)
