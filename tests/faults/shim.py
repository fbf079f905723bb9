"""The disk below a server: what it recorded, what survives a power cut, how it fails on order."""

from __future__ import annotations

import mmap
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

SOURCE = Path(__file__).with_name("disk.c")
OPEN, WRITE, TRUNCATE, SYNC_BEGUN, SYNC_FINISHED, REMOVE = range(1, 7)
_HEAD = struct.Struct("<IIQQ")


@cache
def library() -> Path:
    """The preloaded library, compiled by the project's own compiler once a process."""
    target = Path(mkdtemp(prefix="fleetune-disk-")) / "disk.so"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror"]
    subprocess.run([*compiler, "-o", str(target), str(SOURCE)], check=True)
    return target


class Orders:
    """Says, while a server runs, with which errno its writes fail, or after how many of them it dies."""

    def __init__(self, folder: Path, under: Path) -> None:
        path = folder / "orders"
        path.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library()), "DISK_UNDER": str(under), "DISK_ORDERS": str(path)}
        with path.open("rb+") as file:
            self._page = mmap.mmap(file.fileno(), 8)

    def fail(self, error: int) -> None:
        """Every write from now on fails so; 0: none."""
        self._page[0:4] = struct.pack("<i", error)

    def kill_after(self, writes: int) -> None:
        """The process group dies at that write."""
        self._page[4:8] = struct.pack("<i", writes)


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, int, bytes]] = field(default_factory=list)  # kind, offset, data
    covered: int = 0  # of the pending ones, by the sync under way


@dataclass(frozen=True)
class Event:
    """One line of the trace; `path` is the file's."""

    kind: int
    path: str
    offset: int
    data: bytes


def events(trace: Path) -> list[Event]:
    """The trace, in order."""
    return list(_events(trace.read_bytes()))


def _events(raw: bytes) -> Iterator[Event]:
    at, names = 0, {}
    while at + _HEAD.size <= len(raw):
        kind, file, offset, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        data = b""
        if kind in (OPEN, WRITE, REMOVE):
            data = raw[at : at + length]
            at += length
        if kind == OPEN:
            names[file] = data.decode()
        yield Event(kind, data.decode() if kind == REMOVE else names[file], offset, data)


class Disk:
    """What a disk holds while a trace is replayed: a finished sync guarantees what was written before it."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}

    def apply(self, event: Event) -> None:
        """The next event of the trace."""
        if event.kind == REMOVE:
            self.files.pop(event.path, None)
            return
        file = self.files.setdefault(event.path, _File())
        if event.kind in (WRITE, TRUNCATE):
            file.pending.append((event.kind, event.offset, event.data))
        elif event.kind == SYNC_BEGUN:
            file.covered = len(file.pending)
        elif event.kind == SYNC_FINISHED:
            for change in file.pending[: file.covered]:
                _change(file.durable, *change)
            del file.pending[: file.covered]
            file.covered = 0

    def cut(self, chance: Random) -> dict[str, bytes]:
        """The files after a power cut now: of what no sync covers, each sector survives by chance."""
        sector, share = chance.choice((512, 4096)), chance.choice((0.0, 0.1, 0.5, 0.9))
        left = {}
        for path, file in self.files.items():
            content = bytearray(file.durable)
            for kind, offset, data in file.pending:
                for start, part in _sectors(offset, data, sector) if kind == WRITE else [(offset, b"")]:
                    if chance.random() < share:
                        _change(content, kind, start, part)
            left[path] = bytes(content)
        return left


def _change(content: bytearray, kind: int, offset: int, data: bytes) -> None:
    end = offset + len(data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if kind == TRUNCATE:
        del content[offset:]
    else:
        content[offset:end] = data


def _sectors(offset: int, data: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    end = offset + len(data)
    while offset < end:
        stop = min(end, (offset // size + 1) * size)
        yield offset, data[: stop - offset]
        data, offset = data[stop - offset :], stop
