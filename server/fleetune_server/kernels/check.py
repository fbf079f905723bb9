"""Runs a kernel of an operator's own in a real browser: every variant against its JavaScript."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fleetune_server.common.assets import ISOLATION, SECURITY, TYPES
from fleetune_server.kernels import browsers
from fleetune_server.kernels.package import Package
from fleetune_server.settings import ROOT

WEB = ROOT / "browser" / "web"
PREFIX = "/kernels/check/"
PAGE = b'<!doctype html><html lang="en"><title>Check</title><link rel="icon" href="data:,">'
RUN = """async (manifest) => {
  const { checkKernel } = await import("/static/workers/check_kernel.js");
  return checkKernel({ ...manifest, root: new URL(manifest.root, location.href).href });
}"""
TIMEOUT_MS = 600_000


class CheckError(Exception):
    """The check could not be made; the message says what to install or what the page said."""


@dataclass(frozen=True)
class Checked:
    """What one browser found; `rows` have size, pattern, copied, candidate, and `error` or `ms` a call."""

    browser: str
    unsupported: list[str]
    rows: list[dict[str, Any]]

    @property
    def wrong(self) -> list[str]:
        """Each candidate that failed, once, with the first reason."""
        first: dict[str, str] = {}
        for row in self.rows:
            if row["error"]:
                first.setdefault(row["candidate"], f"{row['candidate']} (size {row['size']}): {row['error']}")
        return list(first.values())


def check(package: Package, browser: str) -> Checked:
    """Run it; CheckError if there is no such browser or the page fails."""
    try:
        from playwright import sync_api as playwright
    except ModuleNotFoundError:
        raise CheckError("Playwright is missing: pip install playwright==1.64.0") from None
    manifest = {"schema": 1, "bundles": package.bundles, "kernels": [package.entry], "root": PREFIX}
    # The benchmark imports the catalogue's script first; this catalogue has none of its own.
    files = {**package.files, "kernels.js": b"export const kernels = {};\n"}
    manifest["scripts"] = {"path": "kernels.js", "sha256": "", "size": 0}
    with served(files) as address, playwright.sync_playwright() as driver:
        try:
            launched = browsers.launch(driver, browser)
        except browsers.MissingBrowserError as error:
            raise CheckError(str(error)) from error
        except playwright.Error as error:
            raise CheckError(f"{browser} did not start: {error.message}") from error
        try:
            page = launched.new_page()
            page.goto(address)
            page.set_default_timeout(TIMEOUT_MS)
            found = page.evaluate(RUN, manifest)
        except playwright.Error as error:
            raise CheckError(f"the kernel's script failed in {browser}: {error.message}") from error
        finally:
            version = launched.version
            launched.close()
    return Checked(f"{browser} {version}", found["unsupported"], found["rows"])


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[str]:
    """A page under the headers of our own pages, with the kernel's files; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body, kind = _find(path, files)
            self.send_response(404 if body is None else 200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body or b"")))
            for name, value in {**SECURITY, **ISOLATION}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """No log."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _find(path: str, files: dict[str, bytes]) -> tuple[bytes | None, str]:
    if path == "/":
        return PAGE, TYPES[".html"]
    pure = PurePosixPath(path)
    kind = TYPES.get(pure.suffix, "text/plain")
    if path.startswith(PREFIX):
        return files.get(path.removeprefix(PREFIX)), kind
    if pure.is_relative_to("/static") and ".." not in pure.parts:
        file = WEB / pure.relative_to("/static")
        if file.is_file():
            return file.read_bytes(), kind
    return None, kind


def table(checked: Checked, entry: dict[str, Any]) -> str:
    """The times as a table: microseconds of JavaScript a call, and how many times as fast each variant is."""
    names = [*entry["baselines"], *(variant["name"] for variant in entry["variants"])]
    lines = [f"{'':28}{'js, µs':>10}  " + "  ".join(f"{name:>8}" for name in names[1:])]
    cells: dict[tuple[str, bool, int], dict[str, float]] = {}
    for row in checked.rows:
        if row["ms"] is not None:
            cells.setdefault((row["pattern"], row["copied"], row["size"]), {})[row["candidate"]] = row["ms"]
    for (pattern, copied, size), times in cells.items():
        if "js" not in times:
            continue
        label = f"{pattern}{', copied' if copied else ''}, {size:,}"
        speedups = [f"{times['js'] / times[name]:.2f}" if name in times else "—" for name in names[1:]]
        columns = (f"{text:>{max(8, len(name))}}" for name, text in zip(names[1:], speedups, strict=True))
        lines.append(f"{label:28}{1e3 * times['js']:>10.3f}  " + "  ".join(columns))
    return "\n".join(lines)


def as_json(checked: Checked) -> str:
    return json.dumps({"browser": checked.browser, "unsupported": checked.unsupported, "rows": checked.rows})
