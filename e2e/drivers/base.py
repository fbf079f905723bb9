"""The page-driver protocol: what a journey or the lab recorder may ask of any browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

Value = TypeVar("Value")
POLL_SECONDS, SLOWEST_POLL_SECONDS = (
    0.05,
    0.5,
)  # each pause is a tenth longer: asking costs the page its processor
PATIENCE_SECONDS = 60.0  # a state that has not come by then is a failure; raised where a boot is awaited


class DriverError(RuntimeError):
    """The browser could not be started, or the page refused what was asked; the message says which."""


class StateTimeoutError(DriverError):
    """A state that was waited for never came; the message says what was seen last."""


class Page(Protocol):
    """One tab."""

    @property
    def url(self) -> str: ...

    def open(self, url: str) -> None:
        """Go to `url` and wait for the document to load."""

    def reload(self) -> None: ...

    def evaluate(self, body: str, *arguments: Any, timeout: float = PATIENCE_SECONDS) -> Any:
        """Run `body`, an async function's body with `a` = arguments, in the page; JSON comes back.

        A JavaScript error is raised as DriverError with its message."""

    def click(self, role: str, name: str) -> None:
        """Click the one element with this ARIA role and accessible name (open shadow roots are searched)."""

    def check(self, selector: str, on: bool = True) -> None:
        """Set a checkbox as a user would, by clicking it if it is not yet so."""

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of an input."""

    def choose(self, selector: str, value: str) -> None:
        """Pick the option with this value in a select element."""

    def screenshot(self, path: Path) -> None: ...

    def console(self) -> list[str]:
        """Errors that the page reported so far: uncaught exceptions, rejections, console.error."""

    def requests(self) -> list[str]:
        """Addresses that this tab asked for since it was opened, as far as the driver sees (any origin)."""

    def close(self) -> None: ...


class Browser(Protocol):
    """One launched browser. It can cut its network only where the driver can (`can_go_offline`)."""

    version: str
    can_go_offline: bool

    def new_page(self) -> Page:
        """A new tab in the current profile."""

    def fresh(self) -> None:
        """Close every tab and forget the profile: storage, caches, permissions."""

    def set_offline(self, offline: bool) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def wait_until(
    probe: Callable[[], Value],
    description: str,
    timeout: float = PATIENCE_SECONDS,
    poll: float = POLL_SECONDS,
) -> Value:
    """Ask `probe` until its answer is truthy; that answer, or StateTimeoutError with the last one."""
    end = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise StateTimeoutError(f"{description}: not reached in {timeout:.0f} s; last seen {value!r}")
        time.sleep(poll)
        poll = min(poll * 1.1, max(poll, SLOWEST_POLL_SECONDS))


def text(page: Page, selector: str) -> str:
    """The visible text of the first match, shadow roots included; empty if there is none."""
    return str(page.evaluate(FIND + "return find(a[0])?.innerText?.trim() ?? ''", selector))


def wait_for(
    page: Page, condition: str, *arguments: Any, timeout: float = PATIENCE_SECONDS, poll: float = POLL_SECONDS
) -> Any:
    """Wait until the JavaScript expression `condition` (it may use `find` and `a`) is truthy; its value."""
    body = FIND + f"return {condition}"
    return wait_until(
        lambda: page.evaluate(body, *arguments), f"waiting for {condition} {arguments}", timeout, poll
    )


def wait_text(page: Page, selector: str, part: str, timeout: float = PATIENCE_SECONDS) -> str:
    """Wait until the text of `selector` contains `part`; the whole text."""

    def seen() -> str:
        shown = text(page, selector)
        return shown if part in shown else ""

    try:
        return wait_until(seen, f"{part!r} in {selector}", timeout)
    except StateTimeoutError as error:
        raise StateTimeoutError(
            f"{error}; text is {text(page, selector)!r}; errors {page.console()}"
        ) from None


# Finds the first match of a selector, open shadow roots included; prefixed to evaluated bodies.
FIND = """
const find = (selector, root = document) => {
  const hit = root.querySelector(selector);
  if (hit) return hit;
  for (const host of root.querySelectorAll('*')) {
    const inner = host.shadowRoot && find(selector, host.shadowRoot);
    if (inner) return inner;
  }
  return null;
};
"""
