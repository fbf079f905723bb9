"""Chromium and Firefox (Debian's or Playwright's own builds) through Playwright."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright import sync_api as pw

from e2e.closing import Closing
from e2e.drivers.base import PATIENCE_SECONDS, DriverError, Page
from fleetune_server.kernels.browsers import MissingBrowserError, launch


class PlaywrightPage:
    """One tab of a Playwright context."""

    def __init__(self, page: pw.Page) -> None:
        self._page = page
        self._errors: list[str] = []
        self._requests: list[str] = []
        page.on("request", lambda request: self._requests.append(request.url))
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", self._on_console)

    def _on_console(self, message: pw.ConsoleMessage) -> None:
        if message.type == "error":
            self._errors.append(message.text)

    @property
    def url(self) -> str:
        return self._page.url

    def open(self, url: str) -> None:
        self._page.goto(url)

    def reload(self) -> None:
        self._page.reload()

    def evaluate(self, body: str, *arguments: Any, timeout: float = PATIENCE_SECONDS) -> Any:
        # The limit is kept in the page: Playwright's own evaluate waits for ever.
        bounded = f"""async a => {{
            const late = new Promise((_, reject) =>
                setTimeout(() => reject(new Error("no answer in {timeout} s")), {timeout * 1e3}));
            return Promise.race([(async () => {{ {body} }})(), late]);
        }}"""
        try:
            return self._page.evaluate(bounded, list(arguments))
        except pw.Error as error:
            raise DriverError(error.message) from error

    def click(self, role: str, name: str) -> None:
        self._page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]

    def check(self, selector: str, on: bool = True) -> None:
        self._page.locator(selector).set_checked(on)

    def fill(self, selector: str, text: str) -> None:
        self._page.locator(selector).fill(text)

    def choose(self, selector: str, value: str) -> None:
        self._page.locator(selector).select_option(value)

    def press(self, key: str) -> None:
        """One key, as a keyboard would send it."""
        self._page.keyboard.press(key)

    def look(self, width: int, height: int = 900, **media: Any) -> None:
        """Another window size; `media` is Playwright's (color_scheme, reduced_motion, forced_colors)."""
        self._page.set_viewport_size({"width": width, "height": height})
        if media:
            self._page.emulate_media(**media)

    def screenshot(self, path: Path) -> None:
        self._page.screenshot(path=path, full_page=True)

    def picture(self, selector: str, path: Path) -> None:
        """One element, as it looks now."""
        self._page.locator(selector).screenshot(path=path)

    def console(self) -> list[str]:
        return list(self._errors)

    def requests(self) -> list[str]:
        return list(self._requests)

    def close(self) -> None:
        self._page.close()


class PlaywrightBrowser(Closing):
    """One browser process and one profile (context) at a time."""

    can_go_offline = True

    def __init__(
        self,
        family: str,
        *,
        arguments: Sequence[str] = (),
        preferences: Mapping[str, bool | int | str] | None = None,
        script: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._script = script
        self._headers = dict(headers or {})
        self._playwright = pw.sync_playwright().start()
        try:
            self._browser = launch(self._playwright, family, arguments, preferences)
        except MissingBrowserError as error:
            self._playwright.stop()
            raise DriverError(str(error)) from error
        except pw.Error as error:
            self._playwright.stop()
            raise DriverError(f"{family} did not start: {error.message}") from error
        self.version = self._browser.version
        self._context = self._profile()

    def _profile(self) -> pw.BrowserContext:
        context = self._browser.new_context(extra_http_headers=self._headers)
        if self._script:
            context.add_init_script(self._script)
        return context

    def new_page(self) -> PlaywrightPage:
        return PlaywrightPage(self._context.new_page())

    def fresh(self) -> None:
        self._context.close()
        self._context = self._profile()

    def before_scripts(self, script: str) -> None:
        """Run `script` in every page and frame of this profile before anything of theirs runs."""
        self._context.add_init_script(script)

    def crash(self, page: Page) -> None:
        """End a tab as a crash does: its renderer where the browser can, else without any farewell."""
        assert isinstance(page, PlaywrightPage)
        if self._browser.browser_type.name == "chromium":
            with contextlib.suppress(pw.Error):  # the one answer that there can be
                page._page.goto("chrome://crash", timeout=5_000)
        else:
            page._page.close(run_before_unload=False)

    def set_offline(self, offline: bool) -> None:
        self._context.set_offline(offline)

    def close(self) -> None:
        self._context.close()
        self._browser.close()
        self._playwright.stop()
