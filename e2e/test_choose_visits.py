"""Journey: choose, from one page load to the next: what is fetched, and what two jobs of one name keep."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.drivers.base import Browser, Page
from e2e.embedder import Embedder
from e2e.test_choose_any import HOST, PAGE, SOURCES, STRICT, WEB, began, ready, show, visit

SLOW = "export const call = async (data) => window.times(8)(data);"
# The fastest has a second to be there before the reference is asked for too: a busy machine takes long to load a file.
FAST = "export const call = async (data) => { if (data.length === 77) throw new Error('no 77'); return window.sum(data); };"
DOWNLOADED = """{ slow: { load: async () => { await new Promise((resolve) => setTimeout(resolve, 500)); return (await import("/slow.js")).call; } }, fast: { load: async () => (await import("/fast.js")).call } }"""
FETCHED = """
const names = performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname);
return ["/slow.js", "/fast.js"].filter((one) => names.includes(one));
"""
MANY = "{ expect: { calls: 100000 } }"


@pytest.fixture(scope="module")
def site() -> Iterator[Embedder]:
    files = {f"/{file.relative_to(WEB)}": file.read_text() for file in SOURCES}
    files |= {"/": PAGE % "", "/host.js": HOST, "/slow.js": SLOW, "/fast.js": FAST}
    with Embedder(files, STRICT) as embedder:
        yield embedder


def known(browser: Browser, site: Embedder) -> Page:
    """The second page load of a job whose fastest implementation is known."""
    browser.fresh()
    page = visit(browser, site)
    began(page, DOWNLOADED, MANY)
    assert page.evaluate(FETCHED)[0] == "/slow.js", "the first one starts on the reference"
    assert ready(page)["implementation"] == "fast"
    show(page, f"{site.origin}/")
    return page


def test_the_next_page_load_fetches_the_fastest_alone_and_the_reference_for_a_call_that_fails(
    browser: Browser, site: Embedder
) -> None:
    page = known(browser, site)
    began(page, DOWNLOADED, MANY)
    after = ready(page)
    assert (after["implementation"], after["outcome"]["measured"]) == ("fast", 0)
    assert page.evaluate("return await chosen(Uint8Array.of(1, 2))") == 3
    assert page.evaluate(FETCHED) == ["/fast.js"]
    failed: Any = page.evaluate("""
        const data = new Uint8Array(77).fill(1);
        const called = chosen(data);
        await new Promise((resolve) => setTimeout(resolve, 50)); // it has failed, and the reference is on its way
        data.fill(9);
        return [await called, await chosen(Uint8Array.of(1, 2)), Object.keys(chosen.explain().setAside)];
    """)
    assert failed == [77, 3, ["fast"]]
    assert page.evaluate(FETCHED) == ["/slow.js", "/fast.js"]
    assert page.console() == []


def test_jobs_of_one_name_are_both_known_at_the_next_page_load(browser: Browser, site: Embedder) -> None:
    browser.fresh()
    page = visit(browser, site)
    both = """
        const jobs = [[{ slow, fast: sum }, {}], [{ slow, other: (data) => sum(data) }, {}], [{ slow, fast: sum }, { sizes: [256] }]];
        const made = await Promise.all(jobs.map(([given, how]) => choose("job", given, { ...options, budgetMs: 2000, ...how })));
        const ready = await Promise.all(made.map((one) => one.ready));
        return made.map((one, i) => [one.explain({ size: 256 }).source, ready[i].measured]);
    """
    assert page.evaluate(both, timeout=30) == [["measured", 2], ["measured", 2], ["measured", 1]]
    show(page, f"{site.origin}/")
    assert page.evaluate(both, timeout=30) == [["measured", 0]] * 3
