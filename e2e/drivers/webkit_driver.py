"""WebKitGTK's MiniBrowser through Selenium, on a virtual display of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import (
    ElementNotInteractableException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.support.select import Select
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from urllib3.exceptions import HTTPError

from e2e.closing import Closing
from e2e.drivers.base import FIND, PATIENCE_SECONDS, POLL_SECONDS, DriverError, wait_until
from e2e.drivers.xwd import png

ROLES = (Path(__file__).parent / "roles.js").read_text()
# Without a graphics card, layers are composed by a software OpenGL: drawing a progress bar then takes more
# than half of the processor time of a boot (24 s against 11 s). One plain surface shows the same pixels.
DRAWING = {"WEBKIT_DISABLE_COMPOSITING_MODE": "1", "WEBKIT_DISABLE_DMABUF_RENDERER": "1"}
# Whatever this machine's: in C.UTF-8 (containers) `navigator.language` is "C", which is no language to Intl.
LOCALE = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "en"}
COLLECT_ERRORS = """
if (!window.__errors) {
  window.__errors = [];
  addEventListener('error', e => window.__errors.push(String(e.message)));
  addEventListener('unhandledrejection', e => window.__errors.push(String(e.reason)));
  const log = console.error;
  console.error = (...a) => { window.__errors.push(a.map(String).join(' ')); log(...a); };
}
"""


# A click that opens another page takes the mark with it; one on an option is its list's.
AWAIT_CLICK = """
const target = arguments[0].closest('select') ?? arguments[0];
window.__awaited = true;
target.addEventListener('click', () => delete window.__awaited, { capture: true, once: true });
"""
CLICK_SECONDS = 3.0
# MiniBrowser sometimes ends while it starts (once in some hundred starts), and the driver then waits for it for ever.
START_SECONDS, STARTS = 60, 3
ANSWER_SECONDS = 300  # longer than any script may take


class Display:
    """An X server without a screen, on the first free display number."""

    def __init__(self, executable: str) -> None:
        read, write = os.pipe()
        self._memory = tempfile.TemporaryDirectory(prefix="fleetune-display-")
        screen = ["-screen", "0", "1280x1000x24", "-fbdir", self._memory.name]
        self._process = subprocess.Popen(
            [executable, "-displayfd", str(write), *screen, "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            self.close()
            raise DriverError(f"{executable} did not start")
        self.name = f":{number}"

    def picture(self) -> bytes:
        """What it shows now, as PNG."""
        return png((Path(self._memory.name) / "Xvfb_screen0").read_bytes())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._memory.cleanup()


class WebKitPage:
    """One window of the session. Every call switches to it first."""

    def __init__(self, driver: webdriver.Remote, handle: str, display: Display) -> None:
        self._driver = driver
        self._handle = handle
        self._display = display

    def _here(self) -> webdriver.Remote:
        self._driver.switch_to.window(self._handle)
        return self._driver

    @property
    def url(self) -> str:
        return self._here().current_url

    def open(self, url: str) -> None:
        self._here().get(url)
        self._driver.execute_script(COLLECT_ERRORS)

    def reload(self) -> None:
        self._here().refresh()
        self._driver.execute_script(COLLECT_ERRORS)

    def evaluate(self, body: str, *arguments: Any, timeout: float = PATIENCE_SECONDS) -> Any:
        driver = self._here()
        driver.set_script_timeout(timeout)
        script = f"""
            const a = arguments[0], done = arguments[1];
            (async () => {{ {body} }})().then(
              value => done({{ value: value === undefined ? null : value }}),
              error => done({{ error: String(error) }}));"""
        try:
            answer = driver.execute_async_script(script, list(arguments))
        except WebDriverException as error:
            raise DriverError(str(error.msg)) from error
        if "error" in answer:
            raise DriverError(answer["error"])
        return answer["value"]

    def _element(self, finder: str, *arguments: Any) -> Any:
        script = f"""{FIND}{ROLES} const a = arguments, element = {finder};
            element?.scrollIntoView({{block: 'center', behavior: 'instant'}}); return element"""

        def look() -> Any:
            return self._here().execute_script(script, *arguments)

        return wait_until(look, f"element {arguments}")

    def _press(self, finder: str, *arguments: Any) -> None:
        """Click once it can be clicked: enabled, in view, and nothing over it; again if it moved away."""

        def pressed() -> bool:
            element = self._element(finder, *arguments)
            try:
                if element.is_enabled():
                    self._driver.execute_script(AWAIT_CLICK, element)
                    element.click()
                    return self._arrived()
            except (ElementNotInteractableException, StaleElementReferenceException):
                pass  # it moved, or was drawn anew, between being found and being clicked
            return False

        wait_until(pressed, f"{arguments} can be clicked")

    def _arrived(self) -> bool:
        """Whether the click met the element, as Playwright's driver makes sure too."""
        end = time.monotonic() + CLICK_SECONDS
        while self._driver.execute_script("return window.__awaited === true"):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def click(self, role: str, name: str) -> None:
        self._press("byRole(a[0], a[1])", role, name)

    def check(self, selector: str, on: bool = True) -> None:
        if self._element("find(a[0])", selector).is_selected() != on:
            self._press("find(a[0])", selector)

    def fill(self, selector: str, text: str) -> None:
        element = self._element("find(a[0])", selector)
        element.clear()
        element.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        Select(self._element("find(a[0])", selector)).select_by_value(value)

    def screenshot(self, path: Path) -> None:
        self._here()
        path.write_bytes(self._display.picture())

    def console(self) -> list[str]:
        return list(self._here().execute_script("return window.__errors ?? []"))

    def requests(self) -> list[str]:
        # No request events in this driver: the page's own resource timing, which lists every origin.
        names = "return performance.getEntries().map(e => e.name).filter(n => n.includes('://'))"
        return list(self._here().execute_script(names))

    def close(self) -> None:
        self._here().close()


class WebKitBrowser(Closing):
    """One MiniBrowser. A session's profile is ephemeral, so `fresh` starts another session."""

    can_go_offline = False

    def __init__(
        self, driver: str, browser: str, display: str, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._display = Display(display)
        self._driver_path, self._browser_path = driver, browser
        self._environment = {**DRAWING, **os.environ, **LOCALE, **(environment or {})}
        self._environment["DISPLAY"] = self._display.name
        if os.geteuid() == 0:  # bubblewrap cannot build WebKit's sandbox for root
            self._environment["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
        try:
            self._driver = self._start()
        except DriverError:
            self._display.close()
            raise
        self._used = False
        self.version = str(self._driver.capabilities["browserVersion"])

    def _start(self) -> webdriver.Remote:
        for _ in range(STARTS):
            self._service = Service(self._driver_path, env=self._environment)
            self._service.start()
            try:
                return self._session(self._service.service_url)
            except (WebDriverException, HTTPError) as error:
                self._service.stop()
                failed = error
        raise DriverError(f"webkit did not start, {STARTS} times: {failed}") from failed

    def _session(self, url: str) -> webdriver.Remote:
        options = Options()
        options.binary_location = self._browser_path
        options.add_argument("--automation")
        patience = ClientConfig(url, timeout=START_SECONDS)
        driver = webdriver.Remote(RemoteConnection(client_config=patience), options=options)
        patience.timeout = ANSWER_SECONDS
        return driver

    def _end(self) -> None:
        try:
            self._driver.quit()
        except (WebDriverException, HTTPError):
            pass  # it crashed: the driver's end is the browser's
        finally:
            self._service.stop()

    def new_page(self) -> WebKitPage:
        if self._used:
            self._driver.switch_to.new_window("tab")
        self._used = True
        return WebKitPage(self._driver, self._driver.current_window_handle, self._display)

    def fresh(self) -> None:
        if not self._used:
            return
        self._end()
        self._driver = self._start()
        self._used = False

    def set_offline(self, offline: bool) -> None:
        raise DriverError("WebKitGTK's driver cannot cut the network: cut it at the server (e2e/wire.py)")

    def close(self) -> None:
        self._end()
        self._display.close()
