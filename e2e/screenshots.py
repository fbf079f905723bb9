"""Pictures of every section and state: `python -m e2e.screenshots --out DIR`. To be looked at, not compared.

Real results: the page measures, telemetry is turned on, a crowd's reports made versions for the dashboard.
`DIR/index.html` shows them all; `DIR/sheets/` has one picture a page, width and language.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from e2e.drivers.base import Page, wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser, PlaywrightPage
from e2e.engines import ENGINES
from e2e.server import Server
from e2e.steps import BOOT_SECONDS, TRAIN_SECONDS, crowd

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "ru")
HOME = ("header.top", ".hero", "#benchmark", "#results", "#together", "#privacy", "#live")
DASHBOARD = ("main > section:first-of-type", "#quality", "#effect", "#best", "#time", "#versions")
CROWD = 300
VERSIONS = "(await (await fetch('api/metrics')).json()).versions.length"
STYLE = "body { background: #888 } p { display: flex; gap: 8px; align-items: start } img { zoom: .6 }"
DRAWN = "document.querySelectorAll(a[0]).length > 0"


def _looks(page: PlaywrightPage, out: Path, name: str, sections: Sequence[str] = ()) -> Iterator[Path]:
    """The page as a whole and section by section, at every width in both schemes."""
    for scheme in SCHEMES:
        for width in WIDTHS:
            page.look(width, color_scheme=scheme, reduced_motion="reduce")
            page.evaluate("await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 150)))")
            for section in ("", *sections):
                part = section.strip("#.").split(" ")[0].split(".")[0] or "whole"
                path = out / f"{name}-{part}-{width}-{scheme}.png"
                if section:
                    page.picture(section, path)
                else:
                    page.screenshot(path)
                yield path


def _measure(page: Page, seconds: int) -> None:
    wait_for(page, "!document.querySelector('#thorough').disabled")
    page.evaluate("document.querySelector('#thorough').click()")
    wait_for(page, "find('#progress').value > 0", timeout=BOOT_SECONDS)
    page.evaluate("await new Promise((next) => setTimeout(next, a[0] * 1000))", seconds)


def _home(
    browser: PlaywrightBrowser, server: Server, out: Path, language: str, seconds: int
) -> Iterator[Path]:
    page = browser.new_page()
    page.open(f"{server.url}?lang={language}")
    wait_for(page, DRAWN, "#resultsTable tbody tr")
    yield from _looks(page, out, f"home-first-{language}")
    page.check("#enableTelemetry")
    _measure(page, seconds)
    yield from _looks(page, out, f"home-measuring-{language}", ("#benchmark",))
    page.evaluate("document.querySelector('#stop').click()")
    wait_for(page, "!find('#packetPreview').hidden && !find('#run').disabled")
    page.evaluate("document.querySelector('#fields').open = true")
    yield from _looks(page, out, f"home-measured-{language}", HOME)
    page.close()


def _states(browser: PlaywrightBrowser, server: Server, out: Path, language: str) -> Iterator[Path]:
    """What goes wrong, and what is small: notices, an explained term, a dead link, the policy."""
    page = browser.new_page()
    page.open(f"{server.url}?lang={language}")
    wait_for(page, DRAWN, "#resultsTable tbody tr")
    page.evaluate("document.querySelector('[data-term=oracle]').focus()")
    yield from _looks(page, out, f"state-term-{language}", ("#results",))
    for path in ("privacy", "nowhere/at/all"):
        page.open(f"{server.url}{path}?lang={language}")
        yield from _looks(page, out, f"{path.partition('/')[0]}-{language}")
    page.close()


def _missing(server: Server, out: Path, engine: str, language: str) -> Iterator[Path]:
    """A browser that lacks something. Playwright drives one browser at a time: it has to be the only one."""
    with ENGINES[engine].launch() as browser:
        assert isinstance(browser, PlaywrightBrowser)
        page = browser.new_page()
        page.open(f"{server.url}?lang={language}")
        wait_for(page, "find('#notices').childElementCount > 0")
        state = f"state-{engine.partition('-')[2]}-{language}"
        yield from _looks(page, out, state, ("#notices", ".hero"))


def _dashboard(browser: PlaywrightBrowser, server: Server, out: Path, language: str) -> Iterator[Path]:
    page = browser.new_page()
    page.open(f"{server.url}dashboard?lang={language}")
    wait_for(page, DRAWN, "#heat tbody tr")
    wait_for(page, DRAWN, "#quality-panel canvas")
    yield from _looks(page, out, f"dashboard-{language}", DASHBOARD)
    page.close()


def _offline(browser: PlaywrightBrowser, server: Server, out: Path, language: str) -> Iterator[Path]:
    """Last: the server goes away."""
    page = browser.new_page()
    page.open(f"{server.url}?lang={language}")
    wait_for(page, DRAWN, "#resultsTable tbody tr")
    server.stop()
    page.evaluate("document.querySelector('#run').click()")
    wait_for(page, "!find('#run').disabled", timeout=BOOT_SECONDS)
    wait_for(page, "find('#liveDot').className.includes('off')")
    yield from _looks(page, out, f"state-offline-{language}", ("#benchmark", "#live"))
    page.close()


def _usual(browser: PlaywrightBrowser, server: Server, out: Path, seconds: int) -> Iterator[Path]:
    """Everything that a browser which lacks nothing shows, in both languages."""
    watching = browser.new_page()  # a trial needs somebody to try
    watching.open(server.url)
    wait_text(watching, "#liveState", "Connected")
    crowd(server, CROWD)
    wait_for(watching, f"{VERSIONS} > 1", timeout=TRAIN_SECONDS)
    for language in LANGUAGES:
        browser.fresh()
        yield from _dashboard(browser, server, out, language)
        yield from _home(browser, server, out, language, seconds)
        yield from _states(browser, server, out, language)
    for language in LANGUAGES:
        browser.fresh()
        yield from _offline(browser, server, out, language)
        server.start()


def _sheets(browser: PlaywrightBrowser, out: Path, pictures: Sequence[Path]) -> None:
    """One page of all pictures, and one picture of the whole pages of each kind."""
    groups: dict[str, list[Path]] = {}
    for picture in pictures:
        groups.setdefault(picture.name.rsplit("-", 2)[0], []).append(picture)
    (out / "sheets").mkdir(exist_ok=True)
    body = ""
    for name, members in groups.items():
        images = "".join(f'<img src="../{escape(path.name)}" alt="">' for path in members)
        sheet = out / "sheets" / f"{name}.html"
        sheet.write_text(f"<!doctype html><title>{escape(name)}</title><style>{STYLE}</style><p>{images}")
        page = browser.new_page()
        page.look(2100, 800)
        page.open(sheet.as_uri())
        page.screenshot(sheet.with_suffix(".png"))
        page.close()
        body += f'<h2>{escape(name)}</h2><p><a href="sheets/{name}.png">{name}</a></p>'
    (out / "index.html").write_text(f"<!doctype html><title>Fleetune</title>{body}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--measure", type=int, default=15, help="seconds of measuring before the pictures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    with (
        tempfile.TemporaryDirectory() as data,
        Server(Path(data) / "data", retrain_packets=CROWD, hold_seconds=60, canary_clients=1) as server,
    ):
        for engine in ("chromium-nowasm", "chromium-nosimd", "chromium-nostorage"):
            for language in LANGUAGES:
                pictures += _missing(server, args.out, engine, language)
        with ENGINES["chromium"].launch() as browser:
            assert isinstance(browser, PlaywrightBrowser)
            pictures += _usual(browser, server, args.out, args.measure)
            _sheets(browser, args.out, pictures)
    print(f"{len(pictures)} pictures in {args.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
