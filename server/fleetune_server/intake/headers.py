"""What every answer says to browsers: who may embed it, run it, keep it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
SECURITY = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
ISOLATION = {"cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp"}

# What pages of other origins may fetch; there are no cookies, so any origin may.
EMBEDDABLE = (
    "/fleetune.js",
    "/widget.js",
    "/static/",
    "/pyodide/",
    "/wheels/",
    "/kernels/",
    "/keys.json",
    "/models/",
    "/api/boot.json",
    "/api/decisions",
    "/api/feedback",
    "/api/kernels",
    "/api/model/",
    "/api/plan",
    "/api/telemetry",
)
_SHARED = {
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "etag, retry-after",
}
_ALLOWED = {
    "access-control-allow-methods": "GET, HEAD, POST, DELETE",
    "access-control-allow-headers": "content-type, content-encoding, x-fleetune-work",
    "access-control-max-age": "86400",
}


class BrowserHeaders:
    """Plain ASGI around the application: security headers on everything, CORS on what embedders need.

    Paths in `hot` are answered right behind it: a framework's routing costs as much as taking a packet.
    """

    def __init__(self, app: ASGIApp, isolated: bool, hot: Mapping[str, ASGIApp] | None = None) -> None:
        self.app = app
        self.hot = hot or {}
        self.own = _encode({**_fixed(isolated), "cross-origin-resource-policy": "same-origin"})
        self.shared = shared_headers(isolated)
        self.taken = TAKEN_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        embeddable = scope["path"].startswith(EMBEDDABLE)
        added = self.shared if embeddable else self.own
        hot = self.hot.get(scope["path"])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                taken = hot is not None and message["status"] == 202
                message["headers"] = [*message.get("headers", ()), *(self.taken if taken else added)]
            await send(message)

        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
        if preflight and embeddable:
            await Response(status_code=204, headers=_ALLOWED)(scope, receive, send_with_headers)
        else:
            await (hot or self.app)(scope, receive, send_with_headers)


def shared_headers(isolated: bool) -> list[tuple[bytes, bytes]]:
    """What is added to everything that other origins may fetch, refusals of packets included."""
    return _encode({**_fixed(isolated), **_SHARED})


def _fixed(isolated: bool) -> dict[str, str]:
    return SECURITY | (ISOLATION if isolated else {})


def _encode(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


# Enough for the only answer that is sent by the million: JSON of two numbers.
TAKEN_HEADERS = _encode(
    {
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }
)
