"""The table of browser environments: how each is launched, and what must be seen before it is believed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.drivers.base import Browser, DriverError, Page
from fleetune_server.kernels.browsers import MissingBrowserError, find_webkit

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
        """Start the browser; DriverError says what to install if it is missing."""
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


def _chromium(engine: Engine) -> Browser:
    from e2e.drivers.playwright_driver import PlaywrightBrowser

    return PlaywrightBrowser(
        "chromium",
        arguments=engine.arguments,
        script=engine.script,
        headers=engine.headers,
    )


def _firefox(engine: Engine) -> Browser:
    from e2e.drivers.playwright_driver import PlaywrightBrowser

    return PlaywrightBrowser("firefox", preferences=engine.preferences, script=engine.script)


def _webkit(engine: Engine) -> Browser:
    from e2e.drivers.webkit_driver import WebKitBrowser

    try:
        parts = find_webkit()
    except MissingBrowserError as error:
        raise DriverError(str(error)) from error
    return WebKitBrowser(*parts, environment=engine.environment)


LAUNCHERS: Mapping[str, Callable[[Engine], Browser]] = {
    "chromium": _chromium,
    "firefox": _firefox,
    "webkit": _webkit,
}
