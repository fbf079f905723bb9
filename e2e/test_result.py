"""Journey: result. A run ends with its result in view; it survives a language, a reload, and goes along as a file."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from statistics import mean
from xml.etree import ElementTree

import httpx
import pytest

from e2e.axe import violations
from e2e.drivers.base import Browser, Page, text, wait_for, wait_text, wait_until
from e2e.steps import BOOT_SECONDS, THOROUGH, measure_a_little, open_home
from e2e.wire import Wire

CARD = """
const part = (id) => document.querySelector(`#${a[0]}${id}`).textContent;
return [part("Speedup"), part("Interval"), part("Sentence")];
"""
LINK = "return document.querySelector('#resultLink a')?.href ?? ''"
# What a press on a download button would save: the page's own link, looked into before its address is let go.
SAVED = """
const made = URL.createObjectURL;
let blob;
URL.createObjectURL = (one) => made.call(URL, (blob = one));
document.querySelector(a[0]).click();
URL.createObjectURL = made;
return blob.text();
"""
IN_VIEW = """(() => {
  const box = find("#outcomeSpeedup").getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
})()"""
HEARD = """
window.heard = [];
new MutationObserver(() => window.heard.push(document.querySelector("#said").textContent)).observe(
  document.querySelector("#said"), { childList: true, characterData: true, subtree: true });
"""


def headline(rows: list[dict[str, str]]) -> float:
    """The geometric mean over functions of the choice over the better JavaScript, from the saved table."""
    cells: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in (row for row in rows if row["headline"] == "true"):
        cells.setdefault((row["function"], row["data"], row["size"]), []).append(row)
    logs: dict[str, list[float]] = {}
    for (kernel, _, _), candidates in cells.items():
        speeds = {row["candidate"]: float(row["speedup"]) for row in candidates if row["speedup"]}
        (chosen,) = (row["candidate"] for row in candidates if row["chosen"] == "true")
        better = max(speeds.get(name, 0) for name in ("js", "js-tuned"))
        logs.setdefault(kernel, []).append(math.log(speeds[chosen] / better))
    return math.exp(mean(mean(one) for one in logs.values()))


def test_a_run_survives_a_language_and_a_reload_and_ends_with_its_result(page: Page, wire: Wire) -> None:
    """What it fetches is what the page said, within a tenth: the kernels that are tried first, the model and the
    workers' scripts are not in it."""
    boot = f"{wire.url}api/boot.json"
    wait_until(lambda: httpx.get(boot).json()["measuringBytes"], "the server has counted")
    open_home(page, wire)
    (claimed,) = re.findall(r"after ([0-9.]+) MB are fetched", wait_text(page, "#runHint", "are fetched"))
    received = wire.received
    assert page.evaluate("return document.querySelector('#outcome').hidden") is True
    page.evaluate(HEARD)
    page.evaluate("window.neverReloaded = true")
    page.click("button", THOROUGH)
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    fetched = (wire.received - received) / 1e6
    assert abs(fetched / float(claimed) - 1) < 0.1, (fetched, claimed)
    page.choose("#language", "ru")
    wait_text(page, "#run", "Измерить этот браузер")
    before = page.evaluate("return document.querySelector('#progress').value")
    wait_for(page, "find('#progress').value > a[0]", before, timeout=BOOT_SECONDS)
    assert re.search("[а-я]{4}", text(page, "#consentState"))
    assert (
        page.evaluate("return document.querySelector('footer a').getAttribute('href')") == "privacy?lang=ru"
    )
    page.choose("#language", "en")
    page.click("button", "Stop")
    wait_for(page, "!find('#run').disabled")
    wait_for(page, IN_VIEW)
    assert page.evaluate("return window.neverReloaded && document.activeElement.id") == "outcome-title"
    heard = page.evaluate("return window.heard")
    assert heard[0] == "Measuring has started."
    assert heard[-1].startswith("Measuring is done.")
    assert text(page, "#outcomeSpeedup") in heard[-1]

    rows = list(csv.DictReader(io.StringIO(page.evaluate(SAVED, "#saveCsv"))))
    shown = float(text(page, "#outcomeSpeedup").rstrip("×"))
    assert abs(headline(rows) - shown) <= 0.006 * max(1, shown)
    saved = json.loads(page.evaluate(SAVED, "#saveJson"))
    assert len(saved["measurements"]) == len(rows)
    made_of = {(row["function"], row["data"], row["size"]) for row in rows if row["headline"] == "true"}
    assert saved["result"]["contexts"] == len(made_of)

    page.reload()
    wait_for(page, "!find('#outcome').hidden")
    assert float(text(page, "#outcomeSpeedup").rstrip("×")) == shown


@pytest.mark.deep
def test_a_link_opens_the_same_result_elsewhere_and_a_bad_one_breaks_nothing(
    browser: Browser, page: Page, wire: Wire
) -> None:
    open_home(page, wire)
    measure_a_little(page)
    page.evaluate("document.querySelector('#copyLink').click()")
    wait_for(page, "find('#resultLink a')")
    link, mine = str(page.evaluate(LINK)), page.evaluate(CARD, "outcome")
    picture = ElementTree.fromstring(page.evaluate(SAVED, "#savePicture"))
    assert mine[0] in [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    before = len(wire.requests)

    browser.fresh()  # another device
    other = browser.new_page()
    other.open(link)
    wait_for(other, "!find('#shared').hidden")
    assert other.evaluate(CARD, "shared") == mine
    assert other.evaluate("return document.querySelector('#outcome').hidden") is True
    other.evaluate("document.querySelector('#shared details').open = true")
    assert violations(other) == []
    other.choose("#language", "ru")
    wait_text(other, "#sharedTitle", "Чужой результат")
    assert violations(other) == []
    other.evaluate("location.hash = location.hash.slice(0, -3)")
    wait_text(other, "#notices", "повреждена или обрезана")
    assert other.evaluate("return document.querySelector('#shared').hidden") is True
    wait_for(other, "/^[1-9]/.test(find('#modelVersion')?.innerText ?? '') && !find('#run').disabled")
    assert other.console() == []
    other.evaluate("location.hash = '#results'")
    wait_for(other, "!find('#notices').textContent.includes('повреждена')")
    figures = link.partition("#")[2]
    for request in wire.requests[before:]:
        assert figures not in request.path + str(request.headers) + request.body.decode("latin-1")


@pytest.mark.deep
def test_leaving_in_the_middle_of_a_run_keeps_what_was_measured(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.click("button", THOROUGH)
    wait_text(page, "#resultsEmpty", "Measured in this browser", timeout=BOOT_SECONDS)
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    page.reload()
    wait_for(page, "!find('#outcome').hidden")
    wait_text(page, "#resultsEmpty", "Measured in this browser")
