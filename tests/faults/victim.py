"""A process with a real store, until it is killed: `victim STORE ACKS FIRST COUNT [PRAGMA …]`.

Sixteen senders, folding and publishing beside them; what the store acknowledged is written to ACKS.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tests.faults.reports import packet

from fleetune_server.store import sqlite, sqlite_file
from fleetune_server.store.base import Store, VersionRecord
from fleetune_server.store.opening import is_postgres

SENDERS = 16


async def main(url: str, acks: int, first: int, amount: int) -> None:
    if is_postgres(url):
        from fleetune_server.store.postgres import open_postgres

        opened = open_postgres(url, 100_000)
    else:
        opened = sqlite.open_sqlite(Path(url), 100_000)  # type: ignore[assignment]
    async with opened as store:
        numbers = iter(range(first, first + amount))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(send(store, numbers, acks, i % 5 + 1)) for i in range(SENDERS)]
            others = [group.create_task(fold(store)), group.create_task(publish(store))]
            await asyncio.gather(*tasks)
            for task in others:
                task.cancel()


async def send(store: Store, numbers: Iterator[int], acks: int, size: int) -> None:
    """Append so many at a time; each acknowledgement is on record before the next sender's turn."""
    while batch := [number for number, _ in zip(numbers, range(size), strict=False)]:
        await store.append([packet(number) for number in batch])
        os.write(acks, b"".join(b"%d\n" % number for number in batch))


async def fold(store: Store) -> None:
    """Over and over, so that a kill meets it in the middle."""
    while True:
        await store.fold(time.time() + 1)
        await asyncio.sleep(0.02)


async def publish(store: Store) -> None:
    """Versions with files, likewise."""
    newest = max((record.version for record in await store.versions()), default=0)
    for version in count(newest + 1):
        body = os.urandom(20_000)
        name = hashlib.sha256(body).hexdigest()
        record = VersionRecord(version, name, 0.5, int(time.time()), {"incremental": {}})
        await store.save_version(record, {name: body}, 3)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    target, log, start, many, *pragmas = sys.argv[1:]
    changed = {pragma.split("=")[0]: pragma for pragma in pragmas}
    for module in (sqlite, sqlite_file):
        module.PRAGMAS = tuple(changed.get(p.split("=")[0], p) for p in module.PRAGMAS)  # type: ignore[attr-defined]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(main(target, descriptor, int(start), int(many)))
