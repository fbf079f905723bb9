"""Journey: who writes a function. Python source in; JavaScript, times and the command out; nothing leaves the page."""

from __future__ import annotations

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.wire import Wire

BOOT_SECONDS = 120
ROWS = "return [...document.querySelectorAll('#times tbody tr')].map((row) => row.textContent)"
KEEP = """
window.blobs = [];
const make = URL.createObjectURL.bind(URL);
URL.createObjectURL = (blob) => (window.blobs.push(blob), make(blob));
"""
OFFERED = "return window.blobs.find(({ type }) => type === 'text/x-python').text()"
SOURCE = """\
@kernel(sizes=[16, 4096])
def secret_sum(a: In[f32], n: i32) -> f32:
    total = f32(0)
    for i in range(n):
        total += a[i]
    return total
"""
ENDLESS = SOURCE.replace("range(n)", "range(n - n % 16)").replace(
    "total += a[i]", "while n > 0:\n            total += a[i]"
)


def write(page: Page, source: str) -> None:
    """Not by keys: WebKit's driver leaves line breaks out."""
    page.evaluate("document.querySelector('#source').value = a[0]", source)


def test_a_function_is_translated_and_timed_and_nothing_of_it_is_sent(page: Page, wire: Wire) -> None:
    page.open(f"{wire.url}functions?lang=en")
    page.click("link", "Write a function of your own")
    wait_text(page, "h1", "Write a function")
    page.evaluate(KEEP)
    write(page, SOURCE)
    page.click("button", "Translate and run")
    wait_text(page, "#status", "Done.", timeout=BOOT_SECONDS)
    rows = page.evaluate(ROWS)
    assert [row.split(" elements")[0] for row in rows] == ["16", "4,096"]
    assert all(row.count("s") > 2 for row in rows), "two times each, for f32 may be kept as doubles"
    assert "export function js(a, n)" in text(page, "#script")
    assert "fleetune forge secret_sum.py" in text(page, "#command")
    assert page.evaluate(OFFERED) == SOURCE
    assert page.evaluate("return document.querySelector('#download').download") == "secret_sum.py"

    write(page, SOURCE.replace("total += a[i]", "with open(a[i]) as f:\n            pass"))
    page.click("button", "Translate and run")
    wait_text(page, "#status", "Problems found: 1.")
    assert text(page, "#problems li").startswith("line 5, column 9: With is not supported; see")
    page.click("button", "line 5, column 9")
    assert page.evaluate("return document.querySelector('#source').selectionStart") == SOURCE.index(
        "total += a[i]"
    )
    assert not page.evaluate("return document.querySelector('#result').checkVisibility()")
    assert all(request.method in ("GET", "HEAD") for request in wire.requests), "nothing is posted"
    assert not any("secret" in request.path + str(request.body) for request in wire.requests)
    assert page.console() == []


@pytest.mark.deep
def test_what_does_not_end_is_stopped_and_the_page_is_usable_in_both_languages(
    page: Page, wire: Wire
) -> None:
    page.open(f"{wire.url}functions/new?lang=ru")
    wait_text(page, "h1", "Написать функцию")
    assert violations(page) == []
    write(page, ENDLESS)
    page.click("button", "Перевести и выполнить")
    wait_text(page, "#status", "была остановлена", timeout=BOOT_SECONDS)
    assert "secret_sum.py" in text(page, "#command")
    assert violations(page) == []
    write(page, "print(1)")
    page.click("button", "Перевести и выполнить")
    assert wait_for(page, "find('#problems').checkVisibility()")
    assert violations(page) == []


@pytest.mark.deep
def test_who_used_the_page_twice_needs_no_network(page: Page, wire: Wire) -> None:
    """The second visit is the first whose files pass through the service worker that a press registers."""
    page.open(f"{wire.url}functions/new?lang=en")
    wait_text(page, "h1", "Write a function")
    assert not page.evaluate("return await navigator.serviceWorker.getRegistration()"), (
        "looking keeps nothing"
    )
    for visit in range(3):
        write(page, SOURCE)
        page.click("button", "Translate and run")
        wait_text(page, "#status", "Done.", timeout=BOOT_SECONDS)
        wait_for(page, "!!navigator.serviceWorker.controller")
        if visit == 1:
            wire.cut()
        page.reload()
        wait_text(page, "h1", "Write a function")
