"""`/api/telemetry` over HTTP: durable before acknowledged, idempotent, bounded."""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import tiny
from tests.test_intake_check import BASE, CLIP, FixedRounds

from fleetune.context import Environment
from fleetune.packet import DAY, build
from fleetune.work import search
from fleetune_server.common.metrics import Metrics
from fleetune_server.store.sqlite import SqliteStore, open_sqlite
from fleetune_server.telemetry.check import Checker
from fleetune_server.telemetry.floods import Challenges, Floods
from fleetune_server.telemetry.ingest import MAX_BODY, Intake
from fleetune_server.telemetry.limits import PERIOD, PLACE_HOURS, RateLimiter, Sender

URL = "/api/telemetry"
MANIFEST = tiny.manifest()
JSON = {"content-type": "application/json"}


def wire(epsilon: float = 2.0, environment: Environment = tiny.ENVIRONMENT) -> dict[str, Any]:
    day = int(time.time()) // DAY
    return build(
        MANIFEST.kernels["dot"], tiny.CONTEXT, environment, "scalar", BASE, 0.6, CLIP, epsilon, 3, day
    ).to_wire()


@dataclass
class World:
    """An intake on a store of its own."""

    client: httpx.AsyncClient
    store: SqliteStore
    intake: Intake
    metrics: Metrics

    async def kept(self) -> int:
        return (await self.store.counts()).pending


def intake(store: SqliteStore, metrics: Metrics, rate: int = 0, seconds: float = 5.0) -> Intake:
    checker = Checker(lambda: MANIFEST.by_signature, FixedRounds(), 2, lambda nonce: False, time.time)
    challenges, floods = Challenges(store), Floods()
    return Intake(store, checker, RateLimiter(rate), metrics, seconds, lambda count: None, challenges, floods)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    metrics = Metrics()
    async with open_sqlite(tmp_path / "fleetune.db", 300) as store:
        app = intake(store, metrics)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://fleetune") as client:
            yield World(client, store, app, metrics)


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_one_packet_or_an_array_is_acknowledged_once_it_is_stored(world: World) -> None:
    first = wire()
    response = await world.client.post(URL, json=first)
    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0})
    response = await world.client.post(URL, json=[first, wire(), wire(1.0)])
    assert (response.status_code, response.json()) == (202, {"accepted": 2, "duplicates": 1})
    assert await world.kept() == 3
    assert world.metrics.packets.values == {"accepted": 3, "duplicate": 1}


async def test_one_bad_packet_refuses_the_whole_request_and_is_pointed_at(world: World) -> None:
    response = await world.client.post(URL, json=[wire(), wire() | {"modelVersion": 9}, wire()])
    assert error(response) == (422, "unknown-model")
    assert response.json()["error"]["index"] == 1
    assert await world.kept() == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad-json"),
        (b"{", 400, "bad-json"),
        (b'{"a": NaN}', 400, "bad-json"),
        (b'"\xff"', 400, "bad-json"),
        (b"[" * 5000, 400, "bad-json"),
        (b'{"nonce": "\\ud800"}', 400, "bad-json"),
        (b'{"nonce": "\xed\xa0\x80"}', 400, "bad-json"),
        (b'"' + "a".encode("utf-16") + b'"', 400, "bad-json"),
        (b'{"v": ' + b"9" * 400 + b"}", 422, "missing-field"),
        (b"9" * 400, 422, "not-an-object"),
        (b"9" * 5000, 400, "bad-json"),
        (b"[]", 422, "packet-count"),
        (b"7", 422, "not-an-object"),
        (b"[{}]", 422, "missing-field"),
        (b"[" + b"{}," * 100 + b"{}]", 422, "packet-count"),
        (b" " * (MAX_BODY + 1), 413, "too-large"),
    ],
)
async def test_broken_bodies_are_refused_by_name(world: World, body: bytes, status: int, code: str) -> None:
    assert error(await world.client.post(URL, content=body, headers=JSON)) == (status, code)
    assert await world.kept() == 0


async def test_work_that_was_asked_for_is_checked_for_each_packet(world: World) -> None:
    world.intake.floods.floor = 8
    world.intake.challenges = Challenges(world.store, lambda: 0.0)
    challenge = world.intake.challenges.current

    def paid(packets: list[dict[str, Any]], challenge: str = challenge) -> str:
        return ",".join(str(search(challenge, packet["nonce"], 8, 0, 1 << 16)) for packet in packets)

    one, two = wire(), wire()
    judge = world.intake.challenges.paid
    wrong = next(str(n) for n in range(1000) if not judge(one["nonce"], n, 8))
    foreign = next(c for c in map(str, range(99)) if not judge(one["nonce"], int(paid([one], c)), 8))
    queries = ("", "?work=", f"?work={wrong}", "?work=-1", f"?work={'9' * 13}", f"?work={paid([one])},1")
    for query in (*queries, f"?work={paid([one], foreign)}"):
        response = await world.client.post(URL + query, json=one)
        assert error(response) == (428, "work-needed"), query
        told = response.json()["error"]
        assert (told["bits"], told["challenge"]) == (8, challenge), "and nothing about who asks"
    assert error(await world.client.post(f"{URL}?work={paid([one])}", json=[one, two]))[0] == 428
    assert await world.kept() == 0
    assert (await world.client.post(f"{URL}?work={paid([one])}", json=one)).status_code == 202
    response = await world.client.post(f"{URL}?work={paid([one, two])}", json=[one, two])
    assert response.json() == {"accepted": 1, "duplicates": 1}


async def test_a_full_batch_of_the_longest_packets_fits(world: World) -> None:
    batch = [wire() for _ in range(100)]
    assert (await world.client.post(URL, json=batch)).json() == {"accepted": 100, "duplicates": 0}


async def test_gzip_is_understood_and_a_bomb_is_not(world: World) -> None:
    zipped = {**JSON, "content-encoding": "gzip"}
    good = gzip.compress(json.dumps(wire()).encode())
    assert (await world.client.post(URL, content=good, headers=zipped)).status_code == 202
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < MAX_BODY
    assert error(await world.client.post(URL, content=bomb, headers=zipped)) == (413, "too-large")
    for body in (b"plain", good[:-4], good + b"more"):
        assert error(await world.client.post(URL, content=body, headers=zipped)) == (400, "bad-gzip")
    response = await world.client.post(URL, content=good, headers={**JSON, "content-encoding": "br"})
    assert error(response) == (415, "unsupported-encoding")


async def test_other_methods_are_refused(world: World) -> None:
    assert error(await world.client.put(URL, json=wire())) == (405, "method-not-allowed")


async def test_withdrawing_removes_what_is_not_folded_yet(world: World) -> None:
    batch = [wire() for _ in range(4)]
    nonces = [packet["nonce"] for packet in batch]
    await world.client.post(URL, json=batch[:2])
    await world.store.fold(time.time() + 1)
    await world.client.post(URL, json=batch[2:])
    response = await world.client.request("DELETE", URL, json={"nonces": [*nonces, "a" * 32]})
    assert (response.status_code, response.json()) == (200, {"removed": 2, "alreadyFolded": 2})
    assert await world.kept() == 0
    assert (await world.client.post(URL, json=batch)).json() == {"accepted": 0, "duplicates": 4}


@pytest.mark.parametrize("body", [{}, [], {"nonces": []}, {"nonces": ["A" * 32]}, {"nonces": [1]}, {"x": []}])
async def test_a_malformed_withdrawal_is_refused(world: World, body: object) -> None:
    assert (await world.client.request("DELETE", URL, json=body)).status_code == 422


async def test_a_full_queue_asks_senders_to_wait(world: World) -> None:
    sends = [world.client.post(URL, json=[wire() for _ in range(60)]) for _ in range(12)]
    responses = await asyncio.gather(*sends)
    accepted = [response for response in responses if response.status_code == 202]
    busy = [response for response in responses if response.status_code == 503]
    assert len(accepted) + len(busy) == 12
    assert busy
    assert all(error(response)[1] == "busy" and int(response.headers["retry-after"]) > 0 for response in busy)
    assert await world.kept() == 60 * len(accepted)


async def test_a_slow_sender_is_cut_off(world: World) -> None:
    async def never() -> MutableMapping[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    status = await raw(intake(world.store, world.metrics, seconds=0.05), never)
    assert status == 408


async def test_a_sender_that_leaves_in_the_middle_stores_nothing(world: World) -> None:
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def leaving() -> MutableMapping[str, Any]:
        return messages.pop(0)

    assert await raw(world.intake, leaving) == 400
    assert await world.kept() == 0


async def raw(app: Intake, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> int:
    """The status of a request whose body arrives as `receive` says."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    await app(
        {"type": "http", "method": "POST", "headers": headers, "client": ("127.0.0.1", 1)}, receive, send
    )
    return int(sent[0]["status"])


def sender(address: str) -> Sender:
    return RateLimiter(1).sender({"type": "http", "client": (address, 5), "headers": []})


def test_a_network_may_send_so_much_an_hour_and_no_more() -> None:
    now = [1000.0]
    limiter = RateLimiter(100, clock=lambda: now[0])
    assert limiter.take(sender("203.0.113.7"), 60) == 0
    assert limiter.take(sender("203.0.113.99"), 41) == PERIOD  # the same /24
    assert limiter.take(sender("203.0.113.99"), 40) == 0
    assert limiter.take(sender("203.0.114.7"), 100) == 0
    assert limiter.take(sender("127.0.0.1"), 10**6) == 0
    now[0] += PERIOD
    assert limiter.take(sender("203.0.113.7"), 100) == 0


def test_a_network_may_tell_so_much_of_one_place_and_others_go_on() -> None:
    now = [1000.0]
    limiter = RateLimiter(500, clock=lambda: now[0])  # five of one place
    here, there = sender("203.0.113.7"), sender("203.0.114.7")
    assert limiter.take_places(here, [*5 * ["dot"], *3 * ["fft"]]) == 0
    assert limiter.take_places(sender("203.0.113.9"), ["fft", "fft", "dot"]) == PERIOD
    assert limiter.take_places(here, 2 * ["fft"]) == 0, "what was refused is not counted"
    assert limiter.take_places(there, 5 * ["dot"]) == 0
    assert limiter.take_places(sender("127.0.0.1"), 10**4 * ["dot"]) == 0
    assert RateLimiter(0).take_places(here, 10**4 * ["dot"]) == 0
    assert RateLimiter(3).take_places(here, ["dot"]) == 0, "one is always taken"
    now[0] += PERIOD
    assert limiter.take_places(here, 5 * ["dot"]) == 0


def test_who_sends_slowly_tells_no_more_of_a_place_in_a_day_than_in_a_few_hours() -> None:
    now = [1000.0]
    limiter = RateLimiter(500, clock=lambda: now[0])  # five of one place an hour
    here, month = sender("203.0.113.7"), 30
    taken = []
    for _ in range(month * 24):
        taken.append(sum(limiter.take_places(here, ["dot"]) == 0 for _ in range(8)))
        now[0] += PERIOD
    assert max(taken) == 5
    assert sum(taken) == month * 5 * PLACE_HOURS
    now[0] += DAY
    assert limiter.take_places(here, 5 * ["dot"]) == limiter.take_places(here, ["fft"]) == 0
    now[0] += PERIOD
    assert limiter.take_places(here, 5 * ["dot"]) == limiter.take_places(here, ["fft"]) == 0


async def test_one_network_cannot_outvote_a_place(world: World) -> None:
    """A third report of one place is refused where a network may send two; nothing of it is kept."""
    app = intake(world.store, world.metrics, rate=200)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleetune") as stranger:
        for cores in ("1", "2-3"):
            sent = wire(environment=replace(tiny.ENVIRONMENT, cores=cores, version=152))
            assert (await stranger.post(URL, json=sent)).status_code == 202
        claimed = replace(tiny.ENVIRONMENT, os="windows")  # another claim is no other place
        answer = await stranger.post(URL, json=wire(environment=claimed))
    assert error(answer) == (429, "too-many")
    assert 0 < int(answer.headers["retry-after"]) <= PERIOD
    assert await world.kept() == 2


def test_the_limiter_holds_no_address() -> None:
    limiter = RateLimiter(100)
    address = f"203.0.{secrets.randbelow(256)}.7"
    limiter.take(sender(address), 1)
    limiter.take_places(sender(address), ["dot"])
    held = [vars(one) for one in (limiter, limiter._hour, limiter._day)]
    assert address.rsplit(".", 1)[0] not in repr(held)


async def test_who_sends_the_privacy_signal_is_believed_whatever_the_page_does(world: World) -> None:
    """Global Privacy Control as a header: a page that sends all the same is refused, and nothing is kept."""
    signal = {"sec-gpc": "1"}
    assert error(await world.client.post(URL, json=wire(), headers=signal)) == (403, "privacy-signal")
    assert await world.kept() == 0
    sent = wire()
    assert (await world.client.post(URL, json=sent, headers={"sec-gpc": "0"})).status_code == 202
    taken_back = await world.client.request("DELETE", URL, json={"nonces": [sent["nonce"]]}, headers=signal)
    assert taken_back.json() == {"removed": 1, "alreadyFolded": 0}, "withdrawing is always possible"


@pytest.mark.parametrize("signal", ["1", " 1", "1  ", "\t1 \t"])
async def test_the_privacy_signal_counts_whatever_space_is_around_it(world: World, signal: str) -> None:
    answer = await world.client.post(URL, json=wire(), headers={"sec-gpc": signal})
    assert error(answer) == (403, "privacy-signal")
    assert await world.kept() == 0


NOT_JSON = [
    None,
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "text/plain; application/json",
    "text/plain, application/json",
    "",
]


@pytest.mark.parametrize("kind", NOT_JSON)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_what_a_page_may_send_elsewhere_without_asking_is_refused(
    world: World, method: str, kind: str | None
) -> None:
    """Any page could otherwise let its visitors' addresses send, by a form or `fetch` without CORS."""
    body = wire() if method == "POST" else {"nonces": ["a" * 32]}
    headers = {} if kind is None else {"content-type": kind}
    answer = await world.client.request(method, URL, content=json.dumps(body).encode(), headers=headers)
    assert error(answer) == (415, "unsupported-type")
    assert await world.kept() == 0


async def test_two_content_types_are_none(world: World) -> None:
    both = [("content-type", "application/json"), ("content-type", "text/plain")]
    assert error(await world.client.post(URL, content=json.dumps(wire()), headers=both))[0] == 415


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"]
)
async def test_json_is_json_however_it_is_spelt(world: World, kind: str) -> None:
    sent = await world.client.post(URL, content=json.dumps(wire()), headers={"content-type": kind})
    assert sent.status_code == 202
