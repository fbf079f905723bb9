"""`POST /api/feedback`: one randomised answer to "was this choice good?", counted at once and forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fleetune.feedback import MAX_BYTES, Satisfaction, check, estimate
from fleetune.packet import DAY
from fleetune.strict import PacketError
from fleetune_server.intake.limits import (
    PRIVACY_SIGNAL,
    REFUSED_BY_SIGNAL,
    BodyError,
    RateLimiter,
    read_body,
)
from fleetune_server.store.base import Store, StoreError

GOOD, BAD = "feedback/good", "feedback/bad"
CLOCK_SLACK = 3600  # seconds that a sender's clock may be ahead around midnight
BROKEN_SECONDS = 30  # to wait when the store cannot write


class FeedbackIntake:
    """Checks and counts answers; only two totals and the nonces of the replay window are kept."""

    def __init__(
        self,
        store: Store,
        limiter: RateLimiter,
        stale_days: int,
        body_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.limiter = limiter
        self.stale_days = stale_days
        self.body_seconds = body_seconds
        self.clock = clock
        self._counted = [0, 0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raw ASGI, so that no header is kept by a framework."""
        answer = await self._answer(scope, receive)
        await answer(scope, receive, send)

    async def satisfaction(self) -> Satisfaction:
        """The debiased share of good choices so far, with its interval."""
        with suppress(StoreError):  # then what was counted when it last answered
            self._counted = [await self.store.get(key) or 0 for key in (GOOD, BAD)]
        good, bad = self._counted
        return estimate(good, good + bad)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return _error(405, "method-not-allowed", "POST one answer")
        if PRIVACY_SIGNAL in scope["headers"]:
            return _error(403, "privacy-signal", REFUSED_BY_SIGNAL)
        try:
            body = await read_body(scope["headers"], receive, MAX_BYTES, self.body_seconds)
            feedback = check(json.loads(body))
        except BodyError as error:
            return _error(error.status, error.code, str(error))
        except PacketError as error:
            return _error(422, error.reason, str(error))
        except (ValueError, RecursionError):
            return _error(400, "bad-json", "the body is not JSON in UTF-8")
        now = self.clock()
        if feedback.timestamp > now + CLOCK_SLACK:
            return _error(422, "future", "timestamp: the day has not begun yet")
        if feedback.timestamp <= now - (self.stale_days + 1) * DAY:
            return _error(422, "stale", "timestamp: the day is too long ago")
        wait = self.limiter.take(scope, 1)
        if wait:
            return _error(429, "too-many", "too many answers from this network; come back later", wait)
        try:
            fresh = await self.store.tally(feedback.nonce, GOOD if feedback.good else BAD)
        except StoreError:
            return _error(503, "store-unavailable", "the server cannot write at present", BROKEN_SECONDS)
        return JSONResponse({"accepted": int(fresh), "duplicates": int(not fresh)}, status_code=202)


def _error(status: int, code: str, message: str, wait: int = 0) -> Response:
    headers = {"retry-after": str(wait)} if wait else None
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)
