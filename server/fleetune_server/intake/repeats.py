"""What repeats from packet to packet is checked once: the cell, its round and its privacy level."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fleetune.packet import MAX_BYTES
from fleetune_server.intake.check import Checker
from fleetune_server.store.base import Cell, StoredPacket

PLACES = 12_000  # remembered at once, 1 to 3 kB each; beyond that remembering starts anew
MAX_KEY = MAX_BYTES  # bytes of the raw parts of what is remembered: JSON may be blown up with white space

_NONCE = re.compile(r"[0-9a-f]{32}").fullmatch


class Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A packet read as far as its form goes; Raw parts are compared byte by byte, or read and checked."""

    v: int
    profileSignature: str  # noqa: N815 - the names on the wire
    contextHash: str  # noqa: N815
    context: msgspec.Raw
    environment: msgspec.Raw
    browserFingerprint: str  # noqa: N815
    actualSpeedups: dict[str, float]  # noqa: N815
    privacy: msgspec.Raw
    modelVersion: int  # noqa: N815
    timestamp: int
    nonce: str

    def read(self) -> dict[str, Any]:
        """The whole packet as JSON values; raises msgspec.DecodeError."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("context", "environment", "privacy"):
            values[name] = _decode(values[name])
        return values


read_wire = msgspec.json.Decoder(Wire | list[Wire]).decode
_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class _Place:
    """A cell that a packet was accepted for, and the symbols of the values seen there (64 are legal)."""

    cell: Cell
    symbols: dict[float, int] = field(default_factory=dict)


class Repeats:
    """The checker with a memory: of what passed it in full, under all bytes that decided it."""

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self._kernels = checker.kernels
        self._places: dict[tuple[object, ...], _Place] = {}

    def accept(self, wire: Wire, current: dict[tuple[int, int], bool]) -> StoredPacket:
        """As Checker.accept; msgspec.DecodeError if a raw part is not JSON.

        `current` remembers Checker.current for the packets of one request, which hardly ever differ in it.
        """
        checker = self.checker
        if checker.kernels is not self._kernels or len(self._places) >= PLACES:
            self._kernels, self._places = checker.kernels, {}
        if len(wire.actualSpeedups) != 1:
            return checker.accept(wire.read())
        ((variant, speedup),) = wire.actualSpeedups.items()
        context, environment, privacy = bytes(wire.context), bytes(wire.environment), bytes(wire.privacy)
        key = (
            context,
            wire.profileSignature,
            wire.contextHash,
            environment,
            wire.browserFingerprint,
            variant,
            privacy,
            wire.modelVersion,
            wire.v,
        )
        place = self._places.get(key)
        if place is not None:
            symbol = place.symbols.get(speedup)
            if symbol is not None and _NONCE(wire.nonce):
                when = wire.modelVersion, wire.timestamp
                if when not in current:
                    current[when] = checker.current(*when)
                if current[when]:
                    return StoredPacket(place.cell, symbol, wire.nonce, checker.heldout(wire.nonce))
        packet = checker.accept(wire.read())
        if len(context) + len(environment) + len(privacy) > MAX_KEY:
            return packet
        if place is None or place.cell != packet.cell:
            place = self._places[key] = _Place(packet.cell)
        place.symbols[speedup] = packet.symbol
        return StoredPacket(place.cell, packet.symbol, packet.nonce, packet.heldout)
