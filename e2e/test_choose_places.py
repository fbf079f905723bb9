"""Journey: choose, where a page is unusual: a frame without an origin, a second tab, pictures, other windows' values."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.drivers.base import Browser, wait_for, wait_until
from e2e.embedder import Embedder
from e2e.test_choose_any import HOST, PAGE, SOURCES, STRICT, WEB, began, ready, show, visit

FRAMED = '<iframe sandbox="allow-scripts" src="/inner" title="Inner"></iframe><iframe src="/other" title="Other"></iframe>'
INNER = """<!doctype html><meta charset="utf-8"><title>Inner</title><script type="module" src="/inner.js"></script>"""
OTHER = """<!doctype html><meta charset="utf-8"><title>Other</title><script src="/other.js"></script>"""
INNER_SCRIPT = """
import { choose } from "/embed/choose.js";
const sum = (data) => data.reduce((total, value) => total + value, 0);
const slow = (data) => { let total = 0; for (let i = 0; i < 8; i++) total = sum(data); return total; };
const input = (n, random) => Uint8Array.from({ length: n }, () => 256 * random());
try {
  const chosen = await choose("job", { slow, fast: sum }, { input, sizes: [4096], budgetMs: 2000 });
  const { measured } = await chosen.ready;
  parent.postMessage({ origin: String(globalThis.origin), measured, ...chosen.explain() }, "*");
} catch (error) {
  parent.postMessage({ error: String(error) }, "*");
}
"""
LISTEN = 'addEventListener("message", ({ data }) => (window.inner = data));'


@pytest.fixture(scope="module")
def site() -> Iterator[Embedder]:
    files = {f"/{file.relative_to(WEB)}": file.read_text() for file in SOURCES}
    files |= {"/": PAGE % "", "/framed": PAGE % FRAMED, "/host.js": HOST + LISTEN}
    files |= {"/inner": INNER, "/inner.js": INNER_SCRIPT, "/other": OTHER, "/other.js": "window.made = true;"}
    with Embedder(files, f"{STRICT}; frame-src 'self'", sandboxed=("/inner",)) as embedder:
        yield embedder


def test_a_frame_without_an_origin_measures_too(browser: Browser, site: Embedder) -> None:
    """It has neither storage nor locks."""
    browser.fresh()
    page = visit(browser, site, "/framed")
    wait_for(page, "window.inner", timeout=20)
    found: Any = page.evaluate("return inner")
    assert found.get("error") is None
    assert (found["origin"], found["measured"], found["implementation"]) == ("null", 1, "fast")


def test_what_another_tab_is_trying_is_not_taken_for_what_hung(browser: Browser, site: Embedder) -> None:
    browser.fresh()
    first = visit(browser, site)
    given = "{ long: async (data) => (times(4000)(data), sum(data)), patient: async (data) => { if (data.length < 4096) return sum(data); window.trying = true; await new Promise(() => {}); } }"
    began(first, given, "{ sizes: [65536], budgetMs: 30000 }")
    wait_for(first, "window.trying", timeout=20)
    second = browser.new_page()
    show(second, f"{site.origin}/")
    assert began(second, given, '{ measure: "never", async: true }')["setAside"] == {}
    second.evaluate("await new Promise((resolve) => setTimeout(resolve, 100))")
    assert second.evaluate("return chosen.explain().setAside") == {}
    second.close()
    first.close()


def test_a_picture_is_put_back_in_place_and_values_of_another_window_are_taken(
    browser: Browser, site: Embedder
) -> None:
    browser.fresh()
    page = visit(browser, site, "/framed")
    wait_until(lambda: page.evaluate("return Boolean(frames[1]?.made)"), "the other window is there")
    assert page.evaluate(
        """
        const spin = () => { const end = performance.now() + 3; while (performance.now() < end); };
        const found = {};
        const worlds = { here: window, there: frames[1] };
        for (const [world, at] of Object.entries(worlds)) {
          const makes = {
            picture: () => new at.ImageData(2, 2),
            view: () => new at.Uint8Array(4),
            plain: () => { const one = new at.Object(); one.data = new at.Array(1, 2); return one; },
          };
          for (const [kind, make] of Object.entries(makes)) {
            let on = false;
            const touch = (value) => { const data = value.data ?? value; for (const i of data.keys()) data[i] += 1; };
            const half = (value) => { touch(value); if (on) { touch(value); throw new Error("half"); } };
            const patient = (value) => { spin(); touch(value); };
            const input = () => [make()];
            const given = { input, size: () => 8, sizes: [8], budgetMs: 1500 };
            const chosen = await choose(world + kind, { patient, half }, given);
            await chosen.ready;
            const used = chosen.explain().implementation;
            on = true;
            const [mine, wanted] = [make(), make()];
            touch(wanted);
            chosen(mine);
            found[world + kind] = [used, String(mine.data ?? mine) === String(wanted.data ?? wanted), Object.keys(chosen.explain().setAside).join()];
          }
        }
        return found;
    """,
        timeout=60,
    ) == {
        f"{world}{kind}": ["half", True, "half"]
        for world in ("here", "there")
        for kind in ("picture", "view", "plain")
    }


def test_a_storage_that_never_answers_costs_a_second_and_not_the_choice(
    browser: Browser, site: Embedder
) -> None:
    browser.fresh()
    page = visit(browser, site)
    page.evaluate(
        "Object.defineProperty(globalThis, 'indexedDB', { value: { open: () => ({}), databases: async () => [] } });"
    )
    began(page, "{ slow, fast: sum, middle: times(3), other: times(2) }")
    after = ready(page)
    assert after["implementation"] != "slow"
    assert after["aside"] == {}
    assert after["outcome"]["seconds"] < 6
