"""Pictures of WebKit's journeys: an X window dump becomes the PNG with the same pixels."""

from __future__ import annotations

import struct
import zlib

import pytest
from e2e.drivers.xwd import png


def dump(
    width: int, height: int, padding: int, bits: int = 32, colours: int = 2
) -> tuple[bytes, list[bytes]]:
    """A dump with a name, a colour table and padded lines; its rows as RGB."""
    rows = [
        bytes((7 * x + 50 * y + c) % 256 for x in range(width) for c in (0, 90, 180)) for y in range(height)
    ]
    name = b"screen\0\0"
    line = 4 * width + padding
    header = [
        100 + len(name),
        7,
        2,
        24,
        width,
        height,
        0,
        0,
        32,
        0,
        32,
        bits,
        line,
        4,
        0,
        0,
        0,
        8,
        256,
        colours,
    ]
    fields = struct.pack(">25I", *header, width, height, 0, 0, 0)
    pixels = b"".join(
        b"".join(row[at : at + 3][::-1] + b"\xff" for at in range(0, len(row), 3)) + bytes(padding)
        for row in rows
    )
    return fields + name + bytes(12 * colours) + pixels, rows


@pytest.mark.parametrize(("width", "height", "padding"), [(1, 1, 0), (3, 2, 4), (16, 5, 8)])
def test_every_pixel_is_where_it_was(width: int, height: int, padding: int) -> None:
    given, rows = dump(width, height, padding)
    picture = png(given)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    parts: dict[bytes, bytes] = {}
    at = 8
    while at < len(picture):
        (size,) = struct.unpack_from(">I", picture, at)
        kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", picture, at + 8 + size) == (zlib.crc32(kind + data),)
        parts[kind] = data
        at += 12 + size
    assert struct.unpack(">2I5B", parts[b"IHDR"]) == (width, height, 8, 2, 0, 0, 0)
    assert zlib.decompress(parts[b"IDAT"]) == b"".join(b"\0" + row for row in rows)


def test_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bits"):
        png(dump(1, 1, 0, bits=16)[0])
