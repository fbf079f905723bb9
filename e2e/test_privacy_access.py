"""Journey: the choice, for everyone: axe finds nothing, the keyboard is enough, and focus comes back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page as PlaywrightTab

from e2e.axe import violations
from e2e.drivers.base import Page, wait_for, wait_text
from e2e.embedder import Embedder, policy
from e2e.steps import open_home
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

pytestmark = pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))


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
    for expected in ("strict", "accept", "refuse"):
        keys.press("Tab")
        assert page.evaluate("return document.activeElement.id") == expected
    keys.press("Enter")
    wait_text(page, "#consentState", "Telemetry is off.")
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
