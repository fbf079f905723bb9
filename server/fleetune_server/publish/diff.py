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
from bisect import bisect
from collections.abc import Iterator, Sequence

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

Run = tuple[int, int, int]  # position in the old file, in the new file, length

_WINDOW = 8  # bytes that must agree, and occur once in each file, to anchor the alignment
_LEAST_RUN = 3  # anchored windows in a row; shorter runs are chance
_LOOK_BACK = 64  # runs
# What things roughly cost after deflate, in bits: a byte by its difference, a literal byte, an operation.
_MAGNITUDE = np.minimum(np.arange(256), 256 - np.arange(256))
COST: NDArray[np.float64] = np.where(_MAGNITUDE == 0, 0.3, 2 + np.log2(np.maximum(_MAGNITUDE, 1)))
_LITERAL_COST = 6.0
_SEAM_COST = 40.0


def copies(old: Bytes, new: Bytes) -> Iterator[Run]:
    """Copies (position in old, position in new, length), ascending in both, neighbours joined."""
    here_old = here_new = 0  # end of the last copy
    start = 0  # where the copy under way began in new
    anchors = [*_anchors(old, new), (len(old), len(new), 0)]
    for next_old, next_new, length in _straightened(old, new, anchors):
        gap_old, gap_new = next_old - here_old, next_new - here_new
        if gap_old != gap_new:
            left, right, _ = _seam(old[here_old:next_old], new[here_new:next_new])
            if here_new + left > start:
                yield here_old + left - (here_new + left - start), start, here_new + left - start
            start = next_new - right
        here_old, here_new = next_old + length, next_new + length
    if here_new > start:
        yield here_old - (here_new - start), start, here_new - start


def _seam(old: Bytes, new: Bytes) -> tuple[int, int, float]:
    """How many bytes of a gap of unequal lengths to align with its left and right end, and what all costs."""
    shared = min(len(old), len(new))
    left = np.concatenate(([0.0], np.cumsum(COST[new[:shared] - old[:shared]])))
    right = np.concatenate(
        ([0.0], np.cumsum(COST[new[len(new) - shared :] - old[len(old) - shared :]][::-1]))
    )
    total = left + right[::-1]
    best = int(np.argmin(total))
    cost = float(total[best]) + _SEAM_COST + _LITERAL_COST * (len(new) - shared)
    return best, shared - best, cost


def _gap_cost(old: Bytes, new: Bytes, before: Run, after: Run) -> float:
    """What the bytes between two runs cost, in bits."""
    here_old, here_new = before[0] + before[2], before[1] + before[2]
    if after[0] - here_old == after[1] - here_new:
        return float(COST[new[here_new : after[1]] - old[here_old : after[0]]].sum())
    return _seam(old[here_old : after[0]], new[here_new : after[1]])[2]


def _straightened(old: Bytes, new: Bytes, runs: Sequence[Run]) -> Iterator[Run]:
    """The runs without those that lead away from a diagonal and back to it at a greater cost than staying."""
    kept: list[Run] = [(0, 0, 0)]
    gaps = [0.0]  # cost of the gap before each kept run
    for run in runs:
        kept.append(run)
        gaps.append(_gap_cost(old, new, kept[-2], run))
        for back in range(len(kept) - 3, max(-1, len(kept) - 3 - _LOOK_BACK), -1):
            if kept[back][0] - kept[back][1] == run[0] - run[1]:
                detour = sum(gaps[back + 1 :]) + sum(0.3 * k[2] for k in kept[back + 1 : -1])
                direct = _gap_cost(old, new, kept[back], run)
                if direct <= detour:
                    del kept[back + 1 : -1], gaps[back + 1 :]
                    gaps.append(direct)
                break
    return iter(kept[1:])


def _anchors(old: Bytes, new: Bytes) -> list[Run]:
    """Runs of bytes that agree and whose windows are unique in both files, longest first, none crossing."""
    if min(len(old), len(new)) < _WINDOW:
        return []
    at_old, at_new = _unique(old), _unique(new)
    _, first, second = np.intersect1d(
        _windows(old)[at_old], _windows(new)[at_new], assume_unique=True, return_indices=True
    )
    pair_old, pair_new = at_old[first], at_new[second]
    order = np.argsort(pair_new)
    pair_old, pair_new = pair_old[order], pair_new[order]
    if not len(order):
        return []
    breaks = np.flatnonzero((np.diff(pair_new) != 1) | (np.diff(pair_old) != 1)) + 1
    starts = np.concatenate(([0], breaks))
    counts = np.diff(np.concatenate((starts, [len(order)])))
    chosen: list[Run] = []  # (old, new, length), ascending in both
    for run in np.argsort(-counts, kind="stable"):
        if counts[run] < _LEAST_RUN:
            break
        begin_old, begin_new = int(pair_old[starts[run]]), int(pair_new[starts[run]])
        length = int(counts[run]) + _WINDOW - 1
        place = bisect(chosen, begin_new, key=lambda c: c[1])
        # Windows of neighbouring runs overlap by up to _WINDOW - 1 bytes: such a run is simply left out.
        before_fits = place == 0 or (
            chosen[place - 1][0] + chosen[place - 1][2] <= begin_old
            and chosen[place - 1][1] + chosen[place - 1][2] <= begin_new
        )
        after_fits = place == len(chosen) or (
            begin_old + length <= chosen[place][0] and begin_new + length <= chosen[place][1]
        )
        if before_fits and after_fits:
            chosen.insert(place, (begin_old, begin_new, length))
    return chosen


def _windows(data: Bytes) -> NDArray[np.uint64]:
    """The 8 bytes at every position as one number, (n - 7,)."""
    keys = np.zeros(len(data) - _WINDOW + 1, np.uint64)
    for shift in range(_WINDOW):
        keys |= data[shift : shift + len(keys)].astype(np.uint64) << np.uint64(8 * shift)
    return keys


def _unique(data: Bytes) -> NDArray[np.int64]:
    """Positions of the windows that occur exactly once."""
    _, first, count = np.unique(_windows(data), return_index=True, return_counts=True)
    return np.asarray(first[count == 1], dtype=np.int64)


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
