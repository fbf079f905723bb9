"""A server under requests that nobody honest sends: `python -m tests.hostile --requests 100000 [--json]`.

It must answer or hang up on each within its own time limits, never with a 5xx, without growing, and count
good packets rightly afterwards. Slow and half-open ones wait beside the others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx
import uvloop
from tests import tiny
from tests.hostile_requests import Attack, Attacks, Work, paid
from tests.load import Round
from tests.running import Running, server

from fleetune.context import Environment

CONNECTIONS = 48
BODY_SECONDS = 2
ANSWER_SECONDS = BODY_SECONDS + 8  # beyond this an attack counts as a hang
PATIENCE = 0.2  # for what is not whole HTTP: then the attacker leaves
WARM = 500  # requests before memory is first read
SLOW = 400  # one in so many is slow
GOOD = 300

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Campaign:
    """Sends attacks and keeps the score."""

    def __init__(self, port: int, attacks: Attacks) -> None:
        self.port = port
        self.attacks = attacks
        self.kinds: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.hangs: list[str] = []
        self.failures: list[str] = []  # answers of 5xx, or others than the attack allows

    async def run(self, count: int) -> None:
        """Send so many, the slow ones beside the others."""
        slow = [asyncio.create_task(self._slow(bool(i % 2))) for i in range(count // SLOW)]
        left = iter(range(count - len(slow)))

        async def worker() -> None:
            connection = None
            for _ in left:
                connection = await self._strike(self.attacks.draw(), connection)
            await _end(connection)

        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)), *slow)

    async def _strike(self, attack: Attack, connection: Connection | None) -> Connection | None:
        """One attack; the connection, if it can carry the next one."""
        self.kinds[attack.kind] += 1
        reader, writer = connection or await asyncio.open_connection("127.0.0.1", self.port)
        alive = False
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.write(attack.data)
            try:
                async with asyncio.timeout(ANSWER_SECONDS if attack.framed else PATIENCE):
                    alive = await self._answer(attack, reader)
            except TimeoutError:
                if attack.framed:
                    self.hangs.append(repr(attack.data[:300]))
        if alive:
            return reader, writer
        await _end((reader, writer))
        return None

    async def _answer(self, attack: Attack, reader: asyncio.StreamReader) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        self.statuses[status] += 1
        if status >= 500 or (attack.status and status not in attack.status):
            self.failures.append(f"{status} to {attack.data[:300]!r}")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if not attack.framed or b"content-length" not in fields or fields.get(b"connection") == b"close":
            return False
        if not attack.head and status not in (204, 304):
            await reader.readexactly(int(fields[b"content-length"]))
        return True

    async def _slow(self, framed: bool) -> None:
        """Stop in the middle and wait: the server must answer or hang up; half a head it may keep."""
        attack = self.attacks.slow(framed)
        self.kinds[attack.kind] += 1
        connection = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.suppress(ConnectionError):
            connection[1].write(attack.data)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await connection[0].read()
                    if answer.startswith(b"HTTP/1.1"):
                        self.statuses[int(answer[9:12])] += 1
            except TimeoutError:
                if attack.framed:
                    self.hangs.append(repr(attack.data[:300]))
        await _end(connection)


async def _end(connection: Connection | None) -> None:
    if connection is not None:
        connection[1].close()
        with contextlib.suppress(ConnectionError):
            await connection[1].wait_closed()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def survive(count: int, seed: int, folder: Path, work_bits: int = 0) -> dict[str, Any]:
    """The score of `count` attacks on a server of its own, which may ask for proof of work."""
    database = folder / "data" / "fleetune.db"
    settings = {
        "kernels": tiny.write(folder / "dist"),
        "lab": folder,
        "retrain_packets": 10**9,
        "work_bits": work_bits,
    }
    with server(folder, rate_packets=0, body_seconds=BODY_SECONDS, **settings) as running:
        port = int(running.url.rstrip("/").rsplit(":", 1)[1])
        environments = [tiny.ENVIRONMENT, Environment("webkit", 26, "linux", True, False, False, "2-3")]
        known = Round.fetch(running.url)
        packets = [packet for place in environments for packet in known.packets(40, place)]
        campaign = Campaign(port, Attacks(Random(seed), packets, asked(running)))
        uvloop.run(campaign.run(min(WARM, count)))
        before, begin = memory(running.process.pid), time.perf_counter()
        uvloop.run(campaign.run(count - min(WARM, count)))
        seconds, after = time.perf_counter() - begin, memory(running.process.pid)
        kept = _stored(database)
        good = known.packets(GOOD, tiny.ENVIRONMENT)
        counted = _counted(running, good, asked(running))
    with sqlite3.connect(database) as connection:
        nonces = {nonce.hex() for (nonce,) in connection.execute("SELECT nonce FROM packets")}
        whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return {
        "requests": campaign.kinds.total(),
        "seed": seed,
        "kinds": dict(campaign.kinds),
        "statuses": dict(sorted(campaign.statuses.items())),
        "answers_5xx": sum(n for status, n in campaign.statuses.items() if status >= 500),
        "failures": campaign.failures[:20],
        "hangs": len(campaign.hangs),
        "hung": campaign.hangs[:20],
        "memory_growth_mb": round((after - before) / 1e6, 1),
        "errors_logged": [line[:3000] for line in running.log.read_text().splitlines() if _is_error(line)][
            :20
        ],
        "good_counted": counted
        and whole
        and len(nonces) == kept + GOOD
        and nonces >= {packet["nonce"] for packet in good},
        "seconds": round(seconds, 1),
    }


def asked(running: Running) -> Work:
    """The work that this server asks everyone for."""
    work: Work = httpx.get(f"{running.url}api/model/latest").raise_for_status().json().get("work")
    return work


def _counted(running: Running, good: list[dict[str, Any]], work: Work) -> bool:
    """Whether good packets are taken once, and known the second time."""
    with httpx.Client(base_url=running.url) as client:

        def post(packets: list[dict[str, Any]]) -> httpx.Response:
            answers = ",".join(str(paid(packet["nonce"], work)) for packet in packets)
            body = packets if len(packets) > 1 else packets[0]
            return client.post("/api/telemetry", params={"work": answers} if work else None, json=body)

        answers = [post(good[i : i + 100]) for i in range(0, GOOD, 100)]
        again = [post([packet]) for packet in good[:50]]
    return [a.json() for a in answers] == [{"accepted": 100, "duplicates": 0}] * (GOOD // 100) and [
        a.json() for a in again
    ] == [{"accepted": 0, "duplicates": 1}] * 50


def _stored(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT COUNT(*) FROM packets").fetchone()[0])
    finally:
        connection.close()


def _is_error(line: str) -> bool:
    try:
        return json.loads(line)["level"] in ("error", "critical")
    except ValueError:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work-bits", type=int, default=0, help="proof of work that the server asks for")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        score = survive(args.requests, args.seed, Path(folder), args.work_bits)
    print(json.dumps(score) if args.json else "\n".join(f"{name}: {value}" for name, value in score.items()))
    raise SystemExit(bool(score["answers_5xx"] or score["hangs"] or not score["good_counted"]))


if __name__ == "__main__":
    main()
