"""How much anyone may send: bodies by size and time, packets by address prefix."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
import secrets
import time
import zlib
from collections.abc import Callable, Collection, Iterable

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

PERIOD = 3600.0  # seconds of one salt and one count
PREFIXES = 200_000  # counted at once; beyond that counting starts anew
_LOCAL = "local"
# Global Privacy Control: whatever page sent this, its visitor has said no.
PRIVACY_SIGNAL = (b"sec-gpc", b"1")
REFUSED_BY_SIGNAL = "this browser sends the Global Privacy Control signal, so nothing of this was kept"


class BodyError(ValueError):
    """A request body that is not read to its end: HTTP status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int, seconds: float
) -> bytes:
    """The whole body, gunzipped if it says so, within `limit` bytes both packed and unpacked."""
    encoding, length = "identity", "0"
    for name, value in headers:
        if name == b"content-encoding":
            encoding = value.decode("latin-1")
        elif name == b"content-length":
            length = value.decode("latin-1")
    if encoding not in ("identity", "gzip"):
        raise BodyError(415, "unsupported-encoding", "content-encoding: gzip or none")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
        raise BodyError(413, "too-large", f"at most {limit} bytes a request")
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(receive, limit)
    except TimeoutError:
        raise BodyError(408, "too-slow", f"the body did not arrive within {seconds:g} s") from None
    return _gunzip(body, limit) if encoding == "gzip" else body


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyError(400, "disconnected", "the sender left in the middle of the body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyError(413, "too-large", f"at most {limit} bytes a request")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _gunzip(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyError(400, "bad-gzip", "the body is not gzip") from error
    if len(plain) > limit:
        raise BodyError(413, "too-large", f"at most {limit} bytes unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise BodyError(400, "bad-gzip", "the body is not one whole gzip stream")
    return plain


class RateLimiter:
    """Packets an hour by salted hash of the address prefix. In memory only; the salt changes every hour."""

    def __init__(
        self, packets: int, proxies: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.packets = packets
        self.proxies = frozenset(proxies)
        self.clock = clock
        self._start(clock())

    def _start(self, now: float) -> None:
        self._since = now
        self._salt = secrets.token_bytes(16)
        self._used: dict[bytes, int] = {}

    def take(self, scope: Scope, packets: int) -> int:
        """0 if these packets may come now, else the seconds to wait."""
        now = self.clock()
        if now - self._since >= PERIOD or len(self._used) >= PREFIXES:
            self._start(now)
        prefix = address_prefix(scope, self.proxies)
        if not self.packets or prefix == _LOCAL:
            return 0
        key = hashlib.blake2b(prefix.encode(), key=self._salt, digest_size=8).digest()
        used = self._used.get(key, 0) + packets
        if used > self.packets:
            return math.ceil(self._since + PERIOD - now)
        self._used[key] = used
        return 0


def address_prefix(scope: Scope, proxies: Collection[str]) -> str:
    """The sender's /24 (IPv4) or /48 (IPv6); behind a trusted proxy, of the last address it vouches for."""
    client = scope.get("client")
    address = client[0] if client else ""
    if address in proxies:
        forwarded = Headers(scope=scope).get("x-forwarded-for", "").split(",")
        hops = [hop.strip() for hop in forwarded if hop.strip() not in proxies]
        address = hops[-1] if hops else address
    if address == "127.0.0.1":  # a local proxy: every request
        return _LOCAL
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return _LOCAL
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))
