"""1,000 planted addresses, names and lines of source: none reaches disk, logs, tracebacks or metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import websockets
from tests import tiny
from tests.load import Round
from tests.postgres import cluster
from tests.running import Running, server

from fleetune import rating as feedback

COUNT = 1_000
MARKS = (b"198.18.1", b"2001:db8:5e47", b"2001%3Adb8%3A5e47", b"Sentinella", b"sentinel_")  # each has one
BATCH = 50
Send = Callable[[], Awaitable[httpx.Response]]


def sentinels() -> list[str]:
    """Addresses of ranges kept for tests, names and source lines, none a part of another."""
    kinds = (
        lambda n: f"198.18.{100 + n // 100}.{100 + n % 100}",
        lambda n: f"2001:db8:5e47::{0x1000 + n:x}",
        lambda n: f"Sentinella Name-{n:04d}",
        lambda n: f"const sentinel_{n:04d} = (secret) => secret * {n:04d};",
    )
    made = [kinds[n % 4](n) for n in range(COUNT)]
    assert len(set(made)) == COUNT
    return made


def found(planted: list[str], data: bytes) -> list[str]:
    """Those that occur in bytes, as they are, JSON-escaped or percent-encoded."""
    if not any(mark in data for mark in MARKS):
        return []
    text = data.decode("utf-8", "replace")
    return [one for one in planted if any(form in text for form in (one, json.dumps(one)[1:-1], quote(one)))]


def ways(http: httpx.AsyncClient, n: int, secret: str, wire: dict[str, Any]) -> Send:
    """One request that carries a sentinel in its headers, and elsewhere too unless it is to be accepted."""
    ascii_only = secret.encode("ascii", "replace").decode()
    headers = {
        "x-forwarded-for": f"203.0.113.7, {ascii_only}",
        "forwarded": f'for="{ascii_only}"',
        "x-real-ip": ascii_only,
        "user-agent": f"Agent {ascii_only}",
        "referer": f"https://site.example/{quote(secret)}",
        "cookie": f"name={quote(secret)}",
        "authorization": f"Bearer {quote(secret)}",
        "accept-language": ascii_only,
        "cf-ipcountry": ascii_only,
        "content-type": "application/json",
    }

    def send(method: str, path: str, **more: Any) -> Send:
        return lambda: http.request(method, path, headers=headers, **more)

    if n % 2 == 0:  # these are kept: their values must be all that is
        return send("POST", "/api/telemetry", json=wire, params={"from": secret})
    refused = (
        send("POST", "/api/telemetry", json={**wire, "nonce": secret}),
        send("POST", "/api/telemetry", json={**wire, secret: 1}),
        send("POST", "/api/telemetry", json={**wire, "actualSpeedups": {secret: 2.0}}),
        send("POST", "/api/telemetry", content=b"{" + secret.encode()),
        send("POST", "/api/telemetry", content=secret.encode(), params={"q": secret}),
        send("POST", "/api/feedback", json={**feedback.build(True, 20_780).to_wire(), "kind": secret}),
        send("DELETE", "/api/telemetry", json={"nonces": [secret]}),
        send("GET", "/api/decisions", params={"browser": secret, "version": secret}),
        send("GET", f"/api/decisions/{quote(secret, safe='')}"),
        send("GET", "/api/model/latest", params={"version": secret, "draw": secret}),
        send("GET", f"/static/{quote(secret, safe='')}"),
        send("GET", "/privacy", params={"lang": secret}),
    )
    return refused[n // 2 % len(refused)]


async def plant(running: Running, planted: list[str]) -> list[int]:
    """Send every sentinel; the statuses."""
    known = Round.fetch(running.url)
    wires = known.packets(COUNT, tiny.ENVIRONMENT)
    statuses: list[int] = []
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:
        for start in range(0, COUNT, BATCH):
            sends = [ways(http, n, planted[n], wires[n]) for n in range(start, start + BATCH)]
            statuses += [answer.status_code for answer in await asyncio.gather(*(send() for send in sends))]
    address = running.url.replace("http", "ws", 1) + "ws"
    for start in range(0, COUNT, 100):
        headers = {"x-forwarded-for": planted[start], "user-agent": planted[start + 2]}
        with contextlib.suppress(websockets.ConnectionClosed):  # it need not listen to nonsense
            async with websockets.connect(address, additional_headers=headers) as talk:
                for secret in planted[start : start + 100]:
                    await talk.send(json.dumps({"type": "hello", "version": secret, secret: secret}))
    return statuses


def shout(running: Running, planted: list[str]) -> None:
    """What is not even HTTP, each line on a connection of its own."""
    where = urlsplit(running.url)
    assert where.hostname
    for secret in planted:
        with socket.create_connection((where.hostname, where.port or 80), timeout=5) as raw:
            raw.sendall(b"GET /" + secret.encode() + b" NOT HTTP\r\n" + secret.encode() + b"\r\n\r\n")
            with contextlib.suppress(OSError):
                raw.recv(1000)


def kept(*folders: Path) -> dict[str, bytes]:
    """Everything that the server has on disk: database, write-ahead log, keys, log."""
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "dist" not in path.parts
    }


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """The store's setting, and the folder where PostgreSQL keeps its data, write-ahead log and log."""
    if request.param == "sqlite":
        yield {}
    else:
        with cluster() as own:
            yield {"store": own.create("fleetune"), "folder": own.folder}


def test_nothing_of_a_thousand_planted_secrets_is_kept(tmp_path: Path, database: dict[str, object]) -> None:
    planted = sentinels()
    folders = [tmp_path, *(Path(str(database.pop("folder"))) for _ in database.keys() & {"folder"})]
    # With the proxy trusted, the forwarded address is the one that is believed: the hardest case.
    settings = {
        "trusted_proxy": "127.0.0.1",
        "kernels": tiny.write(tmp_path / "dist"),
        "lab": tmp_path / "none",
        "rate_packets": 20 * COUNT,  # those whose address is none share one limit
        **database,
    }
    with server(tmp_path, **settings) as running:
        statuses = asyncio.run(plant(running, planted))
        shout(running, planted[::20])
        assert sum(status == 202 for status in statuses) == COUNT // 2, "half of them came with a good report"
        assert {status for status in statuses if status >= 500} == set()
        metrics = httpx.get(f"{running.url}metrics").content + httpx.get(f"{running.url}api/metrics").content
        assert b'"pending":500' in metrics
        assert found(planted, metrics) == []
        during = kept(*folders)
        logged = [data for name, data in during.items() if name.endswith("-wal") or "/pg_wal/" in name]
        nonce = re.compile(rb"[0-9a-f]{32}")
        assert any(nonce.search(data) for data in logged), "the write-ahead log is looked at"
    for name, data in [*during.items(), *kept(*folders).items()]:
        assert found(planted, data) == [], name


def test_exceptions_that_nobody_foresaw_do_not_quote_what_came_in(tmp_path: Path) -> None:
    """The handlers of this server fail, with all that they were given in the exceptions' messages."""
    planted = sentinels()[:200]
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path / "none"}
    with server(tmp_path, program="tests.faulty_server", **settings) as running:
        statuses = asyncio.run(provoke(running, planted))
        assert statuses.count(500) >= len(planted) // 2
        metrics = httpx.get(f"{running.url}metrics").content
    log = running.log.read_text()
    for kind in ("KeyError", "RuntimeError", "ValueError", "LookupError", "OverflowError"):
        assert f"builtins.{kind}" in log, "it did fail, and the log says how"
    assert "tests/faulty_server.py:" in log, "and where"
    for name, data in {**kept(tmp_path), "metrics": metrics}.items():
        assert found(planted, data) == [], name


async def provoke(running: Running, planted: list[str]) -> list[int]:
    """Every sentinel in address, headers and body of requests to handlers that fail; the statuses."""
    statuses = []
    alone = httpx.Limits(max_keepalive_connections=0)  # uvicorn ends a connection whose handler failed
    async with httpx.AsyncClient(base_url=running.url, timeout=30, limits=alone) as http:
        for n, secret in enumerate(planted):
            headers = {
                "content-type": "application/json",
                "x-forwarded-for": secret,
                "user-agent": secret,
                "cookie": f"name={quote(secret)}",
            }
            method, path = (
                ("POST", "/api/telemetry"),
                ("GET", "/api/model/latest"),
                ("DELETE", "/api/telemetry"),
                ("GET", "/api/plan"),
            )[n % 4]
            body = None if method == "GET" else json.dumps({"nonces": [secret], secret: 1})
            answer = await http.request(method, path, headers=headers, params={"q": secret}, content=body)
            statuses.append(answer.status_code)
            assert secret not in answer.text
    address = running.url.replace("http", "ws", 1) + "ws"
    for secret in planted[:20]:
        with contextlib.suppress(websockets.ConnectionClosed, websockets.InvalidStatus):
            async with websockets.connect(address, additional_headers={"user-agent": secret}) as talk:
                await talk.send(secret)
                await talk.recv()
    return statuses


def test_the_search_would_find_them() -> None:
    planted = sentinels()
    for one in planted[:8]:
        for form in (one, json.dumps({"a": one}), quote(one)):
            assert found(planted, f"log: {form}".encode()) == [one]
