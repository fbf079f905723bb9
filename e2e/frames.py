"""Client frames of one WebSocket (RFC 6455): what a page says over it."""

from __future__ import annotations

from collections.abc import Callable

TEXT, BINARY, CONTINUATION = 1, 2, 0


class Frames:
    """Feed it bytes as they come; whole data messages go to `into`. Compression is not offered by browsers
    to a server that does not accept it, so a payload is the message."""

    def __init__(self, into: Callable[[bytes], None]) -> None:
        self._into = into
        self._buffer = b""
        self._message = b""

    def feed_data(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data
        while (frame := self._frame()) is not None:
            final, kind, payload = frame
            if kind in (TEXT, BINARY, CONTINUATION):
                self._message += payload
                if final:
                    self._into(self._message)
                    self._message = b""

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next whole frame, unmasked; None if it is not all there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, at = buffer[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(buffer[2 : 2 + size], "big"), 2 + size
        masked = buffer[1] & 0x80
        start = at + (4 if masked else 0)
        if len(buffer) < start + length:
            return None
        payload = buffer[start : start + length]
        if masked:
            mask = buffer[at:start]
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._buffer = buffer[start + length :]
        return bool(buffer[0] & 0x80), buffer[0] & 0x0F, payload
