"""Every error that an answer may carry: a fixed word for programs, its HTTP status, what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetune.strict import REASONS

# Of a packet of the right form (REASONS are those of its form).
PACKETS: Mapping[str, str] = {
    "unknown-kernel": "profileSignature: no kernel of this server's catalogue",
    "unknown-context": "context: not one that this kernel is measured in",
    "unknown-variant": "actualSpeedups: no variant that this environment can run",
    "unknown-model": "modelVersion: not published here, or too old; fetch /api/model/latest",
    "wrong-epsilon": "privacy.epsilon: not a level that this server accepts",
    "wrong-clip": "privacy.clip: not the clip of that model version",
    "stale": "timestamp: the day is too long ago",
    "future": "timestamp: the day has not begun yet",
}
# What Starlette raises, by status.
HTTP: Mapping[int, str] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    503: "service_unavailable",
}
CODES: Mapping[str, tuple[int, str]] = {
    **{code: (422, meaning) for code, meaning in {**REASONS, **PACKETS}.items()},
    **{code: (status, "the request cannot be answered") for status, code in HTTP.items()},
    "bad-json": (400, "the body is not JSON in UTF-8"),
    "bad-gzip": (400, "the body is not one whole gzip stream"),
    "unsupported-upgrade": (400, "send a body without offering another protocol (Upgrade)"),
    "bad-environment": (400, "a field of the environment is missing or wrong"),
    "disconnected": (400, "the sender left in the middle of the body"),
    "unauthorised": (401, "an operator token that has not expired is needed: `fleetune kernels token new`"),
    "privacy-signal": (
        403,
        "this browser sends the Global Privacy Control signal, so nothing of this was kept",
    ),
    "not-found": (404, "there is no kernel or job of that name"),
    "unknown-engine": (404, "no engine that decisions are published for"),
    "method-not-allowed": (405, "not with this method"),
    "too-slow": (408, "the body did not arrive in time"),
    "full": (409, "there is no room for another own kernel or job, or for its names"),
    "conflict": (409, "the catalogue has a kernel of that name or profile already"),
    "too-large": (413, "the body is too large"),
    "unsupported-type": (415, "content-type: application/json"),
    "unsupported-encoding": (415, "content-encoding: gzip or none"),
    "packet-count": (422, "too few or too many packets in a request"),
    "bad-withdrawal": (422, "not a list of nonces"),
    "invalid": (422, "not a description of a kernel or job"),
    "work-needed": (428, "proof of work was expected for each report"),
    "too-many": (429, "too many reports from this network; come back later"),
    "busy": (503, "the server is busy"),
    "store-unavailable": (503, "the server cannot reach its store at present"),
    "no-model": (503, "no model yet"),
}


class RefusedError(Exception):
    """A request that is refused: `code` is a key of CODES; `more` fields leave with it."""

    def __init__(self, code: str, message: str = "", *, wait: int = 0, **more: int | str) -> None:
        self.status, meaning = CODES[code]
        super().__init__(message or meaning)
        self.code = code
        self.headers = {"retry-after": str(wait)} if wait else {}
        self.more = more

    def to_wire(self) -> dict[str, Any]:
        """{"error": {"code", "message", …}}."""
        return {"error": {"code": self.code, "message": str(self), **self.more}}
