"""Journey: everyone. axe finds nothing in any state, the keyboard reaches everything, nothing overflows."""

from __future__ import annotations

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightPage
from e2e.steps import THOROUGH, measure_a_little, open_home, turn_telemetry_on
from e2e.wire import Wire

pytestmark = pytest.mark.deep
CHROMIUM = pytest.mark.only_in(("chromium", "isolated"))
OVERFLOW = "return document.documentElement.scrollWidth - innerWidth"
FOCUSABLE = """
const every = "a[href], button:enabled, input:enabled, select, summary, [tabindex='0']";
return [...document.querySelectorAll(every)].filter((node) => node.checkVisibility()).length
"""
FOCUSED = """
const node = document.activeElement;
if (node === document.body) return null;
const style = getComputedStyle(node), box = node.getBoundingClientRect();
const seen = node.matches(":focus-visible") && style.outlineStyle !== "none" && style.outlineWidth !== "0px";
return { seen, onScreen: box.bottom > 0 && box.top < innerHeight };
"""
PATHS = ("", "dashboard", "privacy", "functions", "functions/sort", "regressions", "data/", "nowhere/at/all")
READY = {"": "#resultsTable tbody tr", "dashboard": "#heat tbody tr"}
# More than a thousand of the chart's dots stand out from the ground: a share of 3 : 1 in luminance.
SEEN_ON_CANVAS = """(() => {
  const { width, height } = find(a[0]);
  const { data } = find(a[0]).getContext("2d").getImageData(0, 0, width, height);
  const linear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (r, g, b) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
  const ground = light(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number));
  let seen = 0;
  for (let i = 0; i < data.length; i += 4) {
    const here = light(data[i], data[i + 1], data[i + 2]);
    if (data[i + 3] > 200 && Math.max(here, ground) / Math.min(here, ground) >= 3) seen += 1;
  }
  return seen > 1000;
})()"""
BAR_COLOURS = """
const bar = document.createElement("span");
bar.className = "progress-bar";
bar.append(Object.assign(document.createElement("span"), { className: "part" }));
document.body.append(bar);
return [bar.firstChild, bar].map((node) => getComputedStyle(node).backgroundColor);
"""
MOVING = """
return document.getAnimations().filter(({ playState }) => playState === "running").length
  + (getComputedStyle(document.documentElement).scrollBehavior === "smooth" ? 1 : 0);
"""


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_on_a_page(page: Page, wire: Wire, path: str, language: str) -> None:
    page.open(f"{wire.url}{path}?lang={language}")
    if path == "":
        wait_for(page, "performance.getEntriesByName('choice').length > 0")
    if path == "dashboard":
        wait_for(page, "document.querySelectorAll('#heat tbody tr').length > 0")
    assert violations(page) == []


def test_axe_finds_nothing_while_measuring_and_after_with_a_packet_to_send(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    turn_telemetry_on(page)
    measure_a_little(page)
    wait_for(page, "!find('#packetPreview').hidden")
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert violations(page) == []
    if isinstance(page, PlaywrightPage):
        page.look(320, 256, color_scheme="dark")
        assert page.evaluate(OVERFLOW) <= 0
        assert violations(page) == []
        page.look(1280, color_scheme="light")
    page.click("button", THOROUGH)
    wait_for(page, "!find('#stop').disabled")
    assert violations(page) == []
    page.click("button", "Stop")
    wait_for(page, "!find('#run').disabled")


@CHROMIUM
@pytest.mark.parametrize("path", ["", "dashboard"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page, wire: Wire, path: str) -> None:
    assert isinstance(page, PlaywrightPage)
    page.open(wire.url + path)
    wait_for(page, "document.querySelectorAll(a[0]).length > 0", READY[path])
    page.look(1280, reduced_motion="reduce")
    reached = 0
    page.press("Tab")
    while focus := page.evaluate(FOCUSED):
        assert focus["seen"], f"stop {reached}: no focus ring"
        assert focus["onScreen"], f"stop {reached}: out of view"
        reached += 1
        assert reached < 200, "the keyboard is caught"
        page.press("Tab")
    assert reached >= page.evaluate(FOCUSABLE)


@CHROMIUM
def test_a_term_is_explained_by_the_keyboard_and_escape_closes_it(page: Page, wire: Wire) -> None:
    assert isinstance(page, PlaywrightPage)
    open_home(page, wire)
    page.evaluate("document.querySelector('[data-term=oracle]').focus()")
    wait_text(page, "#tip", "Best possible")
    assert violations(page) == []
    page.press("Escape")
    wait_for(page, "find('#tip').hidden")


@CHROMIUM
@pytest.mark.parametrize("path", ["", "dashboard"])
def test_forced_colours_leave_charts_and_bars_to_be_seen(page: Page, wire: Wire, path: str) -> None:
    assert isinstance(page, PlaywrightPage)
    page.look(1280, color_scheme="dark", forced_colors="active")
    page.open(wire.url + path)
    chart = "#quality-panel canvas" if path else "#chart canvas"
    wait_for(page, "find(a[0])", chart)
    wait_for(page, SEEN_ON_CANVAS, chart)
    filled, empty = page.evaluate(BAR_COLOURS)
    assert filled != empty


@CHROMIUM
@pytest.mark.parametrize("media", [{"color_scheme": "dark"}, {"forced_colors": "active"}], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_at_400_percent_in_dark_and_forced_colours_nothing_overflows_or_fails(
    page: Page, wire: Wire, path: str, media: dict[str, str]
) -> None:
    assert isinstance(page, PlaywrightPage)
    page.open(wire.url + path)
    wait_for(page, "document.querySelectorAll(a[0]).length > 0", READY.get(path, "h1"))
    page.look(320, 256, reduced_motion="reduce", **media)  # 1280 × 1024 at 400 %
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(MOVING) == 0
    assert violations(page) == []
