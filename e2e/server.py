"""A real `fleetune serve` on a free port, with its own data folder and settings."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.drivers.base import DriverError

ROOT = Path(__file__).resolve().parent.parent
ANNOUNCEMENT = "Fleetune is at "
START_SECONDS = 300.0  # the first start trains version 1, on a busy machine for minutes


class Server:
    """The server process; its log is kept line by line."""

    def __init__(self, data: Path, **settings: str | int) -> None:
        self.data = data
        self._settings = {f"FLEETUNE_{key.upper()}": str(value) for key, value in settings.items()}
        self.log: list[str] = []
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> Self:
        """Start it and wait until it has printed where it is; DriverError with its log if it does not."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
        environment = {
            **inherited,
            "FLEETUNE_DATA": str(self.data),
            "FLEETUNE_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.serve"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        announced: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(announced,), daemon=True)
        self._reader.start()
        try:
            self.url = announced.get(timeout=START_SECONDS)
        except queue.Empty:
            self.url = ""
        if not self.url:
            self.stop()
            raise DriverError("fleetune serve did not start:\n" + "\n".join(self.log[-40:]))
        return self

    def _read(self, announced: queue.Queue[str]) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(line.rstrip())
            if line.startswith(ANNOUNCEMENT):
                announced.put(line.removeprefix(ANNOUNCEMENT).strip())
        announced.put("")  # it ended: nobody need wait for the announcement any longer

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def stop(self) -> None:
        """Ask it to end, and see that it did."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
