"""Whose word counts about where a request came from."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import tiny
from tests.running import server

from fleetune_server.settings import proxy_networks
from fleetune_server.telemetry.limits import RateLimiter, sender_of


def scope(address: str, *lines: str, name: str = "x-forwarded-for") -> dict[str, Any]:
    headers = [(name.encode(), line.encode("latin-1")) for line in lines]
    return {"type": "http", "client": (address, 5), "headers": headers}


PROXY = "10.0.0.1"


def take(limiter: RateLimiter, scope: dict[str, Any], packets: int) -> int:
    return limiter.take(limiter.sender(scope), packets)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["203.0.113.7"], "203.0.113.0/24"),
        (["1.2.3.4, 203.0.113.7"], "203.0.113.0/24"),  # nginx appends to the sender's line
        (["1.2.3.4", "203.0.113.7"], "203.0.113.0/24"),  # HAProxy adds a line of its own
        (["1.2.3.4, 5.6.7.8", "9.9.9.9", "203.0.113.7, 10.0.0.2"], "203.0.113.0/24"),  # two proxies
        (["203.0.113.7", "10.0.0.2", "10.0.0.1"], "203.0.113.0/24"),
        (["::ffff:203.0.113.7"], "203.0.113.0/24"),
        (["1.2.3.4, 203.0.113.7:4711"], "203.0.113.0/24"),  # Azure's proxies write the port
        (["[2001:db8:1:2::3]:443"], "2001:db8:1::/48"),
        (["2001:db8:1:2::3%eth0"], "2001:db8:1::/48"),
        (["1.2.3.4, unknown"], "unknown"),  # what stands before is the sender's own text
        (["1.2.3.4, "], "unknown"),
        (["1.2.3.4,, 203.0.113.7,"], "unknown"),
        (["1.2.3.4, 203.0.113.7\xff"], "unknown"),
        (["10.0.0.2"], "10.0.0.0/24"),  # a proxy that asks by itself
        ([], "10.0.0.0/24"),
    ],
)
@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}", f"::FFFF:{PROXY}"])
def test_the_last_hop_that_a_trusted_proxy_added_counts(peer: str, lines: list[str], expected: str) -> None:
    sender = sender_of(scope(peer, *lines), proxy_networks(["10.0.0.0/30"]))
    assert (sender.prefix, sender.local, sender.doubtful) == (expected, False, False)


def test_a_mapped_proxy_network_is_the_one_that_it_maps() -> None:
    for listed in ("10.0.0.0/30", "::ffff:10.0.0.0/126"):
        sender = sender_of(scope(PROXY, "203.0.113.7"), proxy_networks([listed]))
        assert sender.prefix == "203.0.113.0/24", listed
    assert (
        sender_of(scope("10.0.0.9", "203.0.113.7"), proxy_networks(["10.0.0.0/30"])).prefix == "10.0.0.0/24"
    )


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-proto"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8", "198.51.100.4"])
def test_an_untrusted_proxy_shares_one_limit_and_is_told_of_once(
    name: str, peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = RateLimiter(100)
    with caplog.at_level(logging.WARNING):
        taken = [take(limiter, scope(peer, f"203.0.113.{i}", name=name), 10) for i in range(30)]
    assert taken[:10] == [0] * 10
    assert all(taken[10:]), "a forged or forwarded address buys nothing"
    (told,) = caplog.records
    assert "FLEETUNE_TRUSTED_PROXY" in told.__dict__["remedy"]
    assert "203.0.113" not in str(told.__dict__)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_itself_is_free_and_behind_its_trusted_proxy_nobody_is(peer: str) -> None:
    assert take(RateLimiter(100), scope(peer), 10**6) == 0
    trusting = RateLimiter(100, ["127.0.0.1", "::1"])
    assert take(trusting, scope(peer), 10**6) == 0, "no proxy: the machine's own tools"
    assert take(trusting, scope(peer, "203.0.113.7"), 101) > 0
    assert take(trusting, scope(peer, "127.0.0.1"), 101) > 0, "a sender that claims to be local"
    assert take(trusting, scope(peer, "1.2.3.4", "203.0.113.7"), 100) == 0
    assert take(trusting, scope(peer, "5.6.7.8", "203.0.113.9"), 1) > 0, "the forged first line is not read"


def test_peers_without_an_address_share_one_limit() -> None:
    limiter = RateLimiter(100)
    assert take(limiter, {"type": "http", "client": None, "headers": []}, 100) == 0
    assert take(limiter, scope("nonsense"), 1) > 0
    assert take(limiter, scope("2001:db8:1:2::3"), 100) == 0
    assert take(limiter, scope("2001:db8:1:ffff::9"), 1) > 0


def test_behind_a_proxy_that_speaks_tls_browsers_are_told_to_stay_with_it(tmp_path: Path) -> None:
    folder = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    contact = "mailto:security@site.example"
    with server(tmp_path, trusted_proxy="127.0.0.1", contact=contact, **folder) as running:
        for path in ("healthz", "fleetune.js", "nowhere"):
            for claimed, told in ((None, False), ("http", False), ("https", True)):
                headers = {"x-forwarded-proto": claimed} if claimed else {}
                answer = httpx.get(running.url + path, headers=headers)
                assert ("strict-transport-security" in answer.headers) == told, (path, claimed)
        published = httpx.get(running.url + ".well-known/security.txt")
        assert published.headers["content-type"] == "text/plain; charset=utf-8"
        fields = dict(line.split(": ", 1) for line in published.text.splitlines())
        assert fields["Contact"] == contact
        left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
        assert timedelta(days=30) < left < timedelta(days=366)


def test_a_second_server_on_one_folder_refuses_to_start_and_disturbs_nothing(tmp_path: Path) -> None:
    folder = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    with server(tmp_path, **folder) as first:
        with pytest.raises(AssertionError), server(tmp_path, port=0, **folder):
            pass
        events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
        assert any("a server uses it already" in event for event in events), events
        assert not any("Traceback" in event for event in events)
        assert httpx.get(first.url + "readyz").status_code == 200
    with server(tmp_path, **folder) as again:
        assert httpx.get(again.url + "readyz").status_code == 200
