"""Disks that are full, read-only or broken under a running server, and the time after."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests import tiny
from tests.faults.shim import Orders
from tests.load import Round, encode, hammer
from tests.running import Running, server_in

REPORTS = 3000
PATIENCE = 60
TOLD = 6  # lines in the log about one fault
READS = (
    "/healthz",
    "/api/model/latest",
    "/api/metrics",
    "/metrics",
    "/api/kernels",
    "/api/decisions/firefox",
)


class NoMountError(Exception):
    """This system does not let us mount a small file system; the message says why."""


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of so many MB; NoMountError without the right to mount (root, CAP_SYS_ADMIN)."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NoMountError("no mount command here") from error
    if done.returncode:
        raise NoMountError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full(folder: Path) -> dict[str, Any]:
    """A tmpfs fills up under load and is emptied again: what a real file system does."""
    with small_disk(folder / "disk", 64) as disk:
        filler = disk / "filler"
        return _Trial(folder, disk / "data").run(lambda: _fill(filler), filler.unlink, "full", environment={})


def refusing(folder: Path, error: int, word: str) -> dict[str, Any]:
    """Every write fails with this errno, then no more: a read-only (EROFS), broken (EIO) or full disk."""
    folder.mkdir(exist_ok=True)
    orders = Orders(folder, folder / "data")
    return _Trial(folder, folder / "data").run(
        lambda: orders.fail(error), lambda: orders.fail(0), word, orders.environment
    )


def every_disk(folder: Path) -> dict[str, Any]:
    """All of them; `full` on a tmpfs if this system lets us mount one, and by the preloaded library."""
    results = {}
    try:
        results["full_tmpfs"] = full(folder / "tmpfs")
    except NoMountError as error:
        results["full_tmpfs"] = {"clean": True, "not_run": str(error)}
    for name, number, word in (
        ("full_preloaded", errno.ENOSPC, "full"),
        ("read_only", errno.EROFS, ""),
        ("broken", errno.EIO, "I/O"),
    ):
        results[name] = refusing(folder / name, number, word)
    return results


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@dataclass
class _Trial:
    folder: Path
    data: Path

    def run(
        self, begin: Callable[[], None], end: Callable[[], None], word: str, environment: dict[str, str]
    ) -> dict[str, Any]:
        """Load, a fault under load, reads, the end of the fault, load; what was acknowledged all along."""
        kernels = tiny.write(self.folder / "dist")
        settings = {"kernels": kernels, "lab": self.folder, "data": self.data, "retrain_packets": 10**6}
        with (
            server_in(environment, self.folder, settings) as running,
            httpx.Client(base_url=running.url) as client,
        ):
            packets = Round.fetch(running.url).packets(REPORTS, tiny.ENVIRONMENT)
            file = client.get("api/model/latest").json()["url"].lstrip("/")
            taken = _send(running, packets[:1000])
            begin()
            taken += _send(running, packets[1000:2000])
            refused = client.post("api/telemetry", json=packets[2000:2100])
            state = client.get("readyz")
            reads = {path: client.get(path).status_code for path in (*READS, file)}
            end()
            recovery = _recovered(client)
            after = _send(running, packets[2000:])
            lost = sum(
                client.post("api/telemetry", json=(taken + after)[i : i + 100]).json()["accepted"]
                for i in range(0, len(taken + after), 100)
            )
        told = [line["event"] for line in running.events() if line["level"] in ("warning", "error")]
        problems = " ".join(state.json()["problems"])
        result: dict[str, Any] = {
            "acknowledged": len(taken) + len(after),
            "refused": 2000 - len(taken),
            "lost": lost,
            "statuses": [refused.status_code, state.status_code],
            "retry_after": refused.headers.get("retry-after"),
            "readyz": problems,
            "reads_failed": {path: status for path, status in reads.items() if status != 200},
            "told": told,
            "recovery_seconds": round(recovery, 1),
        }
        result["clean"] = (
            not lost
            and len(after) == 1000
            and result["statuses"] == [503, 503]
            and bool(result["retry_after"])
            and word in problems
            and not result["reads_failed"]
            and "store cannot write" in told
            and len(told) <= TOLD
        )
        return result


def _send(running: Running, packets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were acknowledged."""
    outcome = asyncio.run(hammer(running.url, encode(packets), 16))
    return [packets[index] for index in outcome.acknowledged]


def _recovered(client: httpx.Client) -> float:
    began = time.monotonic()
    while client.get("readyz").status_code != 200:
        assert time.monotonic() - began < PATIENCE, "it does not recover"
        time.sleep(0.1)
    return time.monotonic() - began
