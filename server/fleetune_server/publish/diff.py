"""Write the delta between two models, and chains of deltas; `fleetune.delta` has the format and applies them.

Runs that occur once in both files anchor an alignment (the matching of a patience diff), numbers are
subtracted along it, and what has no counterpart is carried as it is. Quantised weights that moved a little
give small differences, rows that did not move give zeros. Which differences are zero is stored bit by bit
(deflate spends no less than a bit on a byte, and breaks its runs at each change). Whether a block of bytes is
subtracted as bytes or as 16-bit numbers is tried out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleetune.delta import (
    BLOCK,
    CHAIN,
    HEADER,
    MAGIC,
    MAX_CHAIN,
    MAX_SIZE,
    Bytes,
    DeltaError,
    digest,
    layout,
    number_at,
)
from fleetune_server.publish.alignment import COST, copies


def diff(old: bytes, new: bytes) -> bytes:
    """The delta for which `apply(old, delta) == new`; DeltaError if either is above MAX_SIZE."""
    if max(len(old), len(new)) > MAX_SIZE:
        raise DeltaError(f"a model may have {MAX_SIZE:,} bytes")
    source, target = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    operations = bytearray()
    copied: list[tuple[Bytes, Bytes]] = [(source[:0], target[:0])]
    literals: list[Bytes] = []
    end_old = end_new = 0
    for at_old, at_new, length in copies(source, target):
        # Between two copies: bytes to insert, bytes of old to pass over, bytes to copy.
        for number in (at_new - end_new, at_old - end_old, length):
            operations += _varint(number)
        literals.append(target[end_new:at_new])
        copied.append((source[at_old : at_old + length], target[at_new : at_new + length]))
        end_old, end_new = at_old + length, at_new + length
    literals.append(target[end_new:])  # what the operations leave over
    parts = [
        bytes(operations),
        *_subtracted(*(np.concatenate(side) for side in zip(*copied, strict=True))),
        b"".join(literal.tobytes() for literal in literals),
    ]
    packed = [_deflate(part) for part in parts]
    sizes = [size for pair in zip(parts, packed, strict=True) for size in map(len, pair)]
    return HEADER.pack(MAGIC, digest(old), digest(new), len(new), *sizes) + b"".join(packed)


def chain(deltas: Sequence[bytes]) -> bytes:
    """One file of two to MAX_CHAIN deltas, each made for the result of the one before."""
    if not 2 <= len(deltas) <= MAX_CHAIN:
        raise DeltaError(f"a chain has 2 to {MAX_CHAIN} deltas, not {len(deltas)}")
    return CHAIN + b"".join(struct.pack("<I", len(delta)) + delta for delta in deltas)


def _subtracted(old: Bytes, new: Bytes) -> list[bytes]:
    """The modes, and a mask and values for each stream of differences."""
    modes, *streams = _subtract(old, new)
    return [modes, *(part for stream in streams for part in _sparse(stream))]


def _sparse(stream: bytes) -> tuple[bytes, bytes]:
    """Which bytes are not 0, eight a byte, and these; without a mask all of them, where that is smaller."""
    values = np.frombuffer(stream, np.uint8)
    mask, rest = np.packbits(values != 0).tobytes(), values[values != 0].tobytes()
    small = len(_deflate(mask)) + len(_deflate(rest)) < len(_deflate(stream))
    return (mask, rest) if small else (b"", stream)


def _subtract(old: Bytes, new: Bytes) -> list[bytes]:
    """Modes, differences as bytes, and low and high bytes of differences of 16-bit numbers."""
    costs = [np.add.reduceat(COST[new - old], np.arange(0, len(new), BLOCK))] if len(new) else []
    for phase in (0, 1):
        if not costs:
            break
        pairs = np.arange(phase, len(new) - 1, 2)
        # Zigzagged: small numbers of either sign; a pair costs what its low byte does, and its high byte.
        cost = 0.3 + np.where(change := _zigzag(old, new, pairs), 1 + np.log2(np.maximum(change, 1)), 0.1)
        costs.append(np.bincount(pairs // BLOCK, cost, len(costs[0])))
    modes = np.argmin(costs, axis=0).astype(np.uint8) if costs else np.zeros(0, np.uint8)
    single, pairs = layout(modes, len(new))
    change = _zigzag(old, new, pairs)
    low, high = (change & 255).astype(np.uint8), (change >> 8).astype(np.uint8)
    return [part.tobytes() for part in (modes, (new - old)[single], low, high)]


def _zigzag(old: Bytes, new: Bytes, pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    """Differences of 16-bit numbers, modulo 2^16, as 0, -1, 1, -2, 2 … → 0, 1, 2, 3, 4 …"""
    change = (number_at(new, pairs) - number_at(old, pairs) + 0x8000 & 0xFFFF) - 0x8000
    return np.where(change < 0, -2 * change - 1, 2 * change)


def _deflate(part: bytes) -> bytes:
    packed = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):  # the second suits noise of small numbers
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
        packed.append(packer.compress(part) + packer.flush())
    return min(packed, key=len)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
