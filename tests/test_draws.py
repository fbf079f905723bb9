"""A sender cannot choose what the server does with a report."""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.test_intake import MANIFEST, wire
from tests.test_intake_check import FixedRounds

from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.telemetry.check import Checker
from fleetune_server.telemetry.floods import HELDOUT, Draws

TRIED = 4000


def near_a_tenth(hits: int, tried: int) -> bool:
    """Within five standard deviations of one in HELDOUT."""
    share = 1 / HELDOUT
    return abs(hits - tried * share) < 5 * math.sqrt(tried * share * (1 - share))


async def test_nonces_that_once_chose_training_or_the_gate_choose_nothing(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "fleetune.db", 300) as store:
        draws = Draws(store)
        await draws.follow(1)
        for wanted in range(HELDOUT):  # of the first 32 bits, which used to decide
            nonces = [
                f"{HELDOUT * secrets.randbelow(400_000_000) + wanted:08x}{secrets.token_hex(12)}"
                for _ in range(TRIED)
            ]
            assert near_a_tenth(sum(map(draws.heldout, nonces)), TRIED), wanted
        counted = sum(draws.heldout(f"{number:032x}") for number in range(TRIED))
        assert near_a_tenth(counted, TRIED), "nonces that are counted up"


async def test_replicas_and_restarts_agree_until_a_version_brings_a_new_secret(tmp_path: Path) -> None:
    nonces = [secrets.token_hex(16) for _ in range(TRIED)]
    path = tmp_path / "fleetune.db"
    async with open_sqlite(path, 300) as store:
        here, there = Draws(store), Draws(store)
        for draws in (here, there):
            await draws.follow(4)
        first = [here.heldout(nonce) for nonce in nonces]
        assert first == [there.heldout(nonce) for nonce in nonces]
    async with open_sqlite(path, 300) as store:
        again = Draws(store)
        await again.follow(4)
        assert first == [again.heldout(nonce) for nonce in nonces]
        await again.follow(5)
        second = [again.heldout(nonce) for nonce in nonces]
    kept = sum(a and b for a, b in zip(first, second, strict=True))
    assert near_a_tenth(kept, sum(first)), "who was held out before says nothing about who is now"


async def test_two_servers_draw_differently_and_the_secret_lies_in_the_store_alone(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        async with open_sqlite(tmp_path / f"{name}.db", 300) as store:
            draws = Draws(store)
            await draws.follow(1)
            drawn.append([draws.heldout(f"{number:032x}") for number in range(TRIED)])
            assert len(bytes.fromhex((await store.get("draws"))["secret"])) == 32
    assert drawn[0] != drawn[1]


async def test_the_stored_flag_is_the_server_s(tmp_path: Path) -> None:
    path = tmp_path / "fleetune.db"
    async with open_sqlite(path, 3000) as store:
        draws = Draws(store)
        await draws.follow(3)
        checker = Checker(lambda: MANIFEST.by_signature, FixedRounds(), 2, draws.heldout, time.time)
        packets = [
            checker.accept(wire() | {"nonce": f"{HELDOUT * i:08x}{secrets.token_hex(12)}"})
            for i in range(1, 600)
        ]
        await store.append(packets)
    with closing(sqlite3.connect(path)) as database:
        held, kept = database.execute("SELECT SUM(heldout), COUNT(*) FROM packets").fetchone()
    assert kept == len(packets)
    assert near_a_tenth(held, kept), "each of these nonces used to mean the gate"
