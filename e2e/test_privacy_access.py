"""Journey: the choice, for everyone: axe finds nothing, the keyboard is enough, and focus comes back."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page as PlaywrightTab

from e2e.axe import violations
from e2e.drivers.base import FIND, Page, wait_for, wait_text
from e2e.embedder import Embedder, policy
from e2e.steps import open_home, wait_refused
from e2e.wire import Wire

HOST = """
import { connect } from "SERVERfleetune.js";
window.tuner = await connect();
document.querySelector("#ask").addEventListener("click", async () => {
  window.answer = (await tuner.consent.request({ lang: "en" })).state;
});
window.ready = true;
"""
HTML = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Embedder</title>
<main><h1>Embedder</h1><button id="ask">Ask</button></main>
<script type="module" src="/host.js"></script></html>"""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
STATES = {"": "You have not chosen yet", "Keep off": r"is off\.$", "Turn on": "Telemetry is on"}
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dark": {"color_scheme": "dark"},
    "reduced motion": {"reduced_motion": "reduce"},
    "forced colours": {"forced_colors": "active"},
}
# Two elements' boxes and computed styles; a[2], if given, is shown for it.
LOOKS = """
if (a[2]) find(a[2]).hidden = false;
const differ = /^(inline-size|block-size|width|height|perspective-origin|transform-origin|grid-.*|order)$/;
const looks = (node) => {
  const { width, height } = node.getBoundingClientRect();
  const style = getComputedStyle(node);
  const shown = [...style].filter((name) => !differ.test(name)).map((name) => [name, style[name]]);
  return { width, height, tag: node.tagName, disabled: node.disabled, style: Object.fromEntries(shown) };
};
return [looks(find(a[0])), looks(find(a[1]))];
"""
CUT_OFF = """
const wide = document.documentElement.clientWidth;
return [find(a[0]), ...find(a[0]).querySelectorAll("*")].filter((node) => {
  const { left, right, width } = node.getBoundingClientRect();
  const hides = getComputedStyle(node).overflowX === "hidden" && node.scrollWidth > node.clientWidth + 1;
  return width > 0 && (left < -0.5 || right > wide + 0.5 || hides);
}).map((node) => node.outerHTML.slice(0, 80));
"""
MOVING = """
const nodes = [find(a[0]), ...find(a[0]).querySelectorAll("*")];
const moves = (node) => {
  const { animationName: name, transitionDuration: seconds } = getComputedStyle(node);
  return name !== "none" || !/^0s(, 0s)*$/.test(seconds) || node.getAnimations().length > 0;
};
return nodes.filter(moves).map((node) => node.outerHTML.slice(0, 80));
"""
LOOKS, CUT_OFF, MOVING = FIND + LOOKS, FIND + CUT_OFF, FIND + MOVING

pytestmark = [pytest.mark.deep, pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))]


def assert_equal(yes: dict[str, Any], no: dict[str, Any]) -> None:
    """As wide, as high, as bright: two buttons that nobody meant to be chosen before the other."""
    for side in ("width", "height"):
        assert abs(yes[side] - no[side]) < 1, side
    assert yes["height"] >= 44, "a target large enough for every finger"
    assert (yes["tag"], yes["disabled"]) == (no["tag"], no["disabled"])
    unlike = {name for name in yes["style"] if yes["style"][name] != no["style"].get(name)}
    assert unlike == set()


def tab(page: Page) -> PlaywrightTab:
    """The driver's own tab, for keys and sizes."""
    own: PlaywrightTab = page._page  # type: ignore[attr-defined]
    return own


def test_axe_finds_nothing_in_consent_and_packet_cards(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    assert violations(page, "#privacy") == []
    page.click("button", "Turn on")
    wait_text(page, "#consentState", "Telemetry is on")
    wait_for(page, "!find('#satisfactionCard').hidden")
    assert violations(page, "#privacy") == []
    page.evaluate("document.querySelectorAll('#privacy details').forEach((one) => (one.open = true))")
    assert violations(page, "#privacy") == []


def test_axe_finds_nothing_on_the_home_page_whatever_was_chosen(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    for choice, state in STATES.items():
        if choice:
            page.click("button", choice)
        wait_for(page, f"/{state}/.test(find('#consentState').innerText.trim())")
        assert violations(page) == [], state


@pytest.mark.only_in(("chromium", "isolated"))
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("mode", MODES)
def test_yes_and_no_are_equal_in_every_mode(page: Page, wire: Wire, mode: str, width: int) -> None:
    """The two buttons differ in their words and place alone, in the card and in the dialog; nothing moves."""
    tab(page).set_viewport_size({"width": width, "height": 800})
    tab(page).emulate_media(**MODES[mode])
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    assert_equal(*page.evaluate(LOOKS, "#accept", "#refuse"))
    assert_equal(*page.evaluate(LOOKS, "#satisfied", "#unsatisfied", "#satisfactionCard"))
    card = page.evaluate(CUT_OFF, "#consentCard")
    assert card == [], "nothing of the card is cut off or beyond the screen"
    assert violations(page, "#consentCard") == []
    if mode == "reduced motion":
        assert page.evaluate(MOVING, "#privacy") == []

    files = {"/": HTML, "/host.js": HOST.replace("SERVER", wire.url)}
    with Embedder(files, policy(wire.url)) as site:
        page.open(f"{site.origin}/")
        wait_for(page, "window.ready")
        page.click("button", "Ask")
        wait_for(page, "find('dialog')?.open")
        yes, no = "dialog .equal button:first-child", "dialog .equal button:last-child"
        assert_equal(*page.evaluate(LOOKS, yes, no))
        assert page.evaluate(CUT_OFF, "dialog") == []
        assert violations(page) == []
        if mode == "reduced motion":
            assert page.evaluate(MOVING, "dialog") == []


@pytest.mark.only_in(("chromium", "isolated"))
def test_unequal_buttons_would_be_noticed(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    page.evaluate("document.querySelector('#accept').classList.add('primary')")
    with pytest.raises(AssertionError):
        assert_equal(*page.evaluate(LOOKS, "#accept", "#refuse"))


@pytest.mark.parametrize("language", ["en", "ru"])
def test_axe_finds_nothing_in_the_policy(page: Page, wire: Wire, language: str) -> None:
    page.open(f"{wire.url}privacy?lang={language}")
    assert violations(page) == []


def test_the_choice_is_made_and_withdrawn_by_keyboard_alone(page: Page, wire: Wire) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    keys = tab(page).keyboard
    page.evaluate("document.querySelector('#enableTelemetry').focus()")
    keys.press("Space")
    wait_text(page, "#consentState", "Telemetry is on")
    for expected in ("strict", "What is ε?", "accept", "refuse"):
        keys.press("Tab")
        assert (
            page.evaluate("return document.activeElement.id || document.activeElement.innerText") == expected
        )
    keys.press("Enter")
    wait_refused(page)
    assert page.evaluate("return document.activeElement.id") == "refuse", "the focus stays where it was"


def test_at_four_hundred_percent_the_policy_is_not_cut_off(page: Page, wire: Wire) -> None:
    """1280 pixels at 400 % are 320 wide (WCAG 1.4.10)."""
    tab(page).set_viewport_size({"width": 320, "height": 640})
    page.open(f"{wire.url}privacy")
    wait_for(page, "document.readyState === 'complete'")
    assert page.evaluate(OVERFLOW) <= 0
    assert violations(page) == []


def test_the_dialog_gives_the_focus_back(page: Page, wire: Wire) -> None:
    files = {"/": HTML, "/host.js": HOST.replace("SERVER", wire.url)}
    with Embedder(files, policy(wire.url)) as site:
        page.open(f"{site.origin}/")
        wait_for(page, "window.ready")
        keys = tab(page).keyboard
        page.evaluate("document.querySelector('#ask').focus()")
        keys.press("Enter")
        wait_for(page, "find('dialog')?.open")
        assert violations(page) == []
        keys.press("Escape")
        wait_for(page, "window.answer")
        assert page.evaluate("return [answer, document.activeElement.id]") == ["undecided", "ask"]
