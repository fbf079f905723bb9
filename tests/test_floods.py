"""Work is dated by the server, the same for everyone, asked where a place floods, and dearer the more come."""

from __future__ import annotations

import copy
import math
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny
from tests.test_intake import JSON, MANIFEST, URL, error, intake, wire

from fleetune.work import is_answer, search
from fleetune_server.common.metrics import Metrics
from fleetune_server.store.sqlite import SqliteStore, open_sqlite
from fleetune_server.telemetry.floods import FEW, HOUR, LEAST, MOST, TIMES, WINDOW, Challenges, Floods

DAY = 24 * HOUR
HERE = "dot firefox"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(tmp_path / "fleetune.db", 300) as opened:
        yield opened


def answered(challenge: str, nonce: str, bits: int = 8) -> int:
    answer = search(challenge, nonce, bits, 0, 1 << 20)
    assert answer is not None
    return answer


async def test_an_answer_counts_in_the_hour_of_its_challenge_and_in_the_next(store: SqliteStore) -> None:
    now = [HOUR * 1000.0]
    challenges = Challenges(store, lambda: now[0])
    nonces = [secrets.token_hex(16) for _ in range(50)]
    stock = [answered(challenges.current, nonce) for nonce in nonces]
    for seconds, good in ((HOUR - 1, 50), (HOUR, 50), (HOUR - 1, 50)):
        assert sum(challenges.paid(*pair, 8) for pair in zip(nonces, stock, strict=True)) == good
        now[0] += seconds
    now[0] = HOUR * 1002.0
    assert (
        sum(challenges.paid(*pair, 8) for pair in zip(nonces, stock, strict=True)) < 5
    )  # by chance, 2 in 256


async def test_replicas_and_restarts_give_one_challenge_and_other_servers_another(
    store: SqliteStore, tmp_path: Path
) -> None:
    clock = lambda: 1e9  # noqa: E731
    first, second = Challenges(store, clock), Challenges(store, clock)
    assert first.current != second.current, "until they have asked the store"
    await first.follow()
    await second.follow()
    assert first.current == second.current
    async with open_sqlite(tmp_path / "other.db", 300) as other:
        foreign = Challenges(other, clock)
        await foreign.follow()
        assert foreign.current != first.current


@dataclass
class Time:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def sent(floods: Floods, time: Time, hourly: float, hours: float, place: str = HERE) -> list[int]:
    """Reports at this rate, each with the work that it was asked for: the bits of each."""
    bits = []
    for _ in range(round(hourly * hours)):
        bits.append(floods.bits(place))
        floods.add([place])
        time.now += HOUR / hourly
    return bits


@settings(deadline=None, max_examples=30)
@given(st.floats(1, 3000), st.sampled_from((0.5, 3, 12)))
def test_who_comes_as_usual_is_asked_for_nothing(hourly: float, hours: float) -> None:
    """From the first report on; where more than 800 come an hour, from the tenth minute after the start on."""
    time = Time()
    floods = Floods(0, clock=time)
    first = sent(floods, time, hourly, 1 / 6)
    assert not any(first) if hourly < 800 else max(first) <= LEAST + 1
    assert not any(sent(floods, time, hourly, hours))


def test_the_hours_of_a_day_are_no_flood() -> None:
    """A peak of four times the mean, as server/README.md assumes, for ten days."""
    time = Time()
    floods = Floods(0, clock=time)
    for quarter in range(10 * 96):
        share = max(0.05, 1 + 3 * math.sin(2 * math.pi * quarter / 96))
        assert not any(sent(floods, time, 500 * share, 0.25)), quarter


def test_a_flood_is_asked_for_more_the_larger_it_is_and_only_in_its_place() -> None:
    time = Time()
    calm, other = Floods(0, clock=time), "fft firefox"
    sent(calm, time, 60, 7 * 24)
    sent(calm, time, 60, 1, other)
    asked = []
    for times in (4, 20, 40, 80, 10_000):
        flooded, later = copy.deepcopy(calm), Time(time.now)
        flooded._clock = later
        asked.append(sent(flooded, later, 60 * times, min(2 * WINDOW / HOUR, 200 / times))[-1])
        assert flooded.bits(other) == 0
        assert flooded.under_way() == (times > TIMES)
    assert asked == [0, LEAST + 1, LEAST + 2, LEAST + 3, MOST]


def test_work_ends_by_itself_within_an_hour_or_so_of_the_flood() -> None:
    time = Time()
    floods = Floods(0, clock=time)
    floods.add([HERE] * 60 * int(FEW))
    assert floods.bits(HERE) == LEAST + 5
    assert floods.under_way() == 1
    waited = 0
    while floods.bits(HERE):
        time.now += 60
        waited += 1
    assert waited <= math.ceil(WINDOW * math.log(60) / 60) < 45


def test_what_brings_no_work_gets_in_no_faster_than_a_flood_begins() -> None:
    """Refused reports do not count, so they cannot keep work switched on; nor do they outgrow the threshold."""
    time = Time()
    floods = Floods(0, clock=time)
    sent(floods, time, 60, 7 * 24)
    taken = 0
    for _ in range(10 * HOUR):  # one a second, for ten hours
        if not floods.bits(HERE):
            floods.add([HERE])
            taken += 1
        time.now += 1
    assert 8 * TIMES * 60 < taken < 12 * TIMES * 60


def test_a_site_that_has_grown_is_asked_for_nothing_after_some_days() -> None:
    """Work does not stay on for honest visitors, because what comes below the threshold teaches what is usual."""
    time = Time()
    floods = Floods(0, clock=time)
    sent(floods, time, 60, 28 * 24)
    days = [max(sent(floods, time, 20 * 60, 24)) for _ in range(15)]
    assert days[0] == LEAST + 1
    assert days[-1] == 0 < days[5]


def test_a_floor_is_asked_of_everyone() -> None:
    floods = Floods(14, clock=Time())
    assert floods.bits(HERE) == 14
    assert floods.under_way() == 0, "nothing floods"
    floods.add([HERE] * 100 * int(FEW))
    assert floods.bits(HERE) == MOST


async def test_without_limits_there_are_no_floods_but_the_floor_holds(store: SqliteStore) -> None:
    app = intake(store, Metrics(), rate=0)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleetune", headers=JSON) as client:
        for _ in range(2):
            assert (await client.post(URL, json=[wire() for _ in range(100)])).status_code == 202
        app.floods.floor = 8
        assert error(await client.post(URL, json=wire())) == (428, "work-needed")


async def test_strangers_who_flood_a_place_must_work_there_and_nobody_else(store: SqliteStore) -> None:
    """Reports from a new network each time: what they claim about version and cores makes no place of its own."""
    app = intake(store, Metrics(), rate=2000)
    number = 0

    async def post(body: dict[str, Any], query: str = "", network: str = "") -> httpx.Response:
        nonlocal number
        number += 1
        peer = (network or f"10.{number // 256}.{number % 256}.1", 5)
        transport = httpx.ASGITransport(app=app, client=peer)
        async with httpx.AsyncClient(transport=transport, base_url="http://fleetune", headers=JSON) as client:
            return await client.post(URL + query, json=body)

    free = 0
    while (answer := await post(lie := wire(environment=claimed(free)))).status_code == 202:
        free += 1
    assert FEW <= free <= FEW + 2  # it takes a moment
    assert error(answer) == (428, "work-needed")
    told = answer.json()["error"]
    assert told["bits"] == LEAST
    assert len(app.floods._places) == 1
    saxpy = MANIFEST.kernels["saxpy"].signature
    elsewhere = (
        wire() | {"profileSignature": saxpy},
        wire(environment=replace(tiny.ENVIRONMENT, browser="webkit")),
    )
    assert [(await post(body)).status_code for body in elsewhere] == [202, 202]
    assert (await post(wire(), network="127.0.0.1")).status_code == 202, "this machine has no limits"
    found = answered(told["challenge"], lie["nonce"], told["bits"])
    assert is_answer(told["challenge"], lie["nonce"], found, LEAST)
    assert (await post(lie, f"?work={found}")).status_code == 202
    assert (await post(wire(), f"?work={found}")).status_code == 428, "an answer pays for one report"


def claimed(number: int) -> Any:
    return replace(tiny.ENVIRONMENT, version=100 + number % 50, cores=("1", "2-3", "4-7")[number % 3])
