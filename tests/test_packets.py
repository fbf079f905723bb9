"""Packets over real sockets: whole in one read, in parts, behind one another, or not as agreed."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests import tiny
from tests.load import Round
from tests.running import Running, server

SECONDS = 10.0
JSON = b"content-type: application/json"


@dataclass
class World:
    """A server and packets that it will take."""

    running: Running
    packets: Iterator[dict[str, Any]]
    proxied: bool

    def request(self, body: bytes, *lines: bytes, path: bytes = b"/api/telemetry") -> bytes:
        head = [
            b"POST %b HTTP/1.1" % path,
            b"host: fleetune",
            JSON,
            b"content-length: %d" % len(body),
            *lines,
        ]
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def one(self) -> bytes:
        return json.dumps(next(self.packets)).encode()

    def connect(self) -> socket.socket:
        return socket.create_connection((httpx.URL(self.running.url).host, self.port), timeout=SECONDS)

    @property
    def port(self) -> int:
        return httpx.URL(self.running.url).port or 80

    def kept(self) -> float:
        lines = httpx.get(self.running.url + "metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(ACCEPTED))


ACCEPTED = 'fleetune_packets_total{outcome="accepted"}'


@pytest.fixture(scope="module", params=["", "192.0.2.1"], ids=["direct", "behind a proxy"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("packets")
    settings = {
        "kernels": tiny.write(folder / "dist"),
        "lab": folder,
        "retrain_packets": 10**9,
        "trusted_proxy": request.param,
    }
    with server(folder, body_seconds=0.5, **settings) as running:
        yield World(
            running, iter(Round.fetch(running.url).packets(500, tiny.ENVIRONMENT)), bool(request.param)
        )


def read(connection: socket.socket) -> tuple[int, Mapping[str, str], Any]:
    """One answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        assert part, f"closed after {got!r}"
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    headers = {name.lower(): value for name, _, value in pairs}
    assert len(headers) == len(pairs), "a header came twice"
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    # What is left belongs to the next answer: these tests wait for each.
    assert len(body) == int(headers["content-length"])
    return int(first.split()[1]), headers, json.loads(body)


TAKEN = {"accepted": 1, "duplicates": 0}


@pytest.mark.parametrize("cut", [1, 20, 60, 200, -1])
def test_a_request_in_two_parts_is_taken_as_a_whole_one(world: World, cut: int) -> None:
    with world.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = world.request(world.one())
        connection.sendall(request[:cut])
        httpx.get(world.running.url + "healthz")  # the first part has been read by now
        connection.sendall(request[cut:])
        assert read(connection)[::2] == (202, TAKEN)
        connection.sendall(world.request(world.one()))
        assert read(connection)[::2] == (202, TAKEN)


def test_requests_behind_one_another_are_all_answered_in_order(world: World) -> None:
    batch = json.dumps([next(world.packets) for _ in range(3)]).encode()
    requests = [
        world.request(world.one()),
        world.request(batch),
        world.request(b"[]"),
        world.request(world.one()),
    ]
    with world.connect() as connection:
        connection.sendall(b"".join(requests))
        got = b""
        while got.count(b"HTTP/1.1 ") < 4 or not got.endswith(b"}"):
            got += connection.recv(65536)
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"202", b"202", b"422", b"202"]
    assert b'{"accepted":3,"duplicates":0}' in got


def test_a_copy_is_known_and_counts_once(world: World) -> None:
    before = world.kept()
    request = world.request(world.one())
    with world.connect() as connection:
        for accepted in (1, 0):
            connection.sendall(request)
            assert read(connection)[::2] == (202, {"accepted": accepted, "duplicates": 1 - accepted})
    assert world.kept() == before + 1


def test_chunked_packed_and_paid_packets_are_taken(world: World) -> None:
    body = world.one()
    lines = (b"host: x", JSON, b"transfer-encoding: chunked", b"", b"")
    head = b"\r\n".join((b"POST /api/telemetry HTTP/1.1", *lines))
    packed = gzip.compress(world.one())
    other = world.one()
    for request in (
        head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        world.request(packed, b"content-encoding: gzip"),
        world.request(other, path=b"/api/telemetry?work=1"),
    ):
        with world.connect() as connection:
            connection.sendall(request)
            assert read(connection)[::2] == (202, TAKEN)


def test_a_connection_that_shall_end_ends_after_the_answer(world: World) -> None:
    with world.connect() as connection:
        connection.sendall(world.request(world.one(), b"connection: close"))
        status, headers, _answer = read(connection)
        assert (status, headers["connection"]) == (202, "close")
        assert connection.recv(1) == b""


def test_half_a_body_is_waited_for_no_longer_than_agreed(world: World) -> None:
    before = world.kept()
    with world.connect() as connection:
        connection.sendall(world.request(world.one())[:-1])
        assert read(connection)[0] == 408
    assert world.kept() == before


def test_the_privacy_signal_is_heeded(world: World) -> None:
    before = world.kept()
    with world.connect() as connection:
        connection.sendall(world.request(world.one(), b"sec-gpc: 1"))
        assert read(connection)[0] == 403
    assert world.kept() == before


def test_a_packet_that_offers_another_protocol_keeps_its_body_or_is_told_so(world: World) -> None:
    """httptools takes the offer for accepted and drops the body: behind a proxy the sender hears of it."""
    before = world.kept()
    expected = 400 if world.proxied else 202
    for offer in (b"upgrade: h2c", b"upgrade: TLS/1.0", b"upgrade: websocket2"):
        with world.connect() as connection:
            connection.sendall(world.request(world.one(), offer, b"connection: Upgrade, HTTP2-Settings"))
            status, _, answer = read(connection)
            assert status == expected, offer
            assert answer == TAKEN or answer["error"]["code"] == "unsupported-upgrade"
        body = world.one()
        with world.connect() as connection:
            request = world.request(body, offer, b"connection: upgrade")
            connection.sendall(request[: -len(body)])
            httpx.get(world.running.url + "healthz")  # the head has been read by now
            connection.sendall(body)
            assert read(connection)[0] == expected, offer
    assert world.kept() == before + (0 if world.proxied else 6)


def test_the_privacy_signal_may_have_space_around_it(world: World) -> None:
    before = world.kept()
    with world.connect() as connection:
        connection.sendall(world.request(world.one(), b"Sec-GPC:   1  "))
        assert read(connection)[0] == 403
    assert world.kept() == before


def test_what_is_no_http_behind_a_packet_is_answered_and_disturbs_nobody(world: World) -> None:
    before = world.kept()
    with world.connect() as connection:
        connection.sendall(world.request(world.one())[:-1] + b"}POST\0")
        got = connection.recv(65536)
        assert got.startswith(b"HTTP/1.1 ")
    assert world.kept() <= before + 1
    httpx.get(world.running.url + "healthz").raise_for_status()


def test_a_sender_that_leaves_before_the_answer_disturbs_nobody(world: World) -> None:
    before = world.kept()
    for _ in range(20):
        with world.connect() as connection:
            connection.sendall(world.request(world.one()))
    with world.connect() as connection:
        connection.sendall(world.request(world.one()))
        assert read(connection)[0] == 202
    assert before < world.kept() <= before + 21
    assert not [event for event in world.running.events() if event["level"] == "error"]
