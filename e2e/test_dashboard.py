"""Journey: the dashboard. A crowd's reports become a version on trial; every panel has table and files."""

from __future__ import annotations

import json

import pytest

from e2e.axe import violations
from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.server import ROOT, Server
from e2e.steps import TRAIN_SECONDS, crowd, open_home
from e2e.wire import Wire

CROWD = 200
SETTINGS = {"retrain_packets": CROWD, "hold_seconds": 60, "rollout_clients": 1, "rollout_seconds": 3600}
SIMULATION = ROOT / "server" / "fleetune_server" / "http" / "simulation.json"
PANELS = ("quality-panel", "recorded", "simulated", "packets", "published", "latency")
pytestmark = [pytest.mark.deep, pytest.mark.only_in(("chromium", "isolated"), ("firefox", "isolated"))]
# Keeps what a download would have saved: file names and contents.
CATCH_DOWNLOADS = """
window.saved = {};
const urls = new Map(), make = URL.createObjectURL;
URL.createObjectURL = (blob) => { const url = make(blob); urls.set(url, blob); return url; };
HTMLAnchorElement.prototype.click = function () {
  const { download } = this;
  urls.get(this.href).text().then((content) => (window.saved[download] = content));
};
"""


def open_dashboard(page: Page, wire: Wire, language: str = "en") -> None:
    page.open(f"{wire.url}dashboard?lang={language}")
    wait_for(page, "document.querySelectorAll('#heat tbody tr').length > 0")


def test_a_version_on_trial_is_said_and_everything_has_a_table_and_files(
    page: Page, wire: Wire, server: Server
) -> None:
    open_home(page, wire)
    wait_text(page, "#liveState", "Connected")
    crowd(server, CROWD)
    versions = "(await (await fetch('api/metrics')).json()).versions.length"
    wait_for(page, f"{versions} > 1", timeout=TRAIN_SECONDS)

    open_dashboard(page, wire)
    assert "Version 2 is on trial" in text(page, "#trial")
    assert "on trial" in text(page, "#versionsTable")
    assert text(page, "#dAccuracy").endswith("%")
    assert "95%" in text(page, "#dRegretRange")
    shown = page.evaluate(
        "return a[0].filter((id) => !document.querySelector(`#${id} .below`).hidden)", PANELS
    )
    assert {"quality-panel", "packets", "published", "latency"} <= set(shown)
    assert ("simulated" in shown) is SIMULATION.is_file()
    page.evaluate(CATCH_DOWNLOADS)
    for panel in shown:
        table = f"#{panel} table tbody tr"
        assert page.evaluate("return document.querySelectorAll(a[0]).length", table) > 0, panel
        page.evaluate(
            "document.querySelectorAll(`#${a[0]} .actions button`).forEach((b) => b.click())", panel
        )
    for button in ("heatCsv", "heatJson", "csv"):
        page.evaluate("document.getElementById(a[0]).click()", button)
    files = [f"fleetune-{panel}.{kind}" for panel in (*shown, "best") for kind in ("csv", "json")]
    wait_for(page, "a[0].every((name) => window.saved[name])", [*files, "fleetune-versions.csv"])
    saved: dict[str, str] = page.evaluate("return window.saved")
    for name in files:
        lines = saved[name].splitlines() if name.endswith("csv") else json.loads(saved[name])
        assert len(lines) > int(name.endswith("csv")), name
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert violations(page) == []


def test_the_simulation_says_how_it_was_made(page: Page, wire: Wire) -> None:
    open_dashboard(page, wire)
    if not SIMULATION.is_file():
        assert "No simulation is committed" in text(page, "#simulated")
        return
    made = json.loads(SIMULATION.read_text())
    assert made["command"] in text(page, "#simulatedHow")
    wait_for(page, "!find('#simulated .plot').hidden")
    rows = page.evaluate("return document.querySelectorAll('#simulated tbody tr').length")
    assert rows == len(made["curve"])


def test_the_pickers_redraw_and_the_words_are_the_visitors(page: Page, wire: Wire) -> None:
    open_dashboard(page, wire, "ru")
    assert page.evaluate("return document.documentElement.lang") == "ru"
    before = text(page, "#heat tbody td")
    page.choose("#heatBy", "doubt")
    wait_for(page, "find('#heat tbody td').innerText !== a[0]", before)
    page.choose("#metric", "regret")
    wait_for(page, "find('#quality-panel thead').textContent.includes(a[0])", "потеря")
    page.choose("#over", "reports")
    wait_for(page, "find('#quality-panel canvas')")
    assert page.console() == []


def test_when_the_server_goes_the_dashboard_says_so_and_recovers(page: Page, wire: Wire) -> None:
    open_dashboard(page, wire)
    wire.cut()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back to the tab: it asks again
    wait_text(page, "#notices", "cannot be reached")
    assert text(page, "#dVersion"), "what was known stays"
    assert violations(page) == []
    wire.mend()
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_for(page, "!find('#notices').innerText")
