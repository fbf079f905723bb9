"""A server that is killed leaves no trainer behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests import tiny
from tests.running import server


def children(parent: int) -> list[int]:
    """Of /proc; a zombie counts for nobody."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(above) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_trainer_dies_with_its_server(tmp_path: Path) -> None:
    with server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path) as running:
        trainers = children(running.process.pid)
        assert trainers, "version 1 was trained in a process of its own"
        os.kill(running.process.pid, signal.SIGKILL)  # this process only, as the kernel does without memory
        running.process.wait()
        until = time.monotonic() + 10
        while any(map(alive, trainers)):
            assert time.monotonic() < until, trainers
            time.sleep(0.05)
