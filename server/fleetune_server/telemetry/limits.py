"""How much anyone may send: bodies by size and time, packets by address prefix."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import math
import re
import secrets
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from fleetune_server.common.errors import RefusedError
from fleetune_server.settings import Network, proxy_networks

log = logging.getLogger(__name__)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PERIOD = 3600.0  # seconds of one salt and one count
PREFIXES = 200_000  # counted at once; beyond that counting starts anew
DAY = 24 * PERIOD
PLACE_SHARE = 0.01  # of a prefix's packets that may tell of one kernel in one engine
PLACE_HOURS = 3  # of that in a day: who sends all day counts no more than who comes for some hours
FORWARDED_FOR = b"x-forwarded-for"
FORWARDED = frozenset(
    {FORWARDED_FOR, b"forwarded", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-host", b"via"}
)
REMEDY = (
    "if it is your proxy, name its address in FLEETUNE_TRUSTED_PROXY (127.0.0.1 or ::1 on this machine); until then"
    " everyone behind it shares one network's limit"
)
_PORT = re.compile(r"\[([^]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+")
JSON = b"application/json"


def privacy_signal(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Global Privacy Control: whatever page sent this, its visitor has said no."""
    return any(name == b"sec-gpc" and value.strip() == b"1" for name, value in headers)


def require_json(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse any other content type: a page may send those to another origin without asking first."""
    kinds = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
    if kinds != [JSON]:
        raise RefusedError("unsupported-type")


def read_json(body: bytes) -> Any:
    """The JSON value in UTF-8; RefusedError for anything else, also for half a surrogate pair and for NaN."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusedError("bad-json") from error


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, limit: int, seconds: float
) -> bytes:
    """The whole body, gunzipped if it says so, within `limit` bytes both packed and unpacked; or RefusedError."""
    encoding, length = "identity", "0"
    for name, value in headers:
        if name == b"content-encoding":
            encoding = value.decode("latin-1")
        elif name == b"content-length":
            length = value.decode("latin-1")
    if encoding not in ("identity", "gzip"):
        raise RefusedError("unsupported-encoding")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
        raise RefusedError("too-large", f"at most {limit} bytes a request")
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(receive, limit)
    except TimeoutError:
        raise RefusedError("too-slow", f"the body did not arrive within {seconds:g} s") from None
    return _gunzip(body, limit) if encoding == "gzip" else body


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError("disconnected")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise RefusedError("too-large", f"at most {limit} bytes a request")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _gunzip(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise RefusedError("bad-gzip") from error
    if len(plain) > limit:
        raise RefusedError("too-large", f"at most {limit} bytes unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise RefusedError("bad-gzip")
    return plain


class Buckets:
    """Counts by salted hash, in memory only; a period's end takes salt and counts away."""

    def __init__(self, period: float, now: float) -> None:
        self.period = period
        self._start(now)

    def _start(self, now: float) -> None:
        self.since = now
        self._salt = secrets.token_bytes(16)
        self._used: dict[bytes, int] = {}

    def over(self, counted: Mapping[str, int], limit: int, now: float) -> int:
        """0 if so many more may come of each, else the seconds until the period ends. `add` counts them."""
        if now - self.since >= self.period or len(self._used) >= PREFIXES:
            self._start(now)
        after = (self._used.get(self._key(what), 0) + number for what, number in counted.items())
        return math.ceil(self.since + self.period - now) if max(after, default=0) > limit else 0

    def add(self, counted: Mapping[str, int]) -> None:
        for what, number in counted.items():
            key = self._key(what)
            self._used[key] = self._used.get(key, 0) + number

    def _key(self, what: str) -> bytes:
        return hashlib.blake2b(what.encode(), key=self._salt, digest_size=8).digest()


class RateLimiter:
    """Packets an hour by address prefix, and of one place by hour and day: who is slow must not outvote it either."""

    def __init__(
        self, packets: int, proxies: Iterable[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.packets = packets
        self.proxies = proxy_networks(proxies)
        self.clock = clock
        self._warned = False
        self._hour = Buckets(PERIOD, clock())
        self._day = Buckets(DAY, clock())

    @property
    def of_place(self) -> int:
        """Packets of one place that a prefix may send an hour."""
        return max(1, int(self.packets * PLACE_SHARE))

    def sender(self, scope: Scope) -> Sender:
        """Where this request came from."""
        return sender_of(scope, self.proxies)

    def limits(self, sender: Sender) -> bool:
        """Whether this sender is limited at all."""
        return bool(self.packets) and not sender.local

    def take(self, sender: Sender, packets: int) -> int:
        """0 if these packets may come now, else the seconds to wait."""
        if self.packets and sender.doubtful and not self._warned:
            self._warned = True
            log.warning(
                "forwarded requests from an address that is no trusted proxy", extra={"remedy": REMEDY}
            )
        return self._count(sender, {"": packets}, {self._hour: self.packets})

    def take_places(self, sender: Sender, places: Iterable[str]) -> int:
        """The same by the place that each packet tells of: no prefix may outvote the rest of a place."""
        limits = {self._hour: self.of_place, self._day: self.of_place * PLACE_HOURS}
        return self._count(sender, Counter(places), limits)

    def _count(self, sender: Sender, packets: Mapping[str, int], limits: Mapping[Buckets, int]) -> int:
        if not self.limits(sender):
            return 0
        now = self.clock()
        counted = {f"{sender.prefix} {what}": number for what, number in packets.items()}
        wait = max(buckets.over(counted, limit, now) for buckets, limit in limits.items())
        if not wait:
            for buckets in limits:
                buckets.add(counted)
        return wait


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a request came from, as coarsely as limits need it."""

    prefix: str  # the /24 (IPv4) or /48 (IPv6), or "unknown"
    local: bool = False  # this machine, with nobody behind it
    doubtful: bool = False  # it names somebody behind it, and is no proxy that we trust


def sender_of(scope: Scope, proxies: Collection[Network]) -> Sender:
    """The peer; behind trusted proxies, the last hop that they did not add themselves.

    What stands before that hop in X-Forwarded-For is the sender's own text.
    """
    client = scope.get("client")
    peer = _address(client[0] if client else "")
    forwarded = [value for name, value in scope["headers"] if name in FORWARDED]
    if not _trusted(peer, proxies):
        local = peer is not None and peer.is_loopback
        return Sender(_prefix(peer), local and not forwarded, bool(forwarded))
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == FORWARDED_FOR]
    hops = [hop.strip() for line in lines for hop in line.split(",")]
    nearest = peer
    while _trusted(nearest, proxies) and hops:
        nearest = _address(hops.pop())
    local = peer is not None and peer.is_loopback and not forwarded
    return Sender(_prefix(nearest), local)


def _address(text: str) -> Address | None:
    """The address in a peer's or a hop's name, perhaps with a port or a zone; None if there is none."""
    match = _PORT.fullmatch(text)
    try:
        parsed = ipaddress.ip_address((match[1] or match[2] if match else text).partition("%")[0])
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed


def _trusted(address: Address | None, proxies: Collection[Network]) -> bool:
    return address is not None and any(address in network for network in proxies)


def _prefix(address: Address | None) -> str:
    if address is None:
        return "unknown"
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
