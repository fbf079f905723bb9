"""Journey: a stranger who wants to know. From the home page to a function, the data and the changes, no scripts."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.steps import open_home
from e2e.wire import Wire

pytestmark = pytest.mark.deep
LINKS = "return [...document.querySelectorAll('tbody th a')].map((link) => link.textContent)"
LOADED = "return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
OWN_FILES = {"/static/shared/style.css", "/static/shared/icon.svg"}


def plain(page: Page) -> None:
    """Nothing was loaded but the page, its style and its icon; axe finds nothing."""
    assert set(page.evaluate(LOADED)) <= OWN_FILES
    assert page.evaluate("return document.scripts.length") == 0
    assert violations(page) == []
    assert page.console() == []


def test_a_function_is_found_by_task_and_read_without_scripts(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("link", "Functions")
    wait_text(page, "h1", "Which build is fastest where")
    assert len(page.evaluate(LINKS)) == 28
    plain(page)

    page.fill("#q", "checksum")
    page.click("button", "Find")
    wait_text(page, "[role=status]", "2 of 28 functions")
    assert page.evaluate(LINKS) == ["crc32", "fnv1a64"]
    plain(page)

    page.click("link", "crc32")
    wait_text(page, "h1", "crc32")
    assert "lab data" in text(page, ".answers tbody tr")
    assert wait_for(page, "find('svg.chart').getBoundingClientRect().height > 200")
    plain(page)
    page.click("link", "Русский")
    wait_text(page, "h1", "самая быстрая сборка")
    page.click("link", "Все функции")
    wait_text(page, "h1", "Какая сборка где быстрее")  # the language stays on links
    plain(page)


def test_the_data_and_the_changes_are_a_link_away_and_the_days_file_is_there(page: Page, wire: Wire) -> None:
    page.open(f"{wire.url}functions?lang=en")
    page.click("link", "Data")
    wait_text(page, "h1", "The data, every day")
    plain(page)
    address = str(page.evaluate("return document.querySelector('tbody a').href"))
    assert urlsplit(address).path.endswith(".json")
    document = page.evaluate("return (await fetch(a[0])).json()", address)
    assert document["licence"] == "CC0-1.0"
    assert document["rows"] == [], "nobody has reported yet"
    page.click("link", "Changes")
    wait_text(page, "main", "No sure change has been seen so far.")
    plain(page)
