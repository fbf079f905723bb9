"""The only ways in: `/api/telemetry` and `/api/feedback`. Raw ASGI, because every packet passes here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fleetune import rating
from fleetune.features import family_key
from fleetune.packet import MAX_BYTES
from fleetune.strict import PacketError
from fleetune_server.common.errors import RefusedError
from fleetune_server.store.base import Store, StoreBusyError, StoredPacket, StoreError
from fleetune_server.telemetry.check import Checker, day_fault
from fleetune_server.telemetry.floods import Challenges, Floods
from fleetune_server.telemetry.limits import (
    RateLimiter,
    privacy_signal,
    read_body,
    read_json,
    require_json,
)

MAX_PACKETS = 100
MAX_BODY = MAX_PACKETS * (MAX_BYTES + 2) + 2  # a full array of the longest packets
BUSY_SECONDS = 2  # to wait when the queue is full
BROKEN_SECONDS = 30  # to wait when the disk is

_NONCE = re.compile(r"[0-9a-f]{32}")
_WORK = re.compile(rb"work=([0-9]{1,12}(?:,[0-9]{1,12})*)")
_encode = msgspec.json.Encoder().encode
GOOD, BAD = "feedback/good", "feedback/bad"


class Count(Protocol):
    def add(self, amount: int = 1, label: str = "") -> None: ...


class Histogram(Protocol):
    def observe(self, seconds: float) -> None: ...


class Instruments(Protocol):
    """What intake counts."""

    @property
    def packets(self) -> Count: ...
    @property
    def rejected(self) -> Count: ...
    @property
    def withdrawn(self) -> Count: ...
    @property
    def ingest(self) -> Histogram: ...


class Intake:
    """Reads, checks and stores packets; answers 202 only after the commit."""

    def __init__(
        self,
        store: Store,
        checker: Checker,
        limiter: RateLimiter,
        metrics: Instruments,
        body_seconds: float,
        arrived: Callable[[int], None],
        challenges: Challenges,
        floods: Floods,
    ) -> None:
        self.store = store
        self.checker = checker
        self.limiter = limiter
        self.metrics = metrics
        self.body_seconds = body_seconds
        self.arrived = arrived  # told of new packets once they are durable
        self.challenges = challenges
        self.floods = floods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; everything that can be wrong with it becomes a RefusedError."""
        methods = {"POST": self.take, "DELETE": self.withdraw}
        try:
            method = methods.get(scope["method"])
            if method is None:
                raise RefusedError("method-not-allowed", "POST packets or DELETE nonces")
            require_json(scope["headers"])
            body = await read_body(scope["headers"], receive, MAX_BODY, self.body_seconds)
            status, answer, headers = *await method(scope, body), {}
        except RefusedError as error:
            self.metrics.rejected.add(label=error.code)
            status, answer, headers = error.status, error.to_wire(), error.headers
        await _respond(send, status, answer, headers)

    async def take(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """1-100 packets, all or none: 202 {"accepted", "duplicates"}."""
        start = time.perf_counter()
        packets = self._admit(scope, body)
        try:
            fresh = await self.store.append(packets)
        except StoreError as error:
            raise _unkept(error) from error
        accepted = sum(fresh)
        self.arrived(accepted)
        self.metrics.packets.add(accepted, "accepted")
        self.metrics.packets.add(len(fresh) - accepted, "duplicate")
        self.metrics.ingest.observe(time.perf_counter() - start)
        return 202, {"accepted": accepted, "duplicates": len(fresh) - accepted}

    def _admit(self, scope: Scope, body: bytes) -> list[StoredPacket]:
        """The packets of a request that may be kept."""
        if privacy_signal(scope["headers"]):
            raise RefusedError("privacy-signal")
        wire = read_json(body)
        wires = wire if isinstance(wire, list) else [wire]
        if not 1 <= len(wires) <= MAX_PACKETS:
            raise RefusedError("packet-count", f"1 to {MAX_PACKETS} packets a request")
        sender = self.limiter.sender(scope)
        wait = self.limiter.take(sender, len(wires))
        if wait:
            raise RefusedError("too-many", wait=wait)
        packets = self._check(wires)
        # By browser family: what systems, versions and cores reports claim must not make places of their own.
        places = [f"{p.cell.signature} {family_key(p.cell.environment)}" for p in packets]
        limited = self.limiter.limits(sender)
        bits = [self.floods.bits(place) if limited else self.floods.floor for place in places]
        if any(bits):
            self._paid(scope["query_string"], packets, bits)
        wait = self.limiter.take_places(sender, places)
        if wait:
            raise RefusedError("too-many", "too many of one kernel in one browser engine", wait=wait)
        if limited:
            self.floods.add(places)
        return packets

    async def withdraw(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """{"nonces": [...]}: 200 {"removed", "alreadyFolded"}; the rest is unknown here."""
        wire = read_json(body)
        nonces = wire.get("nonces") if isinstance(wire, dict) and wire.keys() == {"nonces"} else None
        if not isinstance(nonces, list) or not 1 <= len(nonces) <= MAX_PACKETS:
            raise RefusedError("bad-withdrawal", f'{{"nonces": [1 to {MAX_PACKETS} nonces]}} was expected')
        for index, nonce in enumerate(nonces):
            if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
                raise RefusedError("bad-format", "a nonce has 32 hex digits", index=index)
        try:
            result = await self.store.withdraw(nonces)
        except StoreError as error:
            raise _unkept(error) from error
        self.metrics.withdrawn.add(result.removed)
        return 200, {"removed": result.removed, "alreadyFolded": result.folded}

    def _check(self, wires: Sequence[object]) -> list[StoredPacket]:
        packets: list[StoredPacket] = []
        try:
            for wire in wires:
                packets.append(self.checker.accept(wire))
        except RefusedError as error:
            raise RefusedError(error.code, str(error), index=len(packets)) from error
        return packets

    def _paid(self, query: bytes, packets: Sequence[StoredPacket], bits: Sequence[int]) -> None:
        """`?work=` with an answer for each packet, separated by commas."""
        given = _WORK.fullmatch(unquote_to_bytes(query))  # many clients write a comma as %2C
        answers = [int(text) for text in given[1].split(b",")] if given else []
        if len(answers) != len(packets) or not all(
            self.challenges.paid(packet.nonce, answer, needed)
            for packet, answer, needed in zip(packets, answers, bits, strict=True)
        ):
            most = max(bits)
            what = f"proof of work of {most} bits for each report was expected: ?work=answer,..."
            raise RefusedError("work-needed", what, bits=most, challenge=self.challenges.current)


_BROKEN = "the server cannot write at present; nothing of this was kept"


def _unkept(error: StoreError) -> RefusedError:
    if isinstance(error, StoreBusyError):
        return RefusedError("busy", wait=BUSY_SECONDS)
    return RefusedError("store-unavailable", _BROKEN, wait=BROKEN_SECONDS)


async def _respond(send: Send, status: int, answer: Mapping[str, Any], more: Mapping[str, str]) -> None:
    body = _encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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

    async def satisfaction(self) -> rating.Satisfaction:
        """The debiased share of good choices so far, with its interval."""
        with suppress(StoreError):  # then what was counted when it last answered
            self._counted = [await self.store.get(key) or 0 for key in (GOOD, BAD)]
        good, bad = self._counted
        return rating.estimate(good, good + bad)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            raise RefusedError("method-not-allowed", "POST one answer")
        if privacy_signal(scope["headers"]):
            raise RefusedError("privacy-signal")
        require_json(scope["headers"])
        body = await read_body(scope["headers"], receive, rating.MAX_BYTES, self.body_seconds)
        try:
            feedback = rating.check(read_json(body))
        except PacketError as error:
            raise RefusedError(error.reason, str(error)) from error
        code = day_fault(feedback.timestamp, self.clock(), self.stale_days)
        if code:
            raise RefusedError(code)
        wait = self.limiter.take(self.limiter.sender(scope), 1)
        if wait:
            raise RefusedError("too-many", wait=wait)
        try:
            fresh = await self.store.tally(feedback.nonce, GOOD if feedback.good else BAD)
        except StoreError as error:
            raise RefusedError("store-unavailable", wait=BROKEN_SECONDS) from error
        return JSONResponse({"accepted": int(fresh), "duplicates": int(not fresh)}, status_code=202)
