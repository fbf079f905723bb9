"""Someone else's site: another origin, no special headers, one page that imports Fleetune's module."""

from __future__ import annotations

import http.server
import threading
from types import TracebackType
from typing import Self

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Someone's page</title>
<h1>Someone's page</h1><script type="module" src="/host.js"></script></html>"""


class Host:
    """Serves PAGE and the given module text on a free port."""

    def __init__(self, script: str) -> None:
        files = {"/": (PAGE.encode(), "text/html"), "/host.js": (script.encode(), "text/javascript")}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, kind = files.get(self.path, (b"", ""))
                self.send_response(200 if kind else 404)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """No log."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
