"""A real `fleetune serve` process on a free port with a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAYS = "Fleetune is at "


@dataclass
class Running:
    """The process and where it answers; its log is the file `log`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def kill(self) -> None:
        """As a power cut would end it, children (the trainer) included."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def events(self) -> list[dict[str, Any]]:
        """The log; what the interpreter says about a trainer that was ended is no part of it."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.contextmanager
def server(folder: Path, **settings: object) -> Iterator[Running]:
    """Start, yield once it answers, end with SIGTERM and see that it leaves on its own.

    `program=` names another module that serves, for faults that no request can provoke.
    """
    program = str(settings.pop("program", "tests.serve"))
    with server_in({}, folder, settings, program) as running:
        yield running


@contextlib.contextmanager
def server_in(
    environment: Mapping[str, str],
    folder: Path,
    settings: Mapping[str, object],
    program: str = "tests.serve",
) -> Iterator[Running]:
    """The same with environment variables that are no settings."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
    own = {"port": 0, "data": folder / "data"} | dict(settings)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", program, "serve"],
            env=inherited
            | dict(environment)
            | {f"FLEETUNE_{key.upper()}": str(value) for key, value in own.items()},
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    start = time.monotonic()
    line = process.stdout.readline()  # ends with the process, at the latest
    try:
        assert line.startswith(SAYS), f"after {time.monotonic() - start:.0f} s:\n{log.read_text()[-4000:]}"
        yield Running(process, line.removeprefix(SAYS).strip(), log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        process.stdout.close()
