"""`POST /api/feedback`: one randomised answer to "was this choice good?", counted at once and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fleetune.packet import DAY
from fleetune.rating import MAX_BYTES, Satisfaction, check, estimate
from fleetune.strict import PacketError
from fleetune_server.common.errors import RefusedError
from fleetune_server.store.base import Store, StoreError
from fleetune_server.telemetry.limits import (
    RateLimiter,
    privacy_signal,
    read_body,
    read_json,
    require_json,
)

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
        except RefusedError as error:
            self.refused(error.code)
            answer = JSONResponse(error.to_wire(), status_code=error.status, headers=error.headers)
        await answer(scope, receive, send)

    async def satisfaction(self) -> Satisfaction:
        """The debiased share of good choices so far, with its interval."""
        with suppress(StoreError):  # then what was counted when it last answered
            self._counted = [await self.store.get(key) or 0 for key in (GOOD, BAD)]
        good, bad = self._counted
        return estimate(good, good + bad)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            raise RefusedError("method-not-allowed", "POST one answer")
        if privacy_signal(scope["headers"]):
            raise RefusedError("privacy-signal")
        require_json(scope["headers"])
        body = await read_body(scope["headers"], receive, MAX_BYTES, self.body_seconds)
        try:
            feedback = check(read_json(body))
        except PacketError as error:
            raise RefusedError(error.reason, str(error)) from error
        now = self.clock()
        if feedback.timestamp > now + CLOCK_SLACK:
            raise RefusedError("future")
        if feedback.timestamp <= now - (self.stale_days + 1) * DAY:
            raise RefusedError("stale")
        wait = self.limiter.take(self.limiter.sender(scope), 1)
        if wait:
            raise RefusedError("too-many", wait=wait)
        try:
            fresh = await self.store.tally(feedback.nonce, GOOD if feedback.good else BAD)
        except StoreError as error:
            raise RefusedError("store-unavailable", wait=BROKEN_SECONDS) from error
        return JSONResponse({"accepted": int(fresh), "duplicates": int(not fresh)}, status_code=202)
