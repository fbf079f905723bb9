"""`kill -9` at random moments under load, again and again on the same database."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import httpx
from tests import tiny
from tests.faults.reports import Verdict, audit, packet
from tests.load import Outcome, Round, encode, hammer
from tests.postgres import Server, cluster
from tests.running import Running, server

from fleetune_server.store.base import Store
from fleetune_server.store.opening import is_postgres
from fleetune_server.store.sqlite import open_sqlite

ROUND = 10  # kills of one database
AHEAD = 1000  # senders are not so far ahead of what is on record
ENOUGH = 100_000  # reports of a victim: it is killed long before
MOST = 1000  # acknowledgements before the kill
PATIENCE = 60
SERVED = 4000  # reports to a whole server


def store_killed(trials: int, seed: int, folder: Path, shared: Server | None = None) -> Verdict:
    """A process with a store is killed after a random number of acknowledgements, and at any moment then.

    After each kill: every acknowledged report is there, the sums are exactly those of the reports that are
    there, and what was acknowledged counts no second time when it is sent again.
    """
    chance, verdict = Random(seed), Verdict()
    for trial in range(trials):
        if trial % ROUND == 0:
            name = f"kill_{trial}"
            store = shared.create(name) if shared else str(folder / f"{name}.db")
            acknowledged: set[int] = set()
            sent = 0
        log = folder / f"acks-{trial}"
        fresh = _killed(store, log, sent, chance)
        sent = max(fresh) + AHEAD
        acknowledged |= fresh
        audit(store, acknowledged if trial % ROUND == ROUND - 1 else fresh, range(sent), verdict)
        verdict.problems += asyncio.run(_again(store, sorted(fresh)[:200]))
        log.unlink()
    return verdict


def _killed(store: str, log: Path, first: int, chance: Random) -> set[int]:
    arguments = [sys.executable, "-m", "tests.faults.victim", store, str(log), str(first), str(ENOUGH)]
    wanted, began = chance.randrange(1, MOST), time.monotonic()
    with subprocess.Popen(arguments) as victim:
        while not log.exists() or log.stat().st_size < wanted * 5:
            assert victim.poll() is None, "the victim ended by itself"
            assert time.monotonic() - began < PATIENCE, "the victim acknowledges nothing"
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        victim.kill()
    lines = log.read_bytes().split(b"\n")[:-1]
    return set(map(int, lines))


async def _again(store: str, numbers: list[int]) -> list[str]:
    async with _opened(store) as opened:
        counted = sum(await opened.append([packet(number) for number in numbers]))
    return [f"{counted} acknowledged reports were counted again"] if counted else []


def _opened(store: str) -> contextlib.AbstractAsyncContextManager[Store]:
    if not is_postgres(store):
        return open_sqlite(Path(store), ENOUGH)
    from fleetune_server.store.postgres import open_postgres

    return open_postgres(store, ENOUGH)


def server_killed(trials: int, seed: int, folder: Path, shared: bool) -> Verdict:
    """The same through HTTP: a whole server and its trainer are killed; what was answered with 202 counts.

    At the next start, all acknowledged reports must be known, and all others be taken once.
    """
    chance, verdict = Random(seed), Verdict()
    settings = {"kernels": tiny.write(folder / "dist"), "lab": folder, "retrain_packets": 10**6}
    with cluster() if shared else contextlib.nullcontext() as database:
        if database:
            settings["store"] = database.create("fleetune")
        for _ in range(trials):
            with server(folder, hold_seconds=0, **settings) as running:
                sent = Round.fetch(running.url).packets(SERVED, tiny.ENVIRONMENT)
                outcome = asyncio.run(killed_midway(running, encode(sent), chance.randrange(10**9)))
            taken = set(outcome.acknowledged)
            verdict.trials += 1
            verdict.acknowledged += len(taken)
            with server(folder, **settings) as running:
                known = [sent[index] for index in taken]
                verdict.lost += asyncio.run(_accepted(running, known))
                rest = [packet for index, packet in enumerate(sent) if index not in taken]
                asyncio.run(_accepted(running, rest))
                if asyncio.run(_accepted(running, sent)):
                    verdict.problems.append("a report was counted twice")
    return verdict


async def killed_midway(running: Running, bodies: list[bytes], seed: int) -> Outcome:
    """Load until the server is killed, at some moment after it has acknowledged some hundred packets."""
    outcome = Outcome()
    load = asyncio.create_task(hammer(running.url, bodies, outcome=outcome))
    chance = Random(seed)
    while len(outcome.acknowledged) < chance.randrange(100, 1500):  # noqa: ASYNC110 - it only counts
        await asyncio.sleep(0.001 * chance.random())
    running.kill()
    return await load


async def _accepted(running: Running, packets: list[dict[str, object]]) -> int:
    """How many of these the server had not known."""
    accepted = 0
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
        for start in range(0, len(packets), 100):
            answer = await client.post("/api/telemetry", json=packets[start : start + 100])
            accepted += answer.raise_for_status().json()["accepted"]
    return accepted
