"""What can be wrong around a server: asked by `/readyz` while it runs and by `fleetune doctor` at any time."""

from __future__ import annotations

import os
from pathlib import Path

BATCH_BYTES = 1_000_000  # about what one commit of a full queue writes
CLOCK_SLACK = 300.0  # seconds
FEW_FILES = 4096  # file descriptors: each open page takes one
UNNAMED = "nobody is named at /privacy: set FLEETUNE_OPERATOR"
MORE_FILES = "raise it (ulimit -n, LimitNOFILE)"


def no_room(folder: Path) -> str | None:
    """Why a batch cannot be written into a folder; None if it can, which is tried."""
    probe = folder / f".room-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(b"\0" * BATCH_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return (
            f"{folder} cannot take a batch of packets ({error.strerror}): make room, or change FLEETUNE_DATA"
        )
    finally:
        probe.unlink(missing_ok=True)
    return None


def clock_behind(newest: float, now: float) -> str | None:
    """Why the clock cannot be right: it is before the newest version was published (unix seconds)."""
    if now >= newest - CLOCK_SLACK:
        return None
    days = (newest - now) / 86_400
    return f"the clock is {days:.1f} days before the newest model version: set the time of this machine"


def open_files() -> int | None:
    """How many file descriptors this process may have; None where there is no such limit."""
    if os.name != "posix":
        return None
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def few_files() -> str | None:
    """Why many pages cannot stay connected: the limit of file descriptors; None where there is no such limit."""
    soft = open_files()
    if soft is None or soft >= FEW_FILES:
        return None
    return f"only {soft} files may be open, one for each connected page: {MORE_FILES}"
