"""What a packet must mean, beyond its form: a known cell, a round in progress, a value that can occur."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune.packet import DAY, Packet, PacketError, check, snap
from fleetune.privacy import EPSILONS
from fleetune_server.common.errors import RefusedError
from fleetune_server.store.base import Cell, StoredPacket

CLOCK_SLACK = 3600  # seconds that a sender's clock may be ahead around midnight


class Rounds(Protocol):
    """What the check needs to know of published models."""

    def keeps(self, version: int) -> bool: ...

    def clips(self, version: int, kernel: Kernel, environment: Environment) -> tuple[float, ...]: ...

    def base(
        self, version: int, kernel: Kernel, context: Context, environment: Environment, candidate: str
    ) -> float | None: ...


class Checker:
    """Turns wire packets into stored ones, or refuses them."""

    def __init__(
        self,
        kernels: Callable[[], Mapping[str, Kernel]],
        rounds: Rounds,
        stale_days: int,
        heldout: Callable[[str], bool],
        clock: Callable[[], float],
        bounded: Callable[[Environment, float], Environment] = lambda environment, now: environment,
    ) -> None:
        self._kernels = kernels  # by signature, as served now
        self._seen: Mapping[str, Kernel] = {}
        self._contexts: dict[str, tuple[int, int, frozenset[str]]] = {}
        self.rounds = rounds
        self.stale_days = stale_days
        self.heldout = heldout
        self.clock = clock
        self.bounded = bounded  # the kind of browser that counts, for one that there cannot be at this time

    def accept(self, wire: object) -> StoredPacket:
        """The packet to store; raises RefusedError."""
        try:
            packet = check(wire)
            kernel = self._place(packet)
            clip = self._round(packet, kernel)
            base = self.rounds.base(
                packet.model_version, kernel, packet.context, packet.environment, packet.variant
            )
            if base is None:
                raise RefusedError("unknown-variant")
            symbol = snap(packet.speedup, base, clip, packet.epsilon)
        except PacketError as error:
            raise RefusedError(error.reason, str(error)) from error
        cell = Cell(
            packet.profile_signature,
            packet.context,
            self.bounded(packet.environment, self.clock()),
            packet.variant,
            packet.model_version,
            packet.epsilon,
            clip,
            base,
        )
        return StoredPacket(cell, symbol, packet.nonce, self.heldout(packet.nonce))

    def _place(self, packet: Packet) -> Kernel:
        kernels = self._kernels()
        if kernels is not self._seen:
            self._contexts = {kernel.signature: _contexts(kernel) for kernel in kernels.values()}
            self._seen = kernels
        kernel = kernels.get(packet.profile_signature)
        if kernel is None:
            raise RefusedError("unknown-kernel")
        low, high, patterns = self._contexts[kernel.signature]
        context = packet.context
        if (
            context.dtype != kernel.dtype
            or context.pattern not in patterns
            or not low <= context.log2_size <= high
        ):
            raise RefusedError("unknown-context")
        return kernel

    def _round(self, packet: Packet, kernel: Kernel) -> float:
        if packet.epsilon not in EPSILONS:
            raise RefusedError("wrong-epsilon")
        if not self.rounds.keeps(packet.model_version):
            raise RefusedError("unknown-model")
        legal = self.rounds.clips(packet.model_version, kernel, packet.environment)
        clip = next((c for c in legal if math.isclose(packet.clip, c, rel_tol=1e-9)), None)
        if clip is None:
            raise RefusedError("wrong-clip")
        code = day_fault(packet.timestamp, self.clock(), self.stale_days)
        if code:
            raise RefusedError(code)
        return clip


def day_fault(timestamp: int, now: float, stale_days: int) -> str:
    """Why a report or rating of this day is not taken now; empty if it is."""
    if timestamp > now + CLOCK_SLACK:
        return "future"
    return "stale" if timestamp <= now - (stale_days + 1) * DAY else ""


def _contexts(kernel: Kernel) -> tuple[int, int, frozenset[str]]:
    """(least, most log2 size, patterns) that reports about a kernel may name."""
    contexts = [context for _size, _pattern, _copied, context in kernel.contexts()]
    sizes = [context.log2_size for context in contexts]
    return min(sizes), max(sizes), frozenset(context.pattern for context in contexts)
