"""What a packet must mean, beyond its form: a known cell, a round in progress, a value that can occur."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.packet import DAY, Packet, PacketError, check, snap
from fleetune_server.store.base import Cell, StoredPacket

CLOCK_SLACK = 3600  # seconds that a sender's clock may be ahead around midnight

MEANINGS: Mapping[str, str] = {
    "unknown-kernel": "profileSignature: no kernel of this server's catalogue",
    "unknown-context": "context: not one that this kernel is measured in",
    "unknown-variant": "actualSpeedups: no variant that this environment can run",
    "unknown-model": "modelVersion: not published here, or too old; fetch /api/model/latest",
    "wrong-epsilon": "privacy.epsilon: not a level that this server accepts",
    "wrong-clip": "privacy.clip: not the clip of that model version",
    "stale": "timestamp: the day is too long ago",
    "future": "timestamp: the day has not begun yet",
}


class RefusedError(ValueError):
    """A packet that is not taken: a code for programs, a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rounds(Protocol):
    """What the check needs to know of published models."""

    def clip(self, version: int) -> float | None: ...

    def base(
        self, version: int, kernel: Kernel, context: Context, environment: Environment, candidate: str
    ) -> float | None: ...


class Checker:
    """Turns wire packets into stored ones, or refuses them."""

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        rounds: Rounds,
        epsilons: tuple[float, ...],
        stale_days: int,
        heldout: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self.adopt(kernels)
        self.rounds = rounds
        self.epsilons = epsilons
        self.stale_days = stale_days
        self.heldout = heldout
        self.clock = clock

    def adopt(self, kernels: Mapping[str, Kernel]) -> None:
        """Accept reports about these kernels, by signature, from now on."""
        self.kernels = kernels
        self._contexts = {kernel.signature: _contexts(kernel) for kernel in kernels.values()}

    def accept(self, wire: object) -> StoredPacket:
        """The packet to store; raises RefusedError."""
        try:
            packet = check(wire)
            kernel = self._place(packet)
            clip = self._round(packet)
            base = self.rounds.base(
                packet.model_version, kernel, packet.context, packet.environment, packet.variant
            )
            if base is None:
                raise _refused("unknown-variant")
            symbol = snap(packet.speedup, base, clip, packet.epsilon)
        except PacketError as error:
            raise RefusedError(error.reason, str(error)) from error
        cell = Cell(
            packet.profile_signature,
            packet.context,
            packet.environment,
            packet.variant,
            packet.model_version,
            packet.epsilon,
            clip,
            base,
        )
        return StoredPacket(cell, symbol, packet.nonce, self.heldout(packet.nonce))

    def _place(self, packet: Packet) -> Kernel:
        kernel = self.kernels.get(packet.profile_signature)
        if kernel is None:
            raise _refused("unknown-kernel")
        low, high, patterns = self._contexts[kernel.signature]
        context = packet.context
        if (
            context.dtype != kernel.dtype
            or context.pattern not in patterns
            or not low <= context.log2_size <= high
        ):
            raise _refused("unknown-context")
        return kernel

    def _round(self, packet: Packet) -> float:
        if packet.epsilon not in self.epsilons:
            raise _refused("wrong-epsilon")
        clip = self.rounds.clip(packet.model_version)
        if clip is None:
            raise _refused("unknown-model")
        if not math.isclose(packet.clip, clip, rel_tol=1e-9):
            raise _refused("wrong-clip")
        code = self._day(packet.timestamp)
        if code:
            raise _refused(code)
        return clip

    def current(self, version: int, timestamp: int) -> bool:
        """Whether packets of that round and day are taken now: all that time can change."""
        return timestamp % DAY == 0 and self.rounds.clip(version) is not None and not self._day(timestamp)

    def _day(self, timestamp: int) -> str:
        now = self.clock()
        if timestamp > now + CLOCK_SLACK:
            return "future"
        return "stale" if timestamp <= now - (self.stale_days + 1) * DAY else ""


def _contexts(kernel: Kernel) -> tuple[int, int, frozenset[str]]:
    """(least, most log2 size, patterns) that reports about a kernel may name."""
    contexts = [context for _size, _pattern, _copied, context in kernel.contexts()]
    sizes = [context.log2_size for context in contexts]
    return min(sizes), max(sizes), frozenset(context.pattern for context in contexts)


def _refused(code: str) -> RefusedError:
    return RefusedError(code, MEANINGS[code])
