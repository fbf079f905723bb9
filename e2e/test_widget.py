"""Journey: widget. Module and custom element on another origin, strict policy, sandboxed frame."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.embedder import Embedder, policy
from e2e.server import ROOT
from e2e.steps import BENCHMARK, BOOT_SECONDS, PUBLIC, STATIC, assert_only_public, sent_packets
from e2e.wire import Wire

SETTINGS = {"push_origins": "*"}
SECOND = "document.querySelectorAll('fleetune-widget')[1]"
# What a screen reader says of the first element's status: its changes while they are not kept from it.
HEAR = """
window.heard = [];
const status = document.querySelector("fleetune-widget").shadowRoot.querySelector(".status");
const note = () => status.ariaLive === "off" || window.heard.push(status.textContent);
new MutationObserver(note).observe(status, { childList: true, characterData: true, subtree: true });
"""
OPEN = "document.querySelector('fleetune-widget').shadowRoot.querySelector('details').open = true"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone\'s page</title>'
MODULE = """
try {
  const { connect } = await import("SERVERfleetune.js");
  window.tuner = await connect();
} catch (error) {
  window.failed = String(error);
}
"""
# Everything that a visitor of a frame without an origin may do, told to the page around it.
INNER = """
const tell = (data) => parent.postMessage(data, "*");
try {
  const { connect } = await import("SERVERfleetune.js");
  const tuner = await connect();
  const dot = await tuner.kernel("dot");
  const sum = dot(Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6));
  const before = (await tuner.consent.get()).state;
  const unasked = await tuner.consent.record("on").then(() => "kept", ({ message }) => message);
  const clicked = new Promise((resolve) => addEventListener("click", resolve, { once: true }));
  tell({ origin: self.origin, sum, before, unasked, still: (await tuner.consent.get()).state });
  await clicked;
  await tuner.consent.record("on");
  const enough = new AbortController();
  tuner.addEventListener("progress", ({ detail }) => detail.done >= 1 && enough.abort());
  const limits = { budgetMs: 60000, signal: enough.signal };
  const { results } = await tuner.benchmark({ kernels: ["dot", "saxpy"], ...limits });
  const agreed = (await tuner.consent.get()).state;
  const { packet, text } = await tuner.preview();
  const { status } = await tuner.send({ shown: text });
  const withdrawn = await tuner.consent.withdraw();
  const after = (await tuner.preview()).reason.code;
  tell({ cells: results.length, agreed, packet, text, status, withdrawn, after });
} catch (error) {
  tell({ failed: String(error.stack ?? error) });
}
"""
DOCUMENT = (ROOT / "browser" / "EMBED.md").read_text()
EXAMPLE, SHARE = re.findall(r'<script type="module">(.*?)</script>', DOCUMENT, re.DOTALL)
# How far anything in a widget stands out of it, in pixels.
STANDS_OUT = """
return Math.max(...[...document.querySelectorAll("fleetune-widget")].flatMap((host) => {
  const { left, right } = host.getBoundingClientRect();
  return [...host.shadowRoot.querySelectorAll(":not(pre *)")].map((node) => node.getBoundingClientRect())
    .filter(({ width }) => width > 0).map((box) => Math.max(box.right - right, left - box.left));
}));
"""
FILES = {
    "/example": HEAD + '<h1>Example</h1><script type="module" src="/example.js"></script>',
    "/example.js": EXAMPLE.replace("https://tuner.example/", "SERVER") + "window.sum = sum;",
    "/share": HEAD + '<h1>Share</h1><button id="share">Help to tune this</button>'
    '<script type="module" src="/share.js"></script>',
    "/share.js": SHARE.replace("https://tuner.example/", "SERVER") + "window.tuner = tuner;",
    "/bare": HEAD + "<main><h1>Bare</h1><p>A page of someone else.</p></main>"
    '<script type="module" src="SERVERfleetune.js"></script>',
    "/module": HEAD + '<h1>Module</h1><script type="module" src="/module.js"></script>',
    "/module.js": MODULE,
    "/widget": HEAD + "<h1>Widget</h1>"
    '<fleetune-widget kernels="dot, saxpy"></fleetune-widget>'
    '<fleetune-widget kernels="dot, saxpy" lang="ru" push server="SERVER"></fleetune-widget>'
    '<script type="module" src="SERVERwidget.js"></script>',
    "/odd": HEAD + '<h1>Odd</h1><div style="width: 200px">'
    '<fleetune-widget kernels="dot, nonsense, sort"></fleetune-widget>'
    '<fleetune-widget kernels="gone" lang="ru"></fleetune-widget></div>'
    '<script type="module" src="SERVERwidget.js"></script>',
    "/auto": HEAD + "<h1>Auto</h1>" + "<p>Above.</p>" * 200 + "<fleetune-widget kernels='dot' auto>"
    "</fleetune-widget>"
    '<script type="module" src="SERVERwidget.js"></script>',
    "/two": HEAD + "<h1>Two</h1><fleetune-widget kernels='dot'></fleetune-widget>"
    "<fleetune-widget lang='ru' kernels='sort'></fleetune-widget>"
    '<script type="module" src="SERVERwidget.js"></script>',
    "/frame": HEAD + '<h1>Frame</h1><script src="/frame.js"></script>'
    '<iframe sandbox="allow-scripts" src="/inner" role="application" title="Fleetune"></iframe>',
    "/frame.js": "addEventListener('message', ({ data }) => (window.told = { ...window.told, ...data }));",
    "/inner": HEAD + '<script type="module" src="/inner.js"></script>',
    "/inner.js": INNER,
}
# Every kernel in the page, each size and pattern, copied and resident, against its own JavaScript.
WRONG_RESULTS = """
const { root, kernels } = await (await fetch(`${tuner.server}api/kernels`)).json();
const { near, seeded } = await import(`${tuner.server}static/shared/numbers.js`);
const wrong = [];
let calls = 0;
tuner.addEventListener("setaside", (event) => wrong.push(event.detail));
for (const { name, patterns, sizes, params, tolerance } of kernels) {
  const { baselines, makeInput } = await import(new URL(`${root}embed/${name}.js`, tuner.server));
  for (const pattern of patterns) {
    const call = await tuner.kernel(name, { pattern });
    for (const size of sizes.slice(0, 4)) {
      for (const resident of [false, true]) {
        const [expected, actual] = [0, 1].map(() => makeInput(size, pattern, seeded(size)));
        if (resident) {
          tuner.release(name, { pattern });
          actual.forEach((value, i) => {
            if (!ArrayBuffer.isView(value)) return;
            actual[i] = tuner.alloc(name, value.constructor, value.length, { pattern });
            actual[i].set(value);
          });
        }
        const results = [baselines.js(...expected), call(...actual)];
        calls += 1;
        const same = (a, b) => near(tolerance, a ?? 0, b ?? 0);
        const written = params.flatMap(({ dir }, i) => (dir === "out" || dir === "inout" ? [i] : []));
        const right = written.every((i) => expected[i].every((value, k) => same(value, actual[i][k])));
        if (!same(...results) || !right) wrong.push({ name, pattern, size, resident });
      }
    }
  }
}
return { wrong, calls, kernels: kernels.length };
"""


@pytest.fixture
def site(wire: Wire) -> Iterator[Embedder]:
    files = {path: text.replace("SERVER", wire.url) for path, text in FILES.items()}
    with Embedder(files, policy(wire.url), sandboxed=("/inner",)) as embedder:
        yield embedder


def open_module(page: Page, origin: str) -> None:
    page.open(f"{origin}/module")
    wait_for(page, "window.tuner || window.failed")
    assert page.evaluate("return window.failed ?? null") is None


def test_every_kernel_gives_what_its_javascript_gives(page: Page, wire: Wire, site: Embedder) -> None:
    open_module(page, site.origin)
    found = page.evaluate(WRONG_RESULTS, timeout=120)
    assert found["wrong"] == []
    assert found["kernels"] >= 28
    assert found["calls"] >= 8 * found["kernels"]
    assert page.console() == []


def test_the_documents_example_runs_under_the_documents_policy(
    page: Page, site: Embedder, wire: Wire
) -> None:
    written = re.findall(r"^script-src .*$", DOCUMENT, re.MULTILINE)[0]
    given = policy("https://tuner.example/")
    assert {part.strip() for part in written.split(";")} <= {part.strip() for part in given.split(";")}
    page.open(f"{site.origin}/example")
    assert wait_for(page, "window.sum") == 32
    assert page.console() == []


def test_the_element_asks_for_the_decisions_and_nothing_else(page: Page, wire: Wire, site: Embedder) -> None:
    page.open(f"{site.origin}/two")
    wait_text(page, ".status", "as fast as JavaScript")
    wait_for(page, "document.querySelectorAll('fleetune-widget')[1].shadowRoot.querySelector('tbody tr')")
    second = page.evaluate("return document.querySelectorAll('fleetune-widget')[1].shadowRoot.textContent")
    assert "к скорости JavaScript" in second
    asked = [r.route for r in wire.requests if not r.route.startswith("/static/")]
    assert asked[0] == "/widget.js"
    assert [route.rpartition("/")[0] for route in asked[1:]] == ["/api/decisions"]
    assert page.evaluate("return indexedDB.databases ? (await indexedDB.databases()).length : 0") == 0
    assert page.console() == []


def test_a_visitor_measures_agrees_sends_and_withdraws(page: Page, wire: Wire, site: Embedder) -> None:
    page.open(f"{site.origin}/widget")
    assert page.evaluate("return crossOriginIsolated") is False
    wait_text(page, ".status", "as fast as JavaScript")
    page.evaluate(HEAR)
    page.click("button", BENCHMARK)
    wait_text(page, ".status", "Measured here in", timeout=BOOT_SECONDS)
    heard = page.evaluate("return window.heard")
    assert 1 <= len(heard) <= 3, "no step is read out"
    assert "Measured here in" in heard[-1]
    assert_only_public(wire)
    wait_for(page, f"/Измерено здесь/.test({SECOND}.shadowRoot.querySelector('.status').innerText)")
    decisions = [r for r in wire.requests if r.route.startswith("/api/decisions")]
    assert len(decisions) == 1, "both elements share one tuner"
    assert len(wire.seen("/pyodide/pyodide.asm.wasm")) == 1, "and one worker"

    page.evaluate(OPEN)
    wait_text(page, "details .status", "You have not chosen yet")
    question = text(page, "details")
    assert wire.url.removeprefix("http://").rstrip("/") in question
    assert site.origin in question
    page.click("button", "Turn on")
    wait_text(page, "details .status", "Telemetry is on")
    wait_for(page, "!find('pre').hidden")
    shown = text(page, "pre")
    assert sent_packets(wire) == []
    page.click("button", "Send")
    wait_for(page, "find('fleetune-widget').shadowRoot.textContent.includes('HTTP 202')")
    (sent,) = wire.seen("/api/telemetry", "POST")
    assert sent.body.decode() == shown, "the preview is the very text that was sent"
    page.click("button", "Withdraw and delete what can be deleted")
    wait_for(page, "find('fleetune-widget').shadowRoot.textContent.includes('1 removed from the server')")
    assert page.console() == []


@pytest.mark.deep
def test_auto_measures_once_the_card_is_on_screen_and_sends_nothing(
    page: Page, wire: Wire, site: Embedder
) -> None:
    page.open(f"{site.origin}/auto")
    wait_text(page, ".status", "as fast as JavaScript")
    # A card on screen rests for a second before it acts: this one, below the edge, must not act at all.
    page.evaluate("window.shown = performance.now()")
    wait_for(page, "performance.now() - shown > 1500")
    assert wire.seen("/static/workers/python_worker.js") == []
    page.evaluate("document.querySelector('fleetune-widget').scrollIntoView()")
    wait_text(page, ".status", "Measured here in", timeout=BOOT_SECONDS)
    assert len(wire.seen("/pyodide/pyodide.asm.wasm")) == 1
    assert_only_public(wire)
    assert page.console() == []


@pytest.mark.deep
def test_the_documents_question_leads_to_one_report_that_the_visitor_sees_first(
    page: Page, wire: Wire, site: Embedder
) -> None:
    page.open(f"{site.origin}/share")
    wait_for(page, "window.tuner")
    page.click("button", "Help to tune this")
    wait_for(page, "find('dialog')?.open")
    page.click("button", "Turn on")
    wait_for(page, "find('dialog pre')?.textContent.startsWith('{')", timeout=BOOT_SECONDS)
    shown = text(page, "dialog pre")
    page.evaluate("document.body.lastElementChild.shadowRoot.querySelector('.equal button').click()")
    assert page.evaluate("return tuner.preview().then(({ text }) => text)") == shown, "a script's click"
    assert sent_packets(wire) == []
    page.click("button", "Decide later")
    wait_text(page, "#share", "Not sent")
    page.evaluate("window.again = tuner.send({ shown: 'another packet' })")
    wait_for(page, "find('dialog pre')?.textContent === a[0]", shown)
    page.click("button", "Send")
    assert page.evaluate("return (await again).status") == 202
    assert [request.body.decode() for request in wire.seen("/api/telemetry", "POST")] == [shown]
    assert page.console() == []


@pytest.mark.deep
def test_a_page_that_only_loads_the_module_and_the_element_are_accessible(page: Page, site: Embedder) -> None:
    page.open(f"{site.origin}/bare")
    wait_for(page, "find('main')")
    assert violations(page) == []
    page.open(f"{site.origin}/widget")
    wait_text(page, ".status", "as fast as JavaScript")
    page.evaluate(OPEN)
    assert violations(page, "fleetune-widget") == []


@pytest.mark.deep
def test_a_page_themes_the_element(page: Page, site: Embedder) -> None:
    page.open(f"{site.origin}/widget")
    wait_text(page, ".status", "as fast as JavaScript")
    ground = (
        "return getComputedStyle(document.querySelector('fleetune-widget').shadowRoot.querySelector('.card'))"
    )
    page.evaluate("document.documentElement.style.setProperty('--fleetune-ground', 'rgb(1, 2, 3)')")
    assert page.evaluate(f"{ground}.backgroundColor") == "rgb(1, 2, 3)"


def test_consent_is_asked_by_fleetune_and_counts_for_one_site_and_one_server(
    page: Page, wire: Wire, site: Embedder
) -> None:
    open_module(page, site.origin)
    page.evaluate("window.asked = tuner.consent.request({ lang: 'en' })")
    wait_for(page, "find('dialog')?.open")
    assert site.origin in text(page, "dialog")
    page.evaluate("document.body.lastElementChild.shadowRoot.querySelector('button').click()")
    assert page.evaluate("return (await tuner.consent.get()).state") == "undecided", "a script's click"
    page.click("button", "Turn on")
    assert page.evaluate("return (await asked).state") == "on"
    page.reload()
    wait_for(page, "window.tuner")
    assert page.evaluate("return (await tuner.consent.get()).state") == "on"

    open_module(page, site.other)
    assert page.evaluate("return (await tuner.consent.get()).state") == "undecided"
    assert all(r.route in PUBLIC or r.route.startswith(STATIC) for r in wire.requests)


@pytest.mark.deep
def test_a_sandboxed_frame_keeps_consent_in_memory_only(page: Page, wire: Wire, site: Embedder) -> None:
    page.open(f"{site.origin}/frame")
    told = wait_for(page, "(window.told?.failed || window.told?.still) && window.told", timeout=BOOT_SECONDS)
    assert "needs the visitor's click" in told["unasked"]
    assert told["still"] == "undecided"
    page.click("application", "Fleetune")
    told = wait_for(page, "(window.told?.failed || window.told?.after) && window.told", timeout=BOOT_SECONDS)
    assert told.get("failed") is None
    assert told["origin"] == "null"
    assert told["sum"] == 32
    assert (told["before"], told["agreed"]) == ("undecided", "on")
    assert told["cells"] > 0
    assert told["status"] == 202
    assert sent_packets(wire) == [told["packet"]]
    assert [request.body.decode() for request in wire.seen("/api/telemetry", "POST")] == [told["text"]]
    assert told["withdrawn"] == {"removed": 1, "late": 0}
    assert told["after"] == "consent"
    page.reload()
    assert wait_for(page, "window.told?.before") == "undecided"


@pytest.mark.deep
def test_a_narrow_widget_names_what_the_server_does_not_know_and_stays_within_its_box(
    page: Page, site: Embedder
) -> None:
    page.open(f"{site.origin}/odd")
    known, unknown = "document.querySelectorAll('fleetune-widget')[0]", SECOND
    for widget, words in ((known, "no function called nonsense"), (unknown, "нет функции с именем gone")):
        wait_for(page, f"{widget}.shadowRoot?.querySelector('.unknown')?.innerText.includes(a[0])", words)
    shown = page.evaluate(f"return {known}.shadowRoot.querySelector('.card').innerText")
    assert re.search(r"[0-9]×", shown)
    assert "over 2 functions" in shown
    rest = page.evaluate(f"return {unknown}.shadowRoot.querySelector('.card').innerText")
    assert "NaN" not in shown + rest
    assert "×" not in rest
    page.evaluate(OPEN)
    wait_for(page, f"/Telemetry is off/.test({known}.shadowRoot.querySelector('details').innerText)")
    assert page.evaluate(STANDS_OUT) <= 0.5


@pytest.mark.deep
def test_an_element_whose_server_is_not_there_says_so(page: Page, site: Embedder) -> None:
    page.open(f"{site.origin}/widget")
    wait_text(page, ".status", "as fast as JavaScript")
    gone = "document.querySelector('fleetune-widget').setAttribute('server', 'http://127.0.0.1:1/')"
    page.evaluate(gone)
    wait_text(page, ".status", "The Fleetune server cannot be reached, so plain JavaScript runs.")
