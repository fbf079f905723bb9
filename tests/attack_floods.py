"""Attacks with more reports than a place ever sees, and on the proof of work that they are then asked for."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from tests import tiny
from tests.attack_world import Outcome, World
from tests.load import Round

from fleetune.work import is_answer, search
from fleetune_server.store.sqlite import open_sqlite
from fleetune_server.telemetry.floods import FEW, HOUR, LEAST, Challenges, Floods

STOCK, BITS = 100, 10
NETWORKS = 100  # that flood at once: one report each
ELSEWHERE = replace(tiny.ENVIRONMENT, browser="webkit", version=26)  # where no other scenario sends


def solved(challenge: str, nonce: str, bits: int) -> int:
    answer = search(challenge, nonce, bits, 0, 1 << 22)
    assert answer is not None
    return answer


def stockpiled_answers(world: World) -> Outcome:
    """Answers that were found in peace, for the challenge of then: how many count two hours later."""

    async def counted() -> tuple[int, int]:
        now = [1e9]
        with TemporaryDirectory() as folder:
            async with open_sqlite(Path(folder) / "fleetune.db", 300) as store:
                challenges = Challenges(store, lambda: now[0])
                await challenges.follow()
                nonces = [secrets.token_hex(16) for _ in range(STOCK)]
                stock = [(nonce, solved(challenges.current, nonce, BITS)) for nonce in nonces]
                at_once = sum(challenges.paid(*pair, BITS) for pair in stock)
                now[0] += 2 * HOUR
                return at_once, sum(challenges.paid(*pair, BITS) for pair in stock)

    at_once, later = asyncio.run(counted())
    return Outcome(STOCK, later, at_once == STOCK and later < 5)  # two hashes in a thousand fit by chance


def flooded_place(world: World) -> Outcome:
    """A hundred networks at once about one kernel in one engine: how many reports are taken that bring no work.

    Work for a challenge of the attackers' own counts as none. The other kernel is asked for nothing.
    """
    packets = Round.fetch(world.proxied.url).packets(4 * NETWORKS, ELSEWHERE)
    of = {
        name: [p for p in packets if p["profileSignature"] == kernel.signature]
        for name, kernel in tiny.manifest().kernels.items()
    }
    with httpx.Client(base_url=world.proxied.url) as client:

        def post(packet: dict[str, Any], network: int, query: str = "") -> httpx.Response:
            headers = {"x-forwarded-for": f"100.64.{network}.1"}
            return client.post(f"/api/telemetry{query}", json=packet, headers=headers)

        answers = [post(packet, number) for number, packet in enumerate(of["dot"][:NETWORKS])]
        taken = sum(answer.status_code == 202 for answer in answers)
        told, packet = answers[-1].json()["error"], of["dot"][NETWORKS]
        foreign = solved("00" * 8, packet["nonce"], LEAST)
        own = solved(told["challenge"], packet["nonce"], told["bits"])
        others = [post(p, 200 + number).status_code for number, p in enumerate(of["saxpy"][:5])]
        after = [post(packet, 250, f"?work={answer}").status_code for answer in (foreign, own)]
    held = FEW <= taken <= FEW + 5 and others == [202] * 5 and after == [428, 202]
    return Outcome(NETWORKS, taken, held and is_answer(told["challenge"], packet["nonce"], own, LEAST))


def thrown_switch(world: World) -> Outcome:
    """Strangers who send ten reports a second and bring no work: the most bits that an honest phone is then asked
    for, and the minutes after the last of them in which it is asked for any."""
    now, place, most = [0.0], "dot firefox", 0
    floods = Floods(clock=lambda: now[0])
    for _ in range(7 * 24 * 60):  # a week of one a minute
        now[0] += 60
        floods.add([place])
    for _ in range(10 * HOUR):
        now[0] += 0.1
        most = max(most, floods.bits(place))
        if not floods.bits(place):
            floods.add([place])
    ended = now[0]
    while floods.bits(place):
        now[0] += 60
    minutes = round((now[0] - ended) / 60)
    return Outcome(
        ["what the operator sets", "until it is reset"], [most, minutes], most == LEAST and minutes <= 5
    )
