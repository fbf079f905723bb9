"""Two replicas on one PostgreSQL behind nginx as `server/nginx.conf` sets it up, all running on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from tests import tiny
from tests.load import Round
from tests.postgres import cluster
from tests.proxies import Proxy, free_port, nginx
from tests.running import Running, server
from websockets.sync.client import connect
from websockets.typing import Origin

from fleetune_server.commands.serve import MAX_HEAD
from fleetune_server.kernels.shelf import MAX_BYTES

LIMIT = 600  # reports an hour of one sender: six of one place


@dataclass
class Site:
    """What is deployed, and a client that trusts its certificate."""

    proxy: Proxy
    replicas: list[Running]
    http: httpx.Client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    ports = free_port(), free_port()
    with cluster() as postgres, nginx(folder / "nginx", ports) as proxy, ExitStack() as stack:
        shared = {
            "kernels": tiny.write(folder / "dist"),
            "lab": folder,
            "store": postgres.create("fleetune"),
            "data": folder / "data",  # keys: the same for every replica
            "trusted_proxy": "127.0.0.1",
            "rate_packets": LIMIT,
        }
        replicas = [stack.enter_context(server(folder / str(port), **shared, port=port)) for port in ports]
        http = stack.enter_context(httpx.Client(base_url=proxy.url, verify=proxy.trust))
        yield Site(proxy, replicas, http)


def test_both_replicas_serve_the_page_and_take_reports(site: Site) -> None:
    versions = {site.http.get("/api/model/latest").json()["version"] for _ in range(8)}
    assert versions == {1}
    packets = Round.fetch(site.replicas[0].url).packets(6, tiny.ENVIRONMENT)
    taken = [site.http.post("/api/telemetry", json=packet).json()["accepted"] for packet in packets]
    assert taken == [1] * 6
    counted = [
        sum(
            float(line.split()[-1])
            for line in httpx.get(f"{replica.url}metrics").text.splitlines()
            if line.startswith('fleetune_packets_total{outcome="accepted"}')
        )
        for replica in site.replicas
    ]
    assert sum(counted) == 6
    assert min(counted) > 0, "nginx gives both something to do"
    assert site.http.get("/").headers["strict-transport-security"], "the replicas know that it is TLS"


def test_a_socket_of_our_own_page_passes_and_one_of_another_does_not(site: Site) -> None:
    url = site.proxy.url.replace("https", "wss") + "/ws"
    with connect(url, origin=Origin(site.proxy.url), ssl=site.proxy.trust) as opened:
        opened.send('{"type": "hello", "version": 0}')
        assert json.loads(opened.recv(10))["version"] == 1
    with pytest.raises(Exception, match="403"):
        connect(url, origin=Origin("https://evil.example"), ssl=site.proxy.trust)


def test_metrics_stay_inside_and_plain_http_is_sent_to_tls(site: Site) -> None:
    assert site.http.get("/metrics").status_code == 404
    plain = next(
        line.split(":")[-1].rstrip(";")
        for line in (site.proxy.folder / "fleetune.conf").read_text().splitlines()
        if "listen" in line and "ssl" not in line
    )
    answer = httpx.get(f"http://127.0.0.1:{plain}/dashboard", headers={"host": "tune.example"})
    assert (answer.status_code, answer.headers["location"]) == (301, "https://tune.example/dashboard")


def test_headers_and_bodies_are_bounded_before_a_replica_reads_them(site: Site) -> None:
    assert site.http.get("/healthz", headers={"x": "a" * (MAX_HEAD // 4)}).status_code == 200
    many = {f"x{number}": "a" * 4000 for number in range(MAX_HEAD // 4000 + 2)}
    assert site.http.get("/healthz", headers=many).status_code == 400
    big = site.http.post("/api/own-kernels", content=b"0" * (MAX_BYTES + (4 << 20)))
    assert big.status_code == 413


def test_a_sender_cannot_pass_for_many(site: Site) -> None:
    """Each request claims another address; nginx tells the replicas the one that it sees."""
    packets = Round.fetch(site.replicas[0].url).packets(40, tiny.ENVIRONMENT)

    def sent(http: httpx.Client) -> set[int]:
        claims = ({"x-forwarded-for": f"203.0.{number}.9"} for number in range(len(packets)))
        answers = (
            http.post("/api/telemetry", json=packet, headers=claim)
            for packet, claim in zip(packets, claims, strict=True)
        )
        return {answer.status_code for answer in answers}

    assert 429 in sent(site.http)
    with httpx.Client(base_url=site.replicas[0].url) as straight:
        assert sent(straight) == {202}, "the replicas believe a trusted proxy"


def test_no_address_is_logged(site: Site) -> None:
    site.http.get("/nowhere")
    site.http.get("/healthz", headers={f"x{number}": "a" * 4000 for number in range(8)})
    written = "".join(path.read_text() for path in site.proxy.folder.glob("*log*"))
    assert "127.0.0.1" not in written


def test_while_one_replica_is_away_the_other_answers_everything(site: Site) -> None:
    site.replicas[0].kill()
    assert [site.http.get("/api/model/latest").status_code for _ in range(30)] == [200] * 30
