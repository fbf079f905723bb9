"""A small HTTP server of a test's own, for pages and for Node."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Site(http.server.ThreadingHTTPServer):
    """Answers every request in a thread."""

    # With Python's five, a busy machine drops a connection of many at once, and its client tries for up to a minute.
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Its address, ending in a slash, while it answers."""
    with Site(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()
