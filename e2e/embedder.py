"""Someone else's site on another origin, with or without the policy that Fleetune's documentation gives."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from collections.abc import Mapping, Sequence

from tests.sites import Site

from e2e.closing import Closing

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def policy(server: str) -> str:
    """The content security policy of browser/EMBED.md for a server at this origin."""
    origin = server.rstrip("/")
    socket = origin.replace("http", "ws", 1)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {origin} 'wasm-unsafe-eval'",
            f"connect-src {origin} {socket}",
            f"worker-src blob: {origin}",
            "img-src 'self'",
            "frame-src 'self'",
            "base-uri 'none'",
        )
    )


class Embedder(Closing):
    """Serves `files` (path → text) under `host`, which may be localhost or 127.0.0.1: two origins.

    `sandboxed` are the paths that are shown in a frame without an origin."""

    def __init__(
        self,
        files: Mapping[str, str],
        csp: str | None,
        host: str = "localhost",
        sandboxed: Sequence[str] = (),
    ) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                # Policies forbid making code in the page: a module of one's own text is fetched.
                text = urllib.parse.unquote(query) if path == "/loop.js" else files.get(path)
                if path == "/favicon.ico":
                    text = ""
                body = (text or "").encode()
                self.send_response(404 if text is None else 200)
                self.send_header("content-type", TYPES["js" if path.endswith(".js") else "html"])
                self.send_header("content-length", str(len(body)))
                if csp is not None:
                    # WebKit's 'self' matches nothing in a sandboxed frame: its policy names the origin.
                    own = f"'self' http://{self.headers['host']}" if path in sandboxed else "'self'"
                    self.send_header("content-security-policy", csp.replace("'self'", own))
                # The script of a frame without an origin is asked for with CORS.
                self.send_header("access-control-allow-origin", "*")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """No log."""

        self._server = Site(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.origin = f"http://{host}:{self._server.server_port}"
        self.other = f"http://127.0.0.1:{self._server.server_port}"  # the same pages as another origin

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
