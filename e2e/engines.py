"""The table of browser environments: how each is launched, and what must be seen before it is believed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.drivers.base import Browser, DriverError, Page

TIER_PROBE = (Path(__file__).parent / "tier_probe.js").read_text()
# Lockdown Mode has no WebAssembly; private windows and policies may refuse storage with a SecurityError.
NO_WASM = "delete globalThis.WebAssembly;"
NO_STORAGE = """
const refuse = () => { throw new DOMException("The operation is insecure.", "SecurityError"); };
Object.defineProperty(globalThis, "indexedDB", { get: refuse });
Object.defineProperty(globalThis, "caches", { get: refuse });
"""
# Chromium has no Global Privacy Control: as extensions add it, to pages (not workers) and requests.
PRIVACY_SIGNAL = """
Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true, configurable: true });
"""
TIER_ATTEMPTS = 4
TIER_BOUND = 1.5  # WebAssembly ÷ JavaScript time of one float loop; measured: see e2e/README.md


class MissingEngineError(DriverError):
    """A browser that is to be driven is not installed; the message says what to install."""


@dataclass(frozen=True)
class Engine:
    """One browser environment: a family, its switches, and the state that proves they took effect."""

    name: str
    family: str
    arguments: tuple[str, ...] = ()  # command-line switches (Chromium)
    preferences: Mapping[str, bool | int | str] = field(default_factory=dict)  # about:config (Firefox)
    environment: Mapping[str, str] = field(default_factory=dict)  # process environment (WebKit)
    simd: bool = True
    relaxed_simd: bool = True
    optimising: bool = True  # WebAssembly's optimising tier is on
    script: str = ""  # run in every page before its own scripts
    headers: Mapping[str, str] = field(default_factory=dict)  # added to every request (Chromium)
    privacy_signal: bool = False  # Global Privacy Control
    lab: bool = True  # a kind of browser that the lab measures in, not a state of the page

    @property
    def wire_browser(self) -> str:
        """`environment.browser` of its lab rows; a baseline tier is a browser found only in the lab."""
        return self.name if not self.optimising else self.family

    @property
    def switches(self) -> list[str]:
        """Every switch as one string, for records."""
        return [
            *self.arguments,
            *(f"{key}={str(value).lower()}" for key, value in self.preferences.items()),
            *(f"{key}={value}" for key, value in self.environment.items()),
        ]

    def launch(self) -> Browser:
        """Start the browser; MissingEngineError says what to install."""
        return LAUNCHERS[self.family](self)

    def prove(self, page: Page) -> dict[str, Any]:
        """Look for the switches' effect from inside `page`; DriverError if one is not there.

        Features are validated; a compiler tier shows only in time, so one float loop in WebAssembly is put
        against the same loop in JavaScript (which keeps all its tiers) in the same page. What another process
        disturbed is measured again; a wrong tier stays wrong."""
        for _attempt in range(TIER_ATTEMPTS):
            seen: dict[str, Any] = page.evaluate(TIER_PROBE)
            if (seen["ratio"] < TIER_BOUND) == self.optimising:
                break
        wrong = [
            f"{what} is {seen[what]}, expected {expected}"
            for what, expected in (("simd", self.simd), ("relaxedSimd", self.relaxed_simd))
            if seen[what] != expected
        ]
        if (seen["ratio"] < TIER_BOUND) != self.optimising:
            tier = "optimising" if self.optimising else "baseline"
            wrong.append(f"float loop WebAssembly ÷ JavaScript is {seen['ratio']:.2f}: not the {tier} tier")
        if wrong:
            raise DriverError(f"{self.name}: {'; '.join(wrong)}")
        return seen


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("chromium", "chromium"),
        Engine("firefox", "firefox"),
        Engine("webkit", "webkit", relaxed_simd=False),
        Engine("chromium-baseline", "chromium", arguments=("--js-flags=--liftoff-only",), optimising=False),
        Engine(
            "chromium-nosimd",
            "chromium",
            arguments=("--js-flags=--no-enable-sse4-1",),
            simd=False,
            relaxed_simd=False,
        ),
        Engine(
            "firefox-baseline",
            "firefox",
            preferences={"javascript.options.wasm_optimizingjit": False},
            optimising=False,
        ),
        Engine(
            "webkit-baseline",
            "webkit",
            environment={"JSC_useOMGJIT": "0"},
            relaxed_simd=False,
            optimising=False,
        ),
        # These take a feature away; Chromium has no switch for storage: pages (not workers) are refused it.
        Engine("chromium-nowasm", "chromium", script=NO_WASM, simd=False, relaxed_simd=False, lab=False),
        Engine("chromium-nostorage", "chromium", script=NO_STORAGE, lab=False),
        Engine(
            "webkit-nowasm",
            "webkit",
            environment={"JSC_useWasm": "0"},
            simd=False,
            relaxed_simd=False,
            lab=False,
        ),
        Engine("firefox-nowasm", "firefox", script=NO_WASM, simd=False, relaxed_simd=False, lab=False),
        Engine(
            "webkit-nosimd",
            "webkit",
            environment={"JSC_useWasmSIMD": "0"},
            simd=False,
            relaxed_simd=False,
            lab=False,
        ),
        Engine("firefox-nostorage", "firefox", preferences={"network.cookie.cookieBehavior": 2}, lab=False),
        Engine(
            "chromium-gpc",
            "chromium",
            script=PRIVACY_SIGNAL,
            headers={"Sec-GPC": "1"},
            privacy_signal=True,
            lab=False,
        ),
        Engine(
            "firefox-gpc",
            "firefox",
            preferences={
                "privacy.globalprivacycontrol.enabled": True,
                "privacy.globalprivacycontrol.functionality.enabled": True,
            },
            privacy_signal=True,
            lab=False,
        ),
    )
}
ALWAYS = ("chromium", "firefox")  # what is promised about silence is tested in two engines, always
JOURNEY_ENGINES = ("chromium", "firefox", "webkit")
LAB_ENGINES = tuple(name for name, engine in ENGINES.items() if engine.lab)


def chosen_engines(setting: str | None = None) -> tuple[str, ...]:
    """All three engines, or the subset that FLEETUNE_ENGINES names; ValueError for unknown names."""
    text = os.environ.get("FLEETUNE_ENGINES", "") if setting is None else setting
    names = tuple(name.strip() for name in text.split(",") if name.strip()) or JOURNEY_ENGINES
    if unknown := [name for name in names if name not in ENGINES]:
        raise ValueError(f"FLEETUNE_ENGINES: {', '.join(unknown)} not among {', '.join(ENGINES)}")
    return names


def chromium_path() -> str | None:
    """Chromium's path, or None for Playwright's own build.

    Rather the headless shell, like Playwright's own build: the whole browser draws its window's pages too."""
    return _system_browser(
        "FLEETUNE_CHROMIUM", "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
    )


def firefox_path() -> str | None:
    """Firefox's path, or None for Playwright's own build."""
    return _system_browser("FLEETUNE_FIREFOX", "firefox-esr", "firefox")


def _chromium(engine: Engine) -> Browser:
    from e2e.drivers.playwright_driver import PlaywrightBrowser

    return PlaywrightBrowser(
        "chromium",
        chromium_path(),
        arguments=engine.arguments,
        script=engine.script,
        headers=engine.headers,
    )


def _firefox(engine: Engine) -> Browser:
    from e2e.drivers.playwright_driver import PlaywrightBrowser

    return PlaywrightBrowser("firefox", firefox_path(), preferences=engine.preferences, script=engine.script)


def _webkit(engine: Engine) -> Browser:
    from e2e.drivers.webkit_driver import WebKitBrowser

    return WebKitBrowser(*webkit_parts(), environment=engine.environment)


LAUNCHERS: Mapping[str, Callable[[Engine], Browser]] = {
    "chromium": _chromium,
    "firefox": _firefox,
    "webkit": _webkit,
}
APT_PACKAGES = {
    "chromium": "chromium-headless-shell",
    "firefox": "firefox-esr",
    "webkit": "webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb",
}


def _system_browser(variable: str, *names: str) -> str | None:
    """The browser's path, or None where Playwright's own build is installed and the system has none."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if found or _playwright_has(names[0].split("-")[0]):
        return found
    raise MissingEngineError(
        f"{names[0]} is missing: install the package {names[0]}, or run `python -m playwright install "
        f"{names[0].split('-')[0]}`, or name it in {variable}"
    )


def _playwright_has(browser: str) -> bool:
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return any(cache.glob(f"{browser}-*"))


def minibrowser() -> str | None:
    """The MiniBrowser that Debian's libwebkit2gtk installs outside PATH."""
    places = ("lib/*/webkit2gtk-4.1/MiniBrowser", "libexec/webkit2gtk-4.1/MiniBrowser")
    found = (str(hit) for place in places for hit in Path("/usr").glob(place))
    return shutil.which("MiniBrowser") or next(found, None)


def webkit_parts() -> tuple[str, str, str]:
    """(WebKitWebDriver, MiniBrowser, Xvfb) as paths; MissingEngineError if one is absent."""
    driver, browser, display = shutil.which("WebKitWebDriver"), minibrowser(), shutil.which("Xvfb")
    if not (driver and browser and display):
        raise MissingEngineError(f"WebKitGTK is missing: install {APT_PACKAGES['webkit']}")
    return driver, browser, display


# family: what raises MissingEngineError if the family cannot be launched here
FINDERS: Mapping[str, Callable[[], object]] = {
    "chromium": chromium_path,
    "firefox": firefox_path,
    "webkit": webkit_parts,
}
