"""`POST` and `DELETE /api/telemetry`: the only way in. Raw ASGI, because every packet passes here."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Receive, Scope, Send

from fleetune.packet import MAX_BYTES
from fleetune.work import is_answer
from fleetune_server.intake.check import Checker, RefusedError
from fleetune_server.intake.limits import (
    PRIVACY_SIGNAL,
    REFUSED_BY_SIGNAL,
    BodyError,
    RateLimiter,
    read_body,
)
from fleetune_server.intake.repeats import Repeats, Wire, read_wire
from fleetune_server.store.base import Store, StoreBusyError, StoredPacket, StoreError

log = logging.getLogger(__name__)
MAX_PACKETS = 100
MAX_BODY = MAX_PACKETS * (MAX_BYTES + 2) + 2  # a full array of the longest packets
BUSY_SECONDS = 2  # to wait when the queue is full
BROKEN_SECONDS = 30  # to wait when the disk is

Answer = Callable[[int, Mapping[str, Any], Mapping[str, str]], None]  # status, JSON, more headers

_NONCE = re.compile(r"[0-9a-f]{32}")
_WORK = re.compile(rb"work=([0-9]{1,12}(?:,[0-9]{1,12})*)")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


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


class AnswerError(Exception):
    """An error that leaves as data."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        index: int | None = None,
        wait: int = 0,
        work: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        more = {"index": index, "bits": work}
        self.error = {"code": code, "message": message} | {k: v for k, v in more.items() if v is not None}
        self.headers = {"retry-after": str(wait)} if wait else {}


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
        work_bits: int = 0,
    ) -> None:
        self.store = store
        self.checker = checker
        self.repeats = Repeats(checker)
        self.limiter = limiter
        self.metrics = metrics
        self.body_seconds = body_seconds
        self.arrived = arrived  # told of new packets once they are durable
        self.work_bits = work_bits  # of fleetune.work that each packet must bring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; everything that can be wrong with it becomes an AnswerError."""
        methods = {"POST": self.take, "DELETE": self.withdraw}
        try:
            method = methods.get(scope["method"])
            if method is None:
                raise AnswerError(405, "method-not-allowed", "POST packets or DELETE nonces")
            try:
                body = await read_body(scope["headers"], receive, MAX_BODY, self.body_seconds)
            except BodyError as error:
                raise AnswerError(error.status, error.code, str(error)) from error
            status, answer, headers = *await method(scope, body), {}
        except AnswerError as error:
            self.metrics.rejected.add(label=error.code)
            status, answer, headers = error.status, {"error": error.error}, error.headers
        await _respond(send, status, answer, headers)

    async def take(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """1-100 packets, all or none: 202 {"accepted", "duplicates"}."""
        start = time.perf_counter()
        packets = self._admit(scope, body)
        try:
            fresh = await self.store.append(packets)
        except StoreError as error:
            raise _unkept(error) from error
        return 202, self._kept(fresh, start)

    def submit(self, scope: Scope, body: bytes, answer: Answer) -> None:
        """`take` without a task: calls `answer` once, now or after the commit."""
        start = time.perf_counter()

        def told(outcome: list[bool] | Exception) -> None:
            if isinstance(outcome, StoreError):
                refuse(_unkept(outcome))
            elif isinstance(outcome, Exception):
                answer(500, {"error": _DEFECT}, {})
            else:
                answer(202, self._kept(outcome, start), {})

        def refuse(error: AnswerError) -> None:
            self.metrics.rejected.add(label=error.code)
            answer(error.status, {"error": error.error}, error.headers)

        try:
            self.store.submit(self._admit(scope, body), told)
        except AnswerError as error:
            refuse(error)
        except StoreError as error:
            refuse(_unkept(error))
        except Exception:  # a defect: its sender hears of it, the connection lives on
            log.exception("unexpected error in the intake")
            answer(500, {"error": _DEFECT}, {})

    def _admit(self, scope: Scope, body: bytes) -> list[StoredPacket]:
        """The packets of a request that may be kept."""
        if PRIVACY_SIGNAL in scope["headers"]:
            raise AnswerError(403, "privacy-signal", REFUSED_BY_SIGNAL)
        wire = _packets(body)
        wires = wire if isinstance(wire, list) else [wire]
        if not 1 <= len(wires) <= MAX_PACKETS:
            raise AnswerError(422, "packet-count", f"1 to {MAX_PACKETS} packets a request")
        wait = self.limiter.take(scope, len(wires))
        if wait:
            raise AnswerError(
                429, "too-many", "too many packets from this network; come back later", wait=wait
            )
        packets = self._check(wires)
        if self.work_bits:
            self._paid(scope["query_string"], packets)
        return packets

    def _kept(self, fresh: list[bool], start: float) -> Mapping[str, Any]:
        """Count what is durable now; the answer."""
        accepted = sum(fresh)
        self.arrived(accepted)
        self.metrics.packets.add(accepted, "accepted")
        self.metrics.packets.add(len(fresh) - accepted, "duplicate")
        self.metrics.ingest.observe(time.perf_counter() - start)
        return {"accepted": accepted, "duplicates": len(fresh) - accepted}

    async def withdraw(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """{"nonces": [...]}: 200 {"removed", "alreadyFolded"}; the rest is unknown here."""
        wire = _json(body)
        nonces = wire.get("nonces") if isinstance(wire, dict) and wire.keys() == {"nonces"} else None
        if not isinstance(nonces, list) or not 1 <= len(nonces) <= MAX_PACKETS:
            raise AnswerError(
                422, "bad-withdrawal", f'{{"nonces": [1 to {MAX_PACKETS} nonces]}} was expected'
            )
        for index, nonce in enumerate(nonces):
            if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
                raise AnswerError(422, "bad-format", "a nonce has 32 hex digits", index)
        try:
            result = await self.store.withdraw(nonces)
        except StoreError as error:
            raise _unkept(error) from error
        self.metrics.withdrawn.add(result.removed)
        return 200, {"removed": result.removed, "alreadyFolded": result.folded}

    def _check(self, wires: list[object]) -> list[StoredPacket]:
        packets: list[StoredPacket] = []
        current: dict[tuple[int, int], bool] = {}
        try:
            for wire in wires:
                if type(wire) is Wire:
                    packets.append(self.repeats.accept(wire, current))
                else:
                    packets.append(self.checker.accept(wire))
        except RefusedError as error:
            raise AnswerError(422, error.code, str(error), index=len(packets)) from error
        except _NOT_JSON as error:  # in a part that was not read at first
            raise _bad_json() from error
        return packets

    def _paid(self, query: bytes, packets: list[StoredPacket]) -> None:
        """`?work=` with an answer for each packet, separated by commas."""
        given = _WORK.fullmatch(unquote_to_bytes(query))  # many clients write a comma as %2C
        answers = [int(text) for text in given[1].split(b",")] if given else []
        pairs = zip(packets, answers, strict=False)
        right = [is_answer(packet.nonce, answer, self.work_bits) for packet, answer in pairs]
        if len(answers) != len(packets) or not all(right):
            what = f"proof of work of {self.work_bits} bits for each report was expected: ?work=answer,..."
            raise AnswerError(428, "work-needed", what, work=self.work_bits)


_BROKEN = "the server cannot write at present; nothing of this was kept"
_DEFECT = {"code": "internal", "message": "a defect of this server; nothing of this was kept"}


def _unkept(error: StoreError) -> AnswerError:
    if isinstance(error, StoreBusyError):
        return AnswerError(503, "busy", "the server is busy", wait=BUSY_SECONDS)
    return AnswerError(503, "store-unavailable", _BROKEN, wait=BROKEN_SECONDS)


_NOT_JSON = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def _packets(body: bytes) -> object:
    """One Wire or a list of them; without their form, plain JSON, for the check to name why."""
    try:
        return read_wire(body)
    except _NOT_JSON:
        return _json(body)


def _json(body: bytes) -> object:
    try:
        return _decode(body)
    except _NOT_JSON as error:
        raise _bad_json() from error


def _bad_json() -> AnswerError:
    return AnswerError(400, "bad-json", "the body is not JSON in UTF-8")


def encoded(answer: Mapping[str, Any], more: Mapping[str, str]) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """An answer's own headers and its body."""
    body = _encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in more.items()]
    return headers, body


async def _respond(send: Send, status: int, answer: Mapping[str, Any], more: Mapping[str, str]) -> None:
    headers, body = encoded(answer, more)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
