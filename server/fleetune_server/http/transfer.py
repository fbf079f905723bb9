"""What a first measurement transfers: the bytes that a browser fetches before Python can measure, beside the
memory snapshot, which not every browser can use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from fleetune_server.common.assets import Asset
from fleetune_server.http import wheel
from fleetune_server.settings import ROOT

log = logging.getLogger(__name__)
PYODIDE = ROOT / "browser" / "node_modules" / "pyodide"
RUNTIME = ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "pyodide-lock.json", "python_stdlib.zip")


class Transfer:
    """Counted once in a thread, because compressing takes seconds; until then nothing is claimed."""

    def __init__(self) -> None:
        self._started = False
        self._bytes: int | None = None

    def known(self) -> int | None:
        """Bytes as sent, compressed; None until they are counted."""
        if not self._started:
            self._started = True
            wheels = sorted((ROOT / "browser" / "vendor").glob("*.whl"))
            files = [*(PYODIDE / name for name in RUNTIME), *wheels]
            threading.Thread(target=self._count, args=(files,), daemon=True).start()
        return self._bytes

    def _count(self, files: Iterable[Path]) -> None:
        try:
            self._bytes = sum(_sent(file, file.stat().st_mtime_ns) for file in files) + len(wheel.build())
        except OSError as error:
            log.warning("what measuring transfers is unknown: %s", error)


@cache
def _sent(file: Path, stamp: int) -> int:
    """Bytes of one file as the server sends it; `stamp` is when it changed."""
    body = file.read_bytes()
    return len(Asset(body, file.suffix).zipped or body)
