"""The browsers of this machine: found here for `fleetune kernels check`, the journeys and the lab."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class MissingBrowserError(Exception):
    """There is no such browser; the message says what to install."""


@dataclass(frozen=True)
class Family:
    """What a browser is called."""

    programs: tuple[str, ...]  # in order of preference; the first one is also Debian's package
    variable: str  # of the environment: a path that is taken instead


# Chromium's headless shell comes first, as in Playwright: the whole browser draws its own windows too.
FAMILIES: Mapping[str, Family] = {
    "chromium": Family(
        ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"), "FLEETUNE_CHROMIUM"
    ),
    "firefox": Family(("firefox-esr", "firefox"), "FLEETUNE_FIREFOX"),
}
WEBKIT_PACKAGES = ("webkit2gtk-driver", "libwebkit2gtk-4.1-0", "xvfb")


def find(name: str) -> str | None:
    """The path of the system's browser; None if Playwright has its own; MissingBrowserError if neither."""
    family = FAMILIES[name]
    if named := os.environ.get(family.variable):
        if path := shutil.which(named):
            return path
        raise MissingBrowserError(f"{family.variable} is {named}, which is not a program")
    path = next(filter(None, map(shutil.which, family.programs)), None)
    if path is None and not any(_playwrights().glob(f"{name}-*")):
        raise MissingBrowserError(
            f"{name} is missing. Debian or Ubuntu: apt-get install {family.programs[0]}; elsewhere: "
            f"{sys.executable} -m playwright install {name}; or set {family.variable} to its path"
        )
    return path


def find_webkit() -> tuple[str, str, str]:
    """(WebKitWebDriver, MiniBrowser, Xvfb) as paths; MissingBrowserError if one is absent."""
    driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    # Debian's libwebkit2gtk has it outside PATH.
    places = ("lib/*/webkit2gtk-4.1/MiniBrowser", "libexec/webkit2gtk-4.1/MiniBrowser")
    outside = (str(hit) for place in places for hit in Path("/usr").glob(place))
    browser = shutil.which("MiniBrowser") or next(outside, None)
    if not (driver and browser and display):
        raise MissingBrowserError(
            f"WebKitGTK is missing. Debian or Ubuntu: apt-get install {' '.join(WEBKIT_PACKAGES)}"
        )
    return driver, browser, display


def _playwrights() -> Path:
    """The folder of the browsers that `playwright install` has brought."""
    cache = Path("Library/Caches") if sys.platform == "darwin" else Path(".cache")
    return Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / cache / "ms-playwright")


def launch(
    driver: Playwright,
    name: str,
    arguments: Sequence[str] = (),
    preferences: Mapping[str, bool | int | str] | None = None,
) -> Browser:
    """Start it headless; MissingBrowserError, or Playwright's error if it does not start.

    `arguments` are Chromium's, `preferences` Firefox's (about:config).
    """
    path = find(name)
    if name == "chromium":
        return driver.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS, *arguments])
    # A stock Firefox speaks WebDriver BiDi; Playwright's patched build needs no channel.
    return driver.firefox.launch(
        executable_path=path,
        channel="moz-firefox" if path else None,
        firefox_user_prefs=dict(preferences or {}),
    )
