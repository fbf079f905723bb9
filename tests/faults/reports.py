"""Reports that every process of a trial can make again from their numbers, and the proof by their sums."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.test_store import cell

from fleetune_server.store import encoding as rows
from fleetune_server.store.base import StoredPacket
from fleetune_server.store.opening import is_postgres
from fleetune_server.store.postgres_connection import check as check_postgres
from fleetune_server.store.postgres_connection import connect
from fleetune_server.store.sqlite_file import check

CELLS = [cell(name, version) for name in ("scalar", "vectorization", "tiling") for version in (1, 2)]
NONCES = "SELECT nonce FROM packets UNION ALL SELECT nonce FROM nonces"


def packet(number: int) -> StoredPacket:
    """Report `number`: its nonce, its cell and its value follow from it."""
    digest = hashlib.sha256(b"%d" % number).digest()
    return StoredPacket(CELLS[digest[16] % len(CELLS)], digest[17] % 64, digest[:16].hex(), digest[18] < 32)


@dataclass
class Verdict:
    """What became of acknowledged reports, over any number of trials."""

    trials: int = 0
    acknowledged: int = 0
    lost: int = 0  # acknowledged, and not there any more
    miscounted: int = 0  # cells whose sums are not those of the reports that are there
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return bool(self.acknowledged) and not (self.lost or self.miscounted or self.problems)

    def to_wire(self) -> dict[str, Any]:
        return vars(self) | {"problems": self.problems[:5], "clean": self.clean}


def audit(store: str, acknowledged: Collection[int], sent: Iterable[int], verdict: Verdict) -> None:
    """Hold what is in the store against what was sent and acknowledged; adds a trial to the verdict."""
    found, sums, problems = asyncio.run(_read(store))
    numbers = {packet(number).nonce: number for number in sent}
    nonces = Counter(found)
    verdict.trials += 1
    verdict.acknowledged += len(acknowledged)
    verdict.lost += sum(packet(number).nonce not in nonces for number in acknowledged)
    verdict.problems += [*problems, *(f"nonce {nonce} twice" for nonce, n in nonces.items() if n > 1)]
    verdict.problems += [f"unknown nonce {nonce}" for nonce in nonces if nonce not in numbers]
    expected: dict[tuple[Any, bool], list[int]] = {}
    for nonce in nonces.keys() & numbers.keys():
        report = packet(numbers[nonce])
        value = 2 * report.symbol - 63
        total = expected.setdefault((report.cell, report.heldout), [0, 0, 0])
        total[:] = total[0] + 1, total[1] + value, total[2] + value * value
    kept = {(row.cell, row.heldout): [row.count, row.total, row.squares] for row in rows.cell_sums(sums)}
    verdict.miscounted += sum(kept.get(key) != expected.get(key) for key in kept.keys() | expected.keys())


async def _read(store: str) -> tuple[list[str], Sequence[Any], list[str]]:
    """Nonces, sums and problems; the first two from one snapshot."""

    def answer(read: Callable[[str], Iterable[Any]]) -> tuple[list[str], Sequence[Any]]:
        return [nonce.hex() for (nonce,) in read(NONCES)], list(read(rows.SUMS))

    if not is_postgres(store):
        with closing(sqlite3.connect(Path(store))) as connection:
            connection.execute("BEGIN")
            try:
                return *answer(connection.execute), check(Path(store))
            except sqlite3.Error as error:
                return [], [], [str(error)]
    shared = await connect(store)
    try:
        async with shared.transaction(isolation="repeatable_read", readonly=True):
            answers = {query: await shared.fetch(query) for query in (NONCES, rows.SUMS)}
    finally:
        shared.terminate()
    return *answer(answers.__getitem__), await check_postgres(store)
