"""What a first measurement transfers: the bytes that a browser fetches before Python can measure."""

from __future__ import annotations

import threading

from fleetune_server.http.assets import Assets

ENCODINGS = ("br", "gzip")


class Transfer:
    """Counted once in a thread, because compressing takes seconds; until then nothing is claimed.

    The packed bytes are those that are served, so the first visitor who measures does not wait for them.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._bytes: dict[str, int] = {}
        self._counting: threading.Thread | None = None

    def known(self, accepted: str) -> int | None:
        """Bytes as sent to a browser with this Accept-Encoding header; None until they are counted."""
        if self._counting is None:
            self._counting = threading.Thread(target=self._count, daemon=True)
            self._counting.start()
        return self._bytes.get(next((one for one in ENCODINGS if one in accepted), "gzip"))

    def _count(self) -> None:
        files = self._assets.measuring()
        for encoding in ENCODINGS:
            self._bytes[encoding] = sum(len(file.packed(encoding)[1]) for file in files)
