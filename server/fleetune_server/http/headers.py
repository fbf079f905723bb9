"""What every answer says to browsers: who may embed it, run it, keep it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetune_server.common.assets import ISOLATION, SECURITY
from fleetune_server.common.errors import RefusedError
from fleetune_server.http.assets import ENTRIES

# What pages of other origins may fetch; there are no cookies, so any origin may.
EMBEDDABLE = (
    *(f"/{name}{end}" for name in ENTRIES for end in (".js", "-")),
    "/integrity.json",
    *(f"/{tree}{end}" for tree in ("static", "pyodide", "wheels") for end in "-/"),  # with a hash and without
    "/kernels/",
    "/keys.json",
    "/models/",
    "/roots/",
    "/api/boot.json",
    "/api/decisions",
    "/api/feedback",
    "/api/kernels",
    "/api/log",
    "/api/model/",
    "/api/plan",
    "/api/telemetry",
    "/data/",
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

    Paths in `hot` are answered right behind it: Starlette's routing costs as much as checking a packet. It
    also ends connections whose request body was not read to its end: a sender without end would otherwise
    be listened to for nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        isolated: bool,
        hot: Mapping[str, ASGIApp] | None = None,
        proxied: bool = False,
    ) -> None:
        self.app = app
        self.hot = hot or {}
        self.proxied = (
            proxied  # then httptools parses, and drops the bodies of requests that offer an upgrade
        )
        fixed = SECURITY | (ISOLATION if isolated else {})
        self.own = _encode({**fixed, "cross-origin-resource-policy": "same-origin"})
        self.shared = _encode({**fixed, **_SHARED})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        embeddable = scope["path"].startswith(EMBEDDABLE)
        added = self.shared if embeddable else self.own
        if self.proxied and OVER_TLS in scope["headers"]:
            added = [*added, *STRICT]
        unread = any(name in _BODY and value != b"0" for name, value in scope["headers"])

        async def receive_and_note() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and message.get("more_body", False)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = TAKEN_HEADERS if message["status"] == 202 else added
                message["headers"] = [*message.get("headers", ()), *more, *(_CLOSE if unread else ())]
            await send(message)

        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
        if unread and self.proxied and any(name == b"upgrade" for name, _ in scope["headers"]):
            error = RefusedError("unsupported-upgrade")
            await JSONResponse(error.to_wire(), error.status)(scope, receive, send_with_headers)
        elif preflight and embeddable:
            await Response(status_code=204, headers=_ALLOWED)(scope, receive, send_with_headers)
        else:
            await self.hot.get(scope["path"], self.app)(
                scope, receive_and_note if unread else receive, send_with_headers
            )


def _encode(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


OVER_TLS = (b"x-forwarded-proto", b"https")  # a trusted proxy says so; over plain HTTP browsers ignore STRICT
STRICT = _encode({"strict-transport-security": "max-age=31536000"})
_BODY = (b"content-length", b"transfer-encoding")
_CLOSE = [(b"connection", b"close")]
# Enough for the only answer that is sent by the million (202): JSON of two numbers.
TAKEN_HEADERS = _encode(
    {
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }
)
