"""Pictures of every section and state: `python -m e2e.screenshots --out DIR`. To be looked at, not compared.

axe looks at every state as well; the command ends with 1 if it finds something or a page is wider than its window.
Real results: the page measures, telemetry is turned on, a crowd's reports made versions for the dashboard.
`DIR/index.html` shows them all; `DIR/sheets/` has one picture a section and language. `--only` names scenes.
`--readme FILE` makes the README's picture and no other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from e2e.drivers.base import wait_for, wait_text
from e2e.drivers.playwright_driver import PlaywrightBrowser
from e2e.engines import ENGINES
from e2e.scenes import SCENES
from e2e.server import Server
from e2e.steps import TRAIN_SECONDS, crowd
from e2e.studio import Studio

LANGUAGES = ("en", "ru")
# What a browser may lack, and what the page says of it where.
LACKING = {"nowasm": "#notices", "nosimd": "#environment", "nostorage": "#notices", "gpc": "#consentState"}
CROWD = 300
VERSIONS = "(await (await fetch('api/metrics')).json()).versions.length"
STYLE = "body { background: #888 } p { display: flex; gap: 8px; align-items: start } img { zoom: .6 }"


def _lacking(studio: Studio, what: str) -> None:
    """A browser that lacks something, or says that nothing may be sent."""
    page = studio.home()
    wait_for(page, "find(a[0]).innerText.trim() && !find('#refuse').disabled", LACKING[what])
    studio.take(page, f"state-{what}", ".hero", "#privacy")
    page.close()


def _trial(browser: PlaywrightBrowser, server: Server) -> None:
    """A crowd's reports make a version, which somebody has to be there to try."""
    watching = browser.new_page()
    watching.open(server.url)
    wait_text(watching, "#liveState", "Connected")
    crowd(server, CROWD)
    wait_for(watching, f"{VERSIONS} > 1", timeout=TRAIN_SECONDS)


def _readme(file: Path) -> int:
    """The page as a first visitor sees it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        Server(Path(data)) as server,
        ENGINES["chromium"].launch() as browser,
    ):
        assert isinstance(browser, PlaywrightBrowser)
        page = Studio(browser, server, file.parent, "en", 0).home()
        page.look(1100, 720, color_scheme="light", reduced_motion="reduce")
        page.evaluate(
            "document.querySelector('.hero').style.padding = '2rem'"
        )  # room around it in the README
        page.picture(".hero", file)
    return 0


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
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path)
    where.add_argument("--readme", type=Path, help="docs/page.png")
    parser.add_argument("--measure", type=int, default=15, help="seconds of measuring before the pictures")
    parser.add_argument("--only", help="of " + ", ".join(("lacking", *SCENES)))
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    args = parser.parse_args()
    if args.readme:
        return _readme(args.readme)
    args.out.mkdir(parents=True, exist_ok=True)
    wanted = args.only.split(",") if args.only else ("lacking", *SCENES)
    pictures: list[Path] = []
    faults: list[str] = []
    with (
        tempfile.TemporaryDirectory() as data,
        Server(
            Path(data) / "data", retrain_packets=CROWD, hold_seconds=60, rollout_clients=1, push_origins="*"
        ) as server,
    ):
        # Playwright drives one browser at a time.
        for what in LACKING if "lacking" in wanted else ():
            with ENGINES[f"chromium-{what}"].launch() as browser:
                assert isinstance(browser, PlaywrightBrowser)
                for language in args.languages.split(","):
                    _lacking(
                        Studio(browser, server, args.out, language, args.measure, pictures, faults), what
                    )
        with ENGINES["chromium"].launch() as browser:
            assert isinstance(browser, PlaywrightBrowser)
            if "dashboard" in wanted:
                _trial(browser, server)
            for name in SCENES:
                for language in args.languages.split(",") if name in wanted else ():
                    browser.fresh()
                    SCENES[name](Studio(browser, server, args.out, language, args.measure, pictures, faults))
    print(f"{len(pictures)} pictures in {args.out}, {len(faults)} faults", *faults, sep="\n", file=sys.stderr)
    # A new browser: after hundreds of pictures it may refuse a large one.
    with ENGINES["chromium"].launch() as browser:
        assert isinstance(browser, PlaywrightBrowser)
        _sheets(browser, args.out, pictures)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
