"""Journey: robust states. Each thing that can be missing or break has a state that says so, and a way on."""

from __future__ import annotations

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, THOROUGH, measure_a_little, open_home, turn_telemetry_on
from e2e.wire import Wire

# Ends the Python worker from outside, as the browser does to a tab short of memory.
WATCH_WORKERS = """
const Native = Worker;
window.workers = [];
window.Worker = class extends Native {
  constructor(...given) { super(...given); window.workers.push(this); }
};
"""
HERO_HEIGHT = "return document.querySelector('.hero').getBoundingClientRect().height"
# Buttons that the markup shows enabled, without the words that are explained on hover and what starts hidden.
EARLY_BUTTONS = """
const markup = await (await fetch(a[0])).text();
const early = new DOMParser().parseFromString(markup, "text/html");
return [...early.querySelectorAll("button:enabled, input:enabled")]
  .filter((node) => !node.matches(".term") && !node.closest("[hidden]")).map((node) => node.id);
"""
CRASH = "window.workers[0].dispatchEvent(new ErrorEvent('error', { message: 'out of memory' }))"


@pytest.mark.deep
def test_a_crashed_worker_is_said_and_starts_again(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.evaluate(WATCH_WORKERS)
    page.click("button", THOROUGH)
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    page.evaluate(CRASH)
    wait_text(page, "#notices", "The worker stopped")
    wait_for(page, "!find('#run').disabled")
    assert "benchmark failed" in text(page, "#progressText")
    assert violations(page) == []
    measure_a_little(page)
    assert "The worker stopped" not in text(page, "#notices"), "the notice leaves with its cause"


@pytest.mark.only_in(
    ("chromium-nowasm", "isolated"), ("firefox-nowasm", "isolated"), ("webkit-nowasm", "isolated")
)
def test_without_webassembly_javascript_is_the_choice_and_nothing_is_offered_that_cannot_be(
    page: Page, wire: Wire
) -> None:
    open_home(page, wire)
    wait_text(page, "#notices", "no WebAssembly")
    assert page.evaluate("return document.querySelector('#run').disabled") is True
    assert page.evaluate("return document.querySelector('#thorough').disabled") is True
    chosen = page.evaluate(
        "return [...document.querySelectorAll('#resultsTable td.chosen')].map(c => c.parentElement.innerText)"
    )
    assert chosen
    assert all(row.startswith("js") for row in chosen)
    assert violations(page) == []


@pytest.mark.only_in(("chromium-nosimd", "isolated"), ("webkit-nosimd", "isolated"))
def test_without_simd_it_is_said_and_no_simd_variant_is_shown(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#notices", "no WebAssembly SIMD")
    rows = page.evaluate("return document.querySelector('#resultsTable tbody').innerText")
    assert "vectorization" not in rows.replace("\n", "")
    assert violations(page) == []


@pytest.mark.only_in(("chromium-nostorage", "isolated"), ("firefox-nostorage", "isolated"))
def test_with_storage_blocked_the_page_works_and_says_that_nothing_is_kept(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#notices", "Storage is blocked")
    turn_telemetry_on(page)
    measure_a_little(page)
    wait_for(page, "!find('#packetPreview').hidden")
    page.reload()
    wait_text(page, "#consentState", "You have not chosen yet")
    assert violations(page) == []


@pytest.mark.deep
def test_a_server_that_restarts_is_found_again(page: Page, wire: Wire, server: Server) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    page.evaluate("window.neverReloaded = true")
    port = server.port
    server.stop()
    wait_text(page, "#liveState", "Not connected")
    wait_text(page, "#notices", "cannot be reached")
    assert violations(page) == []
    server.start(port)
    wait_text(page, "#liveState", "Connected", timeout=90)
    wait_for(page, "!find('#notices').innerText")
    assert page.evaluate("return window.neverReloaded") is True


@pytest.mark.deep
def test_a_slow_network_shows_the_page_before_its_answers(page: Page, wire: Wire) -> None:
    wire.delay = 0.05  # each piece of an answer, some tens of kB
    wire.hold("/api/", "/ws")  # what only the server knows is not there yet
    try:
        page.open(wire.url)
        assert text(page, "#environment"), "what needs no server is there at once"
        height = page.evaluate(HERO_HEIGHT)
        page.click("button", THOROUGH)
        assert text(page, "#modelVersion") == "…", "pressed before any answer came"
        wait_text(page, "#progressText", "Starting Python")
        wire.release()
        wait_for(page, "/^[1-9]/.test(find('#modelVersion')?.innerText ?? '')")
        assert abs(page.evaluate(HERO_HEIGHT) - height) < 60, "nothing jumps"
    finally:
        wire.delay = 0.0
        wire.release()
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    page.click("button", "Stop")
    wait_text(page, "#progressText", "Stopped after")


def test_no_press_is_lost_before_the_script_is_there(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    for path in ("./", "dashboard"):
        waiting = page.evaluate(EARLY_BUTTONS, path)
        assert waiting == [], "what nobody listens to yet must not look ready"
    assert page.evaluate("return document.querySelectorAll('#run:enabled, #accept:enabled').length") == 2


def test_the_second_visit_without_a_server_has_its_choices_before_python(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", "Keep off")  # nothing is stored for someone who only looks
    wait_for(page, "navigator.serviceWorker?.controller != null")
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    wire.cut()
    page.open(wire.url)
    wait_for(page, "performance.getEntriesByName('choice').length > 0")
    assert "/pyodide/" not in "".join(page.requests()[-40:]), "the choices are there before Python"
    wait_text(page, "#liveState", "Not connected", timeout=90)
    wait_text(page, "#notices", "cannot be reached")
    assert violations(page) == []


SILENT_WORKER = """
const { connectWorker, despiteSilence } = await import("/static/shared/rpc.js");
const source = (after) => `postMessage({ event: "ready", data: ["work"] }); ${after}`;
const url = (after) => URL.createObjectURL(new Blob([source(after)], { type: "text/javascript" }));
const blocks = url("onmessage = () => { for (;;); }");
const works = url(`setInterval(() => postMessage({ event: "alive", data: null }), 20);
  onmessage = ({ data }) => setTimeout(() => postMessage({ id: data.id, ok: true, value: "done" }), 1500);`);
let starts = 0;
return despiteSilence(async () => {
  const worker = await connectWorker(starts++ ? works : blocks, { silence: 100 });
  return [await worker.ops.work(), starts];
});
"""


def test_a_worker_that_gives_no_sign_of_life_is_ended_and_the_work_done_by_another(
    page: Page, wire: Wire
) -> None:
    open_home(page, wire)
    assert page.evaluate(SILENT_WORKER) == ["done", 2]
