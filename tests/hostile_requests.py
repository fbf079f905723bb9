"""Requests that nobody honest sends, drawn from the schema and from what parsers trip over; seeded."""

from __future__ import annotations

import copy
import gzip
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from fleetune.work import search

PATHS = (
    "/", "/dashboard", "/privacy", "/fleetune.js", "/sw.js", "/static/page/page.js", "/pyodide/pyodide.mjs",
    "/kernels/{t}/{t}", "/models/{t}", "/keys.json", "/api/boot.json", "/api/kernels", "/api/own-kernels",
    "/api/own-kernels/{t}", "/api/model/latest", "/api/model/latest?version={n}&draw={n}", "/api/decisions",
    "/api/decisions/{t}", "/api/decisions?{t}={n}", "/api/plan?{t}={n}", "/api/plan?environment={t}",
    "/api/privacy.json", "/api/metrics", "/metrics", "/healthz", "/readyz", "/.well-known/gpc.json",
    "/functions", "/functions?q={t}", "/functions?lang={t}", "/functions/{t}", "/regressions",
    "/data/{t}", "/data/{t}.json",
    "/api/telemetry", "/api/feedback", "/ws", "/{t}", "/static/{t}", "/pyodide/{t}", "/wheels/{t}",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-1", "1", "2147483648", "9007199254740993", "18446744073709551616", "1e3", "1e-400", "1e999",
    "-1e999", "0.1", "0.30000000000000004", "1.5e308", "9" * 400, "NaN", "Infinity", "-Infinity", "01", "+1",
    "0x10", "1_000", "\u0661", "",
)  # fmt: skip
TEXTS = (
    "", "a", "A" * 5000, "\x00", "\u202e", "\ud7ff", "%00", "%2e%2e%2f", "..", "../../etc/passwd", "%", "%zz",
    "%ff%fe", "'; DROP TABLE packets; --", "<script>", "null", "true", "\u0000\uffff", "a" * 64, "0" * 32,
    "chromium", "é", "\U0001f600" * 50, "constructor", "__proto__", "${7*7}", "\r\nset-cookie: a=b",
)  # fmt: skip
RAW_VALUES = (
    *(number.encode() for number in NUMBERS),
    b"null", b"true", b"[]", b"{}", b'""', b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\u0000"', b'"\\x"',
    b"[" * 3000, b'{"a":' * 3000, b"[" * 3000 + b"]" * 3000,
    b'"' + b"a" * 70_000 + b'"', b"'a'", b"undefined",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "get", "BREW")
HEADERS = (
    "host: ", "host: a b", "host: [::1", "host: evil.example:99999", "range: bytes=0-", "range: bytes=9-1",
    "range: bytes=-0,-1,0-0", "range: bytes=" + ",".join(f"{i}-{i}" for i in range(500)), "range: lines=1-2",
    "origin: null", "origin: https://evil.example", "origin: \x80", "if-none-match: *", "if-none-match: \"",
    "accept-encoding: " + "gzip," * 200, "accept-encoding: ;q=", "cookie: a=b", "content-type: \"",
    "expect: 100-continue",
    "expect: nonsense", "access-control-request-method: POST", "x-forwarded-for: 1.2.3.4, \xff",
    "upgrade: h2c",
    "connection: upgrade", "authorization: Bearer \xe9", "x: " + "y" * 15_000, "te: trailers", "sec-gpc: 1",
)  # fmt: skip
Work = dict[str, Any] | None  # what a server asks for: {"bits", "challenge"}
ZERO_BOMB = gzip.compress(b"0" * 30_000_000)
DEEP_BOMB = gzip.compress(b"[" * 20_000_000)


@dataclass(frozen=True)
class Attack:
    """Bytes for one connection. `framed`: whole HTTP, so an answer is due and the connection may live on."""

    kind: str
    data: bytes
    framed: bool = True
    head: bool = False  # an answer without a body
    status: frozenset[int] = frozenset()  # if not empty: the only answers allowed


class Attacks:
    """An endless source: packet bodies, odd headers and paths, broken HTTP, WebSocket garbage, false work."""

    def __init__(self, random: Random, packets: list[dict[str, Any]], work: Work = None) -> None:
        self.random = random
        self.packets = packets
        self.asked = work
        self._kinds: dict[Callable[[], Attack], int] = {
            self.packet: 45, self.feedback: 8, self.withdrawal: 6, self.gzipped: 6, self.route: 20,
            self.framing: 7, self.websocket: 8, self.work: 6,
        }  # fmt: skip

    def draw(self) -> Attack:
        (kind,) = self.random.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def packet(self) -> Attack:
        return self._post("packet", "/api/telemetry", self._body())

    def work(self) -> Attack:
        """Proof of work that is right, wrong or no number, asked for or not."""
        wire = {**self.random.choice(self.packets), "nonce": os.urandom(16).hex()}
        right = str(paid(wire["nonce"], self.asked))
        answers = [
            right,
            "0",
            "-1",
            "1e3",
            "9" * 13,
            "9" * 5000,
            ",",
            right + ",",
            ",".join("1" * 200),
            "%31",
            "",
        ]
        answer = self.random.choice([*answers, self._quoted(self.random.choice(TEXTS))])
        query = self.random.choice(
            (f"work={answer}", f"work={answer}&work=1", f"Work={answer}", "work", "&" * 50)
        )
        body = json.dumps(wire if self.random.random() < 0.8 else [wire] * 3).encode()
        return self._post("work", f"/api/telemetry?{query}", body)

    def feedback(self) -> Attack:
        answer = {"v": 1, "good": True, "timestamp": 0, "nonce": os.urandom(16).hex()}
        return self._post(
            "feedback", "/api/feedback", self._broken(json.dumps(self._mutated(answer)).encode())
        )

    def withdrawal(self) -> Attack:
        nonces: list[Any] = [
            self.random.choice([*TEXTS, 5, None, []]) for _ in range(self.random.choice((0, 1, 5, 101)))
        ]
        body = json.dumps(self._mutated({"nonces": nonces})).encode()
        return self._request("withdrawal", "DELETE", "/api/telemetry", self._broken(body), [])

    def gzipped(self) -> Attack:
        packed = gzip.compress(self._body(), 1)
        cut = self.random.randrange(1, len(packed))
        bombs = (ZERO_BOMB, DEEP_BOMB)
        body = self.random.choice([packed, packed[:cut], packed + packed, gzip.compress(packed, 1), *bombs])
        if self.random.random() < 0.2:
            body = self._flipped(body)
        encoding = self.random.choice(("gzip", "gzip", "gzip", "GZIP", "deflate", "gzip, gzip", "br"))
        return self._request(
            "gzip", "POST", "/api/telemetry", body[:100_000], [f"content-encoding: {encoding}"]
        )

    def route(self) -> Attack:
        path = self.random.choice(PATHS)
        path = path.replace("{t}", self._quoted(self.random.choice(TEXTS)))
        path = path.replace("{n}", self._quoted(self.random.choice(NUMBERS)))
        extra = self.random.sample(HEADERS, self.random.choice((0, 1, 1, 2)))
        method = self.random.choice(("GET", "GET", "GET", *METHODS))
        body = self._body() if self.random.random() < 0.1 else b""
        return self._request("route", method, path, body, extra)

    def framing(self) -> Attack:
        """Not HTTP, or not all of it."""
        body = self._body()[:200]
        post = b"POST /api/telemetry HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        data = self.random.choice(
            [
                os.urandom(self.random.randrange(1, 200)),
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET  /\r\n\r\n",
                b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3000 + b"\r\n",
                b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
                b"GET / HTTP/1.1\r\nhost: x\r\nno",
                post + b"content-length: -1\r\n\r\n" + body,
                post + b"content-length: 1e3\r\n\r\n" + body,
                post + b"content-length: 99999999999999999999\r\n\r\n" + body,
                post + b"content-length: 5\r\ncontent-length: 7\r\n\r\n" + body,
                post + b"content-length: 4000\r\n\r\n" + body,
                post + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + body,
                post + b"transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n" + body,
                post + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                post + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 500,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(100),
            ]
        )
        return Attack("framing", data, framed=False)

    def websocket(self) -> Attack:
        """A handshake, mostly right, then frames that are mostly wrong."""
        key = self.random.choice(("AAAAAAAAAAAAAAAAAAAAAA==", "short", "\xff"))
        version = self.random.choice(("13", "13", "13", "12", "x"))
        origin = self.random.choice(("", "", "origin: http://x\r\n", "origin: https://evil.example\r\n"))
        head = (
            f"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n{origin}"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: {version}\r\n\r\n"
        ).encode("latin-1")
        frames = b"".join(self._frame() for _ in range(self.random.randrange(4)))
        wrong = (
            frozenset({403}) if "evil" in origin and key[0] == "A" and version == "13" else frozenset[int]()
        )
        return Attack("websocket", head + frames, framed=False, status=wrong)

    def slow(self, framed: bool) -> Attack:
        """Half of a packet; `framed` if the head shall be whole: then the server must end it in its own time."""
        packet = json.dumps(self.random.choice(self.packets)).encode()
        whole = self._request("slow", "POST", "/api/telemetry", packet, []).data
        body = whole.index(b"\r\n\r\n") + 4
        cut = self.random.randrange(body, len(whole)) if framed else self.random.randrange(1, body - 3)
        return Attack("slow", whole[:cut], framed)

    def _frame(self) -> bytes:
        hello = json.dumps(self._mutated({"type": "hello", "version": 1, "draw": 5})).encode()
        payload = self.random.choice(
            [hello, hello, b"\xff\xfe", os.urandom(50), b"a" * 5000, b"[" * 4000, b""]
        )
        first = self.random.choice((0x81, 0x81, 0x81, 0x01, 0x82, 0x80, 0x88, 0x89, 0x8A, 0xF1, 0x83, 0x09))
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
        if self.random.random() < 0.1:
            length = b"\xff" + struct.pack("!Q", self.random.choice((2**63, 2**62, 5)))
        if self.random.random() < 0.1:
            return bytes([first, size & 0x7F]) + payload  # not masked
        return bytes([first]) + length + bytes(4) + payload

    def _body(self) -> bytes:
        packets = [
            self._mutated(self.random.choice(self.packets))
            for _ in range(self.random.choice((1, 1, 1, 1, 2, 2, 3, 110)))
        ]
        wire: object = packets[0] if len(packets) == 1 else packets
        return self._broken(json.dumps(wire).encode())

    def _mutated(self, wire: dict[str, Any]) -> dict[str, Any]:
        """One or more fields replaced, removed, renamed, added or nested; a fresh nonce if it has one."""
        wire = copy.deepcopy(wire)
        if "nonce" in wire:
            wire["nonce"] = os.urandom(16).hex()
        for _ in range(self.random.choice((0, 1, 1, 1, 3))):
            inner = [value for value in wire.values() if isinstance(value, dict) and value]
            target = self.random.choice([wire, wire, *inner])
            name = self.random.choice(list(target) or ["v"])
            value = self.random.choice(
                [*TEXTS, 0, -1, 2**53 + 1, 10**30, 1e308, 0.1, True, None, [], {}, [name], target]
            )
            if value is target:
                value = copy.deepcopy(target)
            change = self.random.randrange(5)
            if change == 0:
                target.pop(name, None)
            elif change == 1:
                target[self.random.choice(TEXTS)] = value
            elif change == 2:
                target[name.upper()] = target.pop(name, None)
            else:
                target[name] = value
        return wire

    def _broken(self, body: bytes) -> bytes:
        """Sometimes broken below the level of JSON values."""
        draw = self.random.random()
        at = self.random.randrange(len(body) + 1)
        if draw < 0.15:
            return body.replace(b": ", b": " + self.random.choice(RAW_VALUES) + b", ", 1)
        if draw < 0.3:
            before, _, after = body.partition(b": ")
            return before + b": " + self.random.choice(RAW_VALUES) + b"," + after.partition(b",")[2]
        if draw < 0.4:
            return body[:at]
        if draw < 0.5:
            return self._flipped(body)
        return self.random.choice(RAW_VALUES) if draw < 0.55 else body

    def _flipped(self, body: bytes) -> bytes:
        flipped = bytearray(body)
        for _ in range(self.random.randrange(1, 5)):
            if flipped:
                flipped[self.random.randrange(len(flipped))] = self.random.randrange(256)
        return bytes(flipped)

    def _quoted(self, text: str) -> str:
        """Mostly as it may stand in a request line; now and then as it is."""
        raw = "".join(c if 32 < ord(c) < 127 else "".join(f"%{b:02x}" for b in c.encode()) for c in text)
        return raw if self.random.random() < 0.95 else text.encode().decode("latin-1")

    def _post(self, kind: str, path: str, body: bytes) -> Attack:
        extra = self.random.sample(HEADERS, 1) if self.random.random() < 0.1 else []
        return self._request(kind, "POST", path, body, extra)

    def _request(self, kind: str, method: str, path: str, body: bytes, extra: list[str]) -> Attack:
        lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *extra]
        if body and self.random.random() < 0.95:
            lines.append("content-type: application/json")
        data = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        odd = any(header.startswith(("upgrade", "connection", "expect")) for header in extra)
        return Attack(kind, data, framed=not odd and method != "CONNECT", head=method == "HEAD")


def paid(nonce: str, asked: Work) -> int:
    """The proof of work for one report; any number where none is asked for."""
    if asked is None:
        return 0
    answer = search(asked["challenge"], nonce, asked["bits"], 0, 1 << 20)
    assert answer is not None
    return answer
