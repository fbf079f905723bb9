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
        refused: Callable[[str], None] = lambda code: None,
    ) -> None:
        self.store = store
        self.limiter = limiter
        self.refused = refused  # told of each refusal's code
        self.stale_days = stale_days
        self.body_seconds = body_seconds
        self.clock = clock
        self._counted = [0, 0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raw ASGI, so that no header is kept by a framework."""
        try:
            answer = await self._answer(scope, receive)
        except _RefusedError as error:
            self.refused(error.code)
            answer = error.answer
        await answer(scope, receive, send)

    async def satisfaction(self) -> Satisfaction:
        """The debiased share of good choices so far, with its interval."""
        with suppress(StoreError):  # then what was counted when it last answered
            self._counted = [await self.store.get(key) or 0 for key in (GOOD, BAD)]
        good, bad = self._counted
        return estimate(good, good + bad)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            raise _RefusedError(405, "method-not-allowed", "POST one answer")
        if PRIVACY_SIGNAL in scope["headers"]:
            raise _RefusedError(403, "privacy-signal", REFUSED_BY_SIGNAL)
        try:
            body = await read_body(scope["headers"], receive, MAX_BYTES, self.body_seconds)
            feedback = check(json.loads(body))
        except BodyError as error:
            raise _RefusedError(error.status, error.code, str(error)) from error
        except PacketError as error:
            raise _RefusedError(422, error.reason, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, "bad-json", "the body is not JSON in UTF-8") from error
        now = self.clock()
        if feedback.timestamp > now + CLOCK_SLACK:
            raise _RefusedError(422, "future", "timestamp: the day has not begun yet")
        if feedback.timestamp <= now - (self.stale_days + 1) * DAY:
            raise _RefusedError(422, "stale", "timestamp: the day is too long ago")
        wait = self.limiter.take(scope, 1)
        if wait:
            raise _RefusedError(429, "too-many", "too many answers from this network; come back later", wait)
        try:
            fresh = await self.store.tally(feedback.nonce, GOOD if feedback.good else BAD)
        except StoreError as error:
            message = "the server cannot write at present"
            raise _RefusedError(503, "store-unavailable", message, BROKEN_SECONDS) from error
        return JSONResponse({"accepted": int(fresh), "duplicates": int(not fresh)}, status_code=202)


class _RefusedError(Exception):
    """An answer that is not counted, and what the sender hears."""

    def __init__(self, status: int, code: str, message: str, wait: int = 0) -> None:
        super().__init__(message)
        self.code = code
        headers = {"retry-after": str(wait)} if wait else None
        error = {"error": {"code": code, "message": message}}
        self.answer = JSONResponse(error, status_code=status, headers=headers)
