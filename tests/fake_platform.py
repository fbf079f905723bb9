"""A Platform for CPython: storage in memory, a virtual clock, and a bench with made-up, repeatable times.

A test fixture. The bench behaves as the real one does where it matters: it is slow until warm, it ticks, it
never runs faster than the true time, and once a call has hung it must be started again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fleetune.app.platform import BenchError, BenchTimeout, Clock, Loaded, NetworkError, Response

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
CALL_MS = 0.3  # one message to the bench worker and back
RESTART_MS = 80.0
WARM_MS = 6.0  # run time after which a loop is compiled hot
COLD = 3.0  # how much slower it is before

Answer = Callable[[str, str, bytes | None], Awaitable[Response]]


@dataclass
class Time:
    """Virtual time: only the fakes move it."""

    unix: float = NOON
    ms: float = 0.0

    def advance(self, ms: float) -> None:
        self.ms += ms
        self.unix += ms / 1000


class FakeStore:
    """Values as JSON text, so that what is not JSON-able fails here too."""

    def __init__(self, *, persistent: bool = True) -> None:
        self.values: dict[str, str] = {}
        self._persistent = persistent
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, key: str) -> Any:
        return json.loads(self.values.get(key, "null"))

    async def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value, allow_nan=False)

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    async def persistent(self) -> bool:
        return self._persistent


def by_name(kernel: str, candidate: str, size: int, copied: bool) -> float:
    """ms of one call: each optimisation helps, copying costs; the same for every run."""
    gain = {"js": 1.0, "scalar": 1.1}.get(candidate, 1.0 + 0.9 * len(candidate.split("+")))
    copy = 1e-7 * size if copied and candidate not in ("js", "js-tuned") else 0.0
    return (2e-5 + 1e-6 * size) / gain + copy


@dataclass
class FakeBench:
    """Deterministic times: `true_ms(kernel, candidate, size, copied)` and noise that only adds."""

    time: Time
    step: float = 0.005
    noise: float = 0.02
    true_ms: Callable[[str, str, int, bool], float] = by_name
    wrong: Mapping[str, str] = field(default_factory=dict)  # candidate → what check says
    broken: Mapping[str, str] = field(default_factory=dict)  # candidate → why it does not load
    hang_check: frozenset[str] = frozenset()
    hang_run: frozenset[str] = frozenset()
    trap_run: frozenset[str] = frozenset()
    restarts: int = 0
    calls: list[str] = field(default_factory=list)
    rounds: list[list[tuple[str, int]]] = field(default_factory=list)
    on_run: Callable[[], None] = lambda: None
    _loaded: tuple[str, int, bool] | None = None
    _warm: dict[tuple[str, str, bool], float] = field(default_factory=dict)
    _random: random.Random = field(default_factory=lambda: random.Random(7))

    async def open(self) -> Clock:
        return Clock(self.step, self.step < 0.1)

    async def load(
        self, kernel: str, candidates: Sequence[str], size: int, pattern: str, copied: bool, seed: int
    ) -> Loaded:
        self._spend("load", 5.0)
        if "js" in self.hang_check:
            self._hang("load", 20_000, None)
        self._loaded = kernel, size, copied
        failed = {name: self.broken[name] for name in candidates if name in self.broken}
        return Loaded(failed, 32, 32 * self.true_ms(kernel, "js", size, copied), 1 << 20)

    async def check(self, candidate: str, limit_ms: float) -> str | None:
        self._spend(f"check {candidate}", CALL_MS)
        if candidate in self.hang_check:
            self._hang("check", limit_ms, candidate)
        return self.wrong.get(candidate)

    async def run(self, order: Sequence[tuple[str, int]], limit_ms: float) -> list[float]:
        began = self.time.ms
        self._spend("run", CALL_MS)
        self.rounds.append(list(order))
        self.on_run()
        await asyncio.sleep(0)  # as in the browser, other operations get their turn
        times = []
        for candidate, iterations in order:
            if candidate in self.hang_run:
                self._hang("run", limit_ms, None)
            if candidate in self.trap_run:
                raise BenchError(f"{candidate}: unreachable", candidate)
            times.append(self._batch(candidate, iterations))
        if self.time.ms - began > limit_ms:
            self._loaded = None
            raise BenchTimeout(f"run: no answer within {limit_ms:.0f} ms", None)
        return times

    async def restart(self) -> None:
        self.restarts += 1
        self.time.advance(RESTART_MS)
        self._loaded = None
        self._warm.clear()

    def _batch(self, candidate: str, iterations: int) -> float:
        assert self._loaded, "nothing is loaded"
        kernel, size, copied = self._loaded
        key = kernel, candidate, copied
        ran = self._warm.get(key, 0.0)
        factor = (COLD if ran < WARM_MS else 1.0) * (1 + self.noise * abs(self._random.gauss(0, 1)))
        ms = iterations * self.true_ms(kernel, candidate, size, copied) * factor
        self._warm[key] = ran + ms
        self.time.advance(ms)
        return round(ms / self.step) * self.step

    def _spend(self, call: str, ms: float) -> None:
        self.calls.append(call)
        self.time.advance(ms)

    def _hang(self, op: str, limit_ms: float, candidate: str | None) -> None:
        self.time.advance(limit_ms)
        self._loaded = None
        raise BenchTimeout(f"{op}: no answer within {limit_ms:.0f} ms", candidate)


async def unreachable(method: str, path: str, body: bytes | None) -> Response:
    """A server that is not there."""
    raise NetworkError("the server cannot be reached: check the connection and try again")


@dataclass
class FakePlatform:
    """Everything an app sees of the world. `answer` is the server; `events` and `requests` are the record."""

    answer: Answer = unreachable
    time: Time = field(default_factory=Time)
    store: FakeStore = field(default_factory=FakeStore)
    gpc: bool = False
    seed: int = 1
    events: list[tuple[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, bytes | None]] = field(default_factory=list)
    bench: FakeBench = field(init=False)

    def __post_init__(self) -> None:
        self.bench = FakeBench(self.time)
        self._bytes = random.Random(self.seed)
        self._seen: dict[str, asyncio.Event] = {}

    async def fetch(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.requests.append((method, path, body))
        return await self.answer(method, path, body)

    def now(self) -> float:
        return self.time.unix

    def clock(self) -> float:
        return self.time.ms

    async def sleep(self, seconds: float) -> None:
        self.time.advance(1000 * seconds)
        await asyncio.sleep(0)

    def entropy(self, n: int) -> bytes:
        return self._bytes.randbytes(n)

    async def ed25519_verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def emit(self, event: str, data: Any) -> None:
        self.events.append((event, json.loads(json.dumps(data, allow_nan=False))))

        self._seen.setdefault(event, asyncio.Event()).set()

    async def seen(self, event: str) -> None:
        """Wait until an event of this name has been emitted."""
        await self._seen.setdefault(event, asyncio.Event()).wait()

    def privacy_signal(self) -> bool:
        return self.gpc

    def emitted(self, event: str) -> list[Any]:
        """The data of every event of this name, in order."""
        return [data for name, data in self.events if name == event]
