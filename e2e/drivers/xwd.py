"""What an X server without a screen shows, as PNG; WebKitWebDriver's own screenshots hang without layers."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

_HEADER = struct.Struct(">25I")  # X11/XWDFile.h, version 7; what is used of it, by position:
_SIZE, _WIDTH, _HEIGHT, _BITS, _LINE, _COLOURS = 0, 4, 5, 11, 12, 19
_COLOUR_BYTES = 12


def png(dump: bytes) -> bytes:
    """A PNG of an X window dump as Xvfb keeps it (32 bits a pixel, least byte first); else ValueError."""
    header = _HEADER.unpack_from(dump)
    if header[_BITS] != 32:
        raise ValueError(f"{header[_BITS]} bits a pixel, expected 32")
    width, height, line = header[_WIDTH], header[_HEIGHT], header[_LINE]
    start = header[_SIZE] + header[_COLOURS] * _COLOUR_BYTES
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(dump, np.uint8, height * line, start)
    colours = pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[:, :, 2::-1]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = colours.reshape(height, 3 * width)
    size = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", size), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
