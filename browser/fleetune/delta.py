"""Apply a delta, or a chain of deltas, to a model: the result is the next model, byte for byte.

The format is bsdiff's idea (Percival, "Naive Differences of Executable Code", 2003): copied runs with their
differences, and literals for what has no counterpart. Differences are stored as a mask of the bytes that are
not 0 and those bytes, and a block is subtracted as bytes or as 16-bit numbers. `fleetune_server.publish.diff`
writes deltas; nothing here knows the artefact's structure.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

MAX_SIZE = 5_000_000  # bytes of a model; refused before anything is allocated
MAX_CHAIN = 5
STEP = 2  # models between the first and the last of a chain: at most so many times the larger of the two
OPERATIONS = 4  # bytes of a result for each byte of operations, at least; runs are never so short
SPARE = 64  # bytes, for very small files
MAGIC, CHAIN = b"FTD2", b"FTC1"
# magic, SHA-256 of old and new (first 16 bytes), size of new, then raw and packed length of each part:
# operations, modes, differences as bytes, low and high bytes of 16-bit ones (each a bit mask of what is not
# 0, then that; or no mask and all), literals
PARTS = 9
HEADER = struct.Struct(f"<4s16s16sI{2 * PARTS}I")
BLOCK = 1024  # copied bytes that share a mode: 0 bytes, 1 and 2 pairs from the first or second byte on


class DeltaError(ValueError):
    """The delta is damaged, too large, or not meant for this model."""


def apply(old: bytes, delta: bytes, size: int) -> bytes:
    """The next model, of `size` bytes as signed; DeltaError unless the delta is whole, made for `old` and gives
    what it promises. All its sizes are checked first: what is allocated is a small multiple of the models'.
    """
    links = _links(delta) if delta[:4] == CHAIN else [delta]
    most = STEP * max(len(old), size)
    sizes = [_size(link, most) for link in links]
    if sizes[-1] != size or size > MAX_SIZE:
        raise DeltaError("gives another size than was signed")
    for link in links:
        old = _apply(old, link)
    return old


def _size(delta: bytes, most: int) -> int:
    """The size of a delta's result, at most `most`; DeltaError if any part would expand beyond it."""
    if len(delta) < HEADER.size or delta[:4] != MAGIC:
        raise DeltaError("not a delta")
    size, *sizes = HEADER.unpack_from(delta)[3:]
    raw, packed = sizes[::2], sizes[1::2]
    operations, modes, *streams, literals = raw
    copied = size - literals
    if (
        size > most
        or copied < 0
        or operations > size // OPERATIONS + SPARE
        or modes != -(-copied // BLOCK)
        or sum(streams[::2]) > copied // 8 + SPARE  # a bit for each difference
        or sum(streams[1::2]) > copied
    ):
        raise DeltaError("impossible sizes")
    if HEADER.size + sum(packed) != len(delta):
        raise DeltaError("cut short or over-long")
    return int(size)


def _apply(old: bytes, delta: bytes) -> bytes:
    _, base, result, size, *sizes = HEADER.unpack_from(delta)
    if base != digest(old):
        raise DeltaError("made for another model")
    raw, packed = sizes[::2], sizes[1::2]
    parts, at = [], HEADER.size
    for expected, length in zip(raw, packed, strict=True):
        parts.append(_inflate(delta[at : at + length], expected))
        at += length
    new = _play(old, size, parts)
    if digest(new) != result:
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
        if skip < 0 or copy < 1 or at_literal + insert > len(literals) or at_copy + copy > copied:
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


def _dense(mask: bytes, values: bytes, count: int) -> Bytes:
    """`count` bytes from a mask of those that are not 0 and their values, or from all of them."""
    given = np.frombuffer(values, np.uint8)
    if not mask and len(given) == count:
        return given
    bits = np.unpackbits(np.frombuffer(mask, np.uint8))
    if len(mask) != -(-count // 8) or bits[count:].any() or int(bits.sum()) != len(given):
        raise DeltaError("differences do not fit")
    full = np.zeros(count, np.uint8)
    full[bits[:count] == 1] = given
    return full


def _add(old: Bytes, parts: Sequence[bytes]) -> Bytes:
    """The new bytes: the old ones and the differences, block by block as its mode says."""
    modes = np.frombuffer(parts[0], np.uint8)
    if len(modes) and modes.max() > 2:
        raise DeltaError("modes do not fit")
    single, pairs = layout(modes, len(old))
    counts = (int(single.sum()), len(pairs), len(pairs))
    differences, low, high = (
        _dense(parts[1 + 2 * i], parts[2 + 2 * i], count) for i, count in enumerate(counts)
    )
    new = np.empty(len(old), np.uint8)
    new[single] = old[single] + differences
    change = low.astype(np.int32) | high.astype(np.int32) << 8
    number = (number_at(old, pairs) + np.where(change & 1, -(change + 1) // 2, change // 2)) & 0xFFFF
    new[pairs], new[pairs + 1] = (number & 255).astype(np.uint8), (number >> 8).astype(np.uint8)
    return new


def layout(modes: Bytes, length: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which bytes are subtracted alone, (length,), and where pairs begin; none reaches across its block."""
    position = np.arange(length)
    mode = np.repeat(modes, BLOCK)[:length]
    within = position % BLOCK
    begins = ((mode == 1) & (within % 2 == 0)) | ((mode == 2) & (within % 2 == 1) & (within < BLOCK - 1))
    if length:
        begins[-1] = False
    pairs = np.flatnonzero(begins)
    single = np.ones(length, bool)
    single[pairs] = single[pairs + 1] = False
    return single, pairs


def number_at(data: Bytes, pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    """The 16-bit numbers, low byte first, that begin at `pairs`."""
    return data[pairs].astype(np.int32) | data[pairs + 1].astype(np.int32) << 8


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


def digest(data: bytes) -> bytes:
    """What a delta names a model by: 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:16]


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
