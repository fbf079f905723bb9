"""A model and a delta to the next model, byte for byte; a chain of deltas in one file.

The method is that of bsdiff (Percival, "Naive Differences of Executable Code", 2003) with the matching of a
patience diff: runs that occur once in both files anchor an alignment, numbers are subtracted along it, and
what has no counterpart is carried as it is. Quantised weights that moved a little give small differences,
rows that did not move give zeros. Which differences are zero is told bit by bit and the others follow
(deflate spends no less than a bit on a byte, and breaks its runs at each change). Nothing here knows the
artefact's structure: whether a block of bytes is subtracted as bytes or as 16-bit numbers is tried out.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fleetune.alignment import COST, Bytes, copies

MAX_SIZE = 5_000_000  # bytes of a model; refused before anything is allocated
MAX_CHAIN = 5
_MAGIC, _CHAIN = b"FTD2", b"FTC1"
# magic, SHA-256 of old and new (first 16 bytes), size of new, then raw and packed length of each part:
# operations, modes, differences as bytes, low and high bytes of 16-bit ones (each a bit mask of what is not
# 0, then that; or no mask and all), literals
_PARTS = 9
_HEADER = struct.Struct(f"<4s16s16sI{2 * _PARTS}I")
_BLOCK = 1024  # copied bytes that share a mode: 0 bytes, 1 and 2 pairs from the first or second byte on


class DeltaError(ValueError):
    """The delta is damaged, too large, or not meant for this model."""


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
    copied = size - raw[-1]
    if base != _hash(old):
        raise DeltaError("made for another model")
    if (
        size > MAX_SIZE
        or copied < 0
        or raw[1] != -(-copied // _BLOCK)
        or raw[0] > 15 * (size + 1)
        or max(raw[2:-1]) > copied
    ):
        raise DeltaError("impossible sizes")
    if _HEADER.size + sum(packed) != len(delta):
        raise DeltaError("cut short or over-long")
    parts, at = [], _HEADER.size
    for expected, length in zip(raw, packed, strict=True):
        parts.append(_inflate(delta[at : at + length], expected))
        at += length
    new = _play(old, size, parts)
    if _hash(new) != result:
        raise DeltaError("gives another model than it promises")
    return new


def _play(old: bytes, size: int, parts: Sequence[bytes]) -> bytes:
    source, literals = np.frombuffer(old, np.uint8), np.frombuffer(parts[-1], np.uint8)
    copied = size - len(literals)
    runs: list[tuple[int, int, int]] = []  # position in old, in new, length
    at_old = at_new = at_literal = at_copy = 0
    new = np.empty(size, np.uint8)
    numbers = _varints(parts[0])
    for insert in numbers:
        skip, copy = next(numbers, -1), next(numbers, -1)
        if skip < 0 or copy < 0 or at_literal + insert > len(literals) or at_copy + copy > copied:
            raise DeltaError("operations do not fit")
        new[at_new : at_new + insert] = literals[at_literal : at_literal + insert]
        at_literal, at_new, at_old = at_literal + insert, at_new + insert, at_old + skip
        if at_old + copy > len(source):
            raise DeltaError("copies from past the end")
        runs.append((at_old, at_new, copy))
        at_copy, at_new, at_old = at_copy + copy, at_new + copy, at_old + copy
    if at_copy != copied or size - at_new != len(literals) - at_literal:
        raise DeltaError("operations do not fit")
    new[at_new:] = literals[at_literal:]
    base = np.concatenate([source[:0], *(source[begin : begin + n] for begin, _, n in runs)])
    moved = _add(base, parts[1:-1])
    at_copy = 0
    for _, at_new, copy in runs:
        new[at_new : at_new + copy] = moved[at_copy : at_copy + copy]
        at_copy += copy
    return new.tobytes()


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


def _dense(mask: bytes, values: bytes, count: int) -> Bytes:
    """The inverse of `_sparse`, `count` bytes."""
    given = np.frombuffer(values, np.uint8)
    if not mask and len(given) == count:
        return given
    bits = np.unpackbits(np.frombuffer(mask, np.uint8))
    if len(mask) != -(-count // 8) or bits[count:].any() or int(bits.sum()) != len(given):
        raise DeltaError("differences do not fit")
    full = np.zeros(count, np.uint8)
    full[bits[:count] == 1] = given
    return full


def _subtract(old: Bytes, new: Bytes) -> list[bytes]:
    """Modes, differences as bytes, and low and high bytes of differences of 16-bit numbers."""
    costs = [np.add.reduceat(COST[new - old], np.arange(0, len(new), _BLOCK))] if len(new) else []
    for phase in (0, 1):
        if not costs:
            break
        pairs = np.arange(phase, len(new) - 1, 2)
        # Zigzagged: small numbers of either sign; a pair costs what its low byte does, and its high byte.
        cost = 0.3 + np.where(change := _zigzag(old, new, pairs), 1 + np.log2(np.maximum(change, 1)), 0.1)
        costs.append(np.bincount(pairs // _BLOCK, cost, len(costs[0])))
    modes = np.argmin(costs, axis=0).astype(np.uint8) if costs else np.zeros(0, np.uint8)
    single, pairs = _layout(modes, len(new))
    change = _zigzag(old, new, pairs)
    low, high = (change & 255).astype(np.uint8), (change >> 8).astype(np.uint8)
    return [part.tobytes() for part in (modes, (new - old)[single], low, high)]


def _add(old: Bytes, parts: Sequence[bytes]) -> Bytes:
    """The inverse of `_subtract`: the new bytes."""
    modes = np.frombuffer(parts[0], np.uint8)
    if len(modes) and modes.max() > 2:
        raise DeltaError("modes do not fit")
    single, pairs = _layout(modes, len(old))
    counts = (int(single.sum()), len(pairs), len(pairs))
    differences, low, high = (
        _dense(parts[1 + 2 * i], parts[2 + 2 * i], count) for i, count in enumerate(counts)
    )
    new = np.empty(len(old), np.uint8)
    new[single] = old[single] + differences
    change = low.astype(np.int32) | high.astype(np.int32) << 8
    number = (_number(old, pairs) + np.where(change & 1, -(change + 1) // 2, change // 2)) & 0xFFFF
    new[pairs], new[pairs + 1] = (number & 255).astype(np.uint8), (number >> 8).astype(np.uint8)
    return new


def _layout(modes: Bytes, length: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which bytes are subtracted alone, (length,), and where pairs begin; none reaches across its block."""
    position = np.arange(length)
    mode = np.repeat(modes, _BLOCK)[:length]
    within = position % _BLOCK
    begins = ((mode == 1) & (within % 2 == 0)) | ((mode == 2) & (within % 2 == 1) & (within < _BLOCK - 1))
    if length:
        begins[-1] = False
    pairs = np.flatnonzero(begins)
    single = np.ones(length, bool)
    single[pairs] = single[pairs + 1] = False
    return single, pairs


def _number(data: Bytes, pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    return data[pairs].astype(np.int32) | data[pairs + 1].astype(np.int32) << 8


def _zigzag(old: Bytes, new: Bytes, pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    """Differences of 16-bit numbers, modulo 2^16, as 0, -1, 1, -2, 2 … → 0, 1, 2, 3, 4 …"""
    change = (_number(new, pairs) - _number(old, pairs) + 0x8000 & 0xFFFF) - 0x8000
    return np.where(change < 0, -2 * change - 1, 2 * change)


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
    packed = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):  # the second suits noise of small numbers
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
        packed.append(packer.compress(part) + packer.flush())
    return min(packed, key=len)


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
