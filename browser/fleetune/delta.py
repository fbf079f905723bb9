"""A model and a delta to the next model, byte for byte; a chain of deltas in one file.

The method is that of bsdiff (Percival, "Naive Differences of Executable Code", 2003) with the matching of a
patience diff: runs that occur once in both files anchor an alignment, bytes are subtracted along it, and what
has no counterpart is carried as it is. Quantised weights that moved a little give small differences, rows
that did not move give zeros; deflate does the rest. Nothing here knows the artefact's structure.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

MAX_SIZE = 5_000_000  # bytes of a model; refused before anything is allocated
MAX_CHAIN = 5
_MAGIC, _CHAIN = b"FTD1", b"FTC1"
# magic, SHA-256 of old and new (first 16 bytes), size of new, then raw and packed length of the three parts
_HEADER = struct.Struct("<4s16s16sI6I")
_WINDOW = 8  # bytes that must agree, and occur once in each file, to anchor the alignment
_LEAST_RUN = 3  # anchored windows in a row; shorter runs are chance
# What a byte difference roughly costs after deflate, in bits: places the seam between two alignments.
_MAGNITUDE = np.minimum(np.arange(256), 256 - np.arange(256))
_COST = np.where(_MAGNITUDE == 0, 0.3, 2 + np.log2(np.maximum(_MAGNITUDE, 1)))


class DeltaError(ValueError):
    """The delta is damaged, too large, or not meant for this model."""


def diff(old: bytes, new: bytes) -> bytes:
    """The delta for which `apply(old, delta) == new`; DeltaError if either is above MAX_SIZE."""
    if max(len(old), len(new)) > MAX_SIZE:
        raise DeltaError(f"a model may have {MAX_SIZE:,} bytes")
    source, target = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    operations = bytearray()
    differences: list[Bytes] = []
    literals: list[Bytes] = []
    end_old = end_new = 0
    for at_old, at_new, length in _alignment(source, target):
        # Between two copies: bytes to insert, bytes of old to pass over, bytes to copy.
        for number in (at_new - end_new, at_old - end_old, length):
            operations += _varint(number)
        literals.append(target[end_new:at_new])
        differences.append(target[at_new : at_new + length] - source[at_old : at_old + length])
        end_old, end_new = at_old + length, at_new + length
    literals.append(target[end_new:])  # what the operations leave over
    parts = [
        bytes(operations),
        b"".join(d.tobytes() for d in differences),
        b"".join(x.tobytes() for x in literals),
    ]
    packed = [_deflate(part) for part in parts]
    sizes = [size for pair in zip(parts, packed, strict=True) for size in map(len, pair)]
    return _HEADER.pack(_MAGIC, _hash(old), _hash(new), len(new), *sizes) + b"".join(packed)


def apply(old: bytes, delta: bytes) -> bytes:
    """The next model; DeltaError unless the delta is whole, made for `old` and gives what it promises."""
    if delta[:4] == _CHAIN:
        for link in _links(delta):
            old = _apply(old, link)
        return old
    return _apply(old, delta)


def chain(deltas: Sequence[bytes]) -> bytes:
    """One file of two to MAX_CHAIN deltas, each made for the result of the one before."""
    if not 2 <= len(deltas) <= MAX_CHAIN:
        raise DeltaError(f"a chain has 2 to {MAX_CHAIN} deltas, not {len(deltas)}")
    return _CHAIN + b"".join(struct.pack("<I", len(delta)) + delta for delta in deltas)


def _apply(old: bytes, delta: bytes) -> bytes:
    if len(delta) < _HEADER.size or delta[:4] != _MAGIC:
        raise DeltaError("not a delta")
    _, base, result, size, *sizes = _HEADER.unpack_from(delta)
    raw, packed = sizes[::2], sizes[1::2]
    if base != _hash(old):
        raise DeltaError("made for another model")
    if size > MAX_SIZE or raw[1] + raw[2] != size or raw[0] > 15 * (size + 1):
        raise DeltaError("impossible sizes")
    if _HEADER.size + sum(packed) != len(delta):
        raise DeltaError("cut short or over-long")
    parts, at = [], _HEADER.size
    for expected, length in zip(raw, packed, strict=True):
        parts.append(_inflate(delta[at : at + length], expected))
        at += length
    new = _play(old, size, *parts)
    if _hash(new) != result:
        raise DeltaError("gives another model than it promises")
    return new


def _play(old: bytes, size: int, operations: bytes, differences: bytes, literals: bytes) -> bytes:
    source, carried, change = (np.frombuffer(part, np.uint8) for part in (old, literals, differences))
    new = np.empty(size, np.uint8)
    at_old = at_new = at_literal = at_change = 0
    numbers = _varints(operations)
    for insert in numbers:
        skip, copy = next(numbers, -1), next(numbers, -1)
        if skip < 0 or copy < 0 or at_literal + insert > len(carried) or at_change + copy > len(change):
            raise DeltaError("operations do not fit")
        new[at_new : at_new + insert] = carried[at_literal : at_literal + insert]
        at_literal, at_new, at_old = at_literal + insert, at_new + insert, at_old + skip
        if at_old + copy > len(source):
            raise DeltaError("copies from past the end")
        new[at_new : at_new + copy] = source[at_old : at_old + copy] + change[at_change : at_change + copy]
        at_change, at_new, at_old = at_change + copy, at_new + copy, at_old + copy
    if at_change != len(change) or size - at_new != len(carried) - at_literal:
        raise DeltaError("operations do not fit")
    new[at_new:] = carried[at_literal:]
    return new.tobytes()


def _alignment(old: Bytes, new: Bytes) -> Iterator[tuple[int, int, int]]:
    """Copies (position in old, position in new, length), ascending in both, neighbours joined."""
    here_old = here_new = 0  # end of the last copy
    start = 0  # where the copy under way began in new
    ends = [*_anchors(old, new), (len(old), len(new), 0)]
    for next_old, next_new, length in ends:
        gap_old, gap_new = next_old - here_old, next_new - here_new
        if gap_old != gap_new:
            left, right = _seam(old[here_old:next_old], new[here_new:next_new])
            if here_new + left > start:
                yield here_old + left - (here_new + left - start), start, here_new + left - start
            start = next_new - right
        here_old, here_new = next_old + length, next_new + length
    if here_new > start:
        yield here_old - (here_new - start), start, here_new - start


def _seam(old: Bytes, new: Bytes) -> tuple[int, int]:
    """How many bytes of a gap of unequal lengths to align with its left and with its right end."""
    shared = min(len(old), len(new))
    left = np.concatenate(([0.0], np.cumsum(_COST[new[:shared] - old[:shared]])))
    right = np.concatenate(
        ([0.0], np.cumsum(_COST[new[len(new) - shared :] - old[len(old) - shared :]][::-1]))
    )[::-1]
    best = int(np.argmin(left + right))
    return best, shared - best


def _anchors(old: Bytes, new: Bytes) -> list[tuple[int, int, int]]:
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
    chosen: list[tuple[int, int, int]] = []  # (old, new, length), ascending in both
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


def _links(delta: bytes) -> list[bytes]:
    links: list[bytes] = []
    at = 4
    while at < len(delta) and len(links) < MAX_CHAIN:
        (length,) = struct.unpack("<I", delta[at : at + 4].ljust(4, b"\xff"))
        links.append(delta[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(delta) or len(links) < 2:
        raise DeltaError("not a chain of deltas")
    return links


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def _deflate(part: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return packer.compress(part) + packer.flush()


def _inflate(part: bytes, size: int) -> bytes:
    """Exactly `size` bytes; a bomb is cut off one byte past it."""
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(part, size + 1)
    except zlib.error as error:
        raise DeltaError("damaged") from error
    if len(data) != size or not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
        raise DeltaError("damaged")
    return data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        if shift > 28:
            raise DeltaError("operations do not fit")
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise DeltaError("operations do not fit")
