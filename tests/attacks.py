"""What strangers tried on the server, tried again: `python -m tests.attacks [--only NAME] [--json]`.

Each scenario says what came of it `before` (computed by the old rule where that is short, else as the review of
0.1 had it) and what comes of it now. It fails unless the attack does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from tests import tiny
from tests.attack_floods import flooded_place, stockpiled_answers, thrown_switch
from tests.attack_world import BATCH, OF_PLACES, RATE, Outcome, World
from tests.browsers import Browser, measured, model
from tests.load import Round
from tests.own_world import SCRIPT, description, modules
from tests.running import Running, server
from tests.test_delta import inflating
from tests.test_limits import kernel

from fleetune.delta import DeltaError, apply
from fleetune.packet import DAY
from fleetune.rating import build
from fleetune_server.http.own_kernels import LIFETIME, Tokens
from fleetune_server.kernels.catalogue import CapacityError, Catalogue
from fleetune_server.kernels.package import Package
from fleetune_server.kernels.shelf import to_document
from fleetune_server.telemetry.limits import PERIOD, PLACE_HOURS, PLACE_SHARE, RateLimiter

JSON = {"content-type": "application/json"}
SHARE = 0.2  # of chosen nonces, held out at most


def chosen_nonces(world: World) -> Outcome:
    """Every nonce one that used to mean the gate."""
    batch = [
        world.next(world.open) | {"nonce": f"{10 * i:08x}{secrets.token_hex(12)}"} for i in range(100, 500)
    ]
    nonces = [bytes.fromhex(packet["nonce"]) for packet in batch]
    old = sum(int(packet["nonce"][:8], 16) % 10 == 0 for packet in batch) / len(batch)
    for start in range(0, len(batch), 100):
        httpx.post(world.open.url + "api/telemetry", json=batch[start : start + 100])
    with world.database(world.open) as database:
        held = dict(database.execute("SELECT nonce, heldout FROM packets").fetchall())
    share = sum(held[nonce] for nonce in nonces) / len(nonces)
    return Outcome(old, share, 0 < share < SHARE)


def outvoted_place(world: World) -> Outcome:
    """All that one network may send, about one kind of browser only."""
    taken = world.post(world.proxied, RATE, **{"x-forwarded-for": "192.0.2.1"})
    return Outcome(RATE, taken, 0 < taken <= OF_PLACES)


def slow_outvoting(world: World) -> Outcome:
    """The same for a month, by a network that never hurries: what is taken of one kernel in one browser."""
    now, months = [0.0], 30 * 24
    limiter = RateLimiter(RATE, clock=lambda: now[0])
    sender = limiter.sender({"type": "http", "client": ("203.0.113.7", 5), "headers": []})
    of_hour, taken = int(RATE * PLACE_SHARE), 0
    for _ in range(months):
        taken += sum(limiter.take_places(sender, ["dot firefox"]) == 0 for _ in range(of_hour))
        now[0] += PERIOD
    return Outcome(months * of_hour, taken, 0 < taken <= 30 * PLACE_HOURS * of_hour)


def idle_sockets(world: World) -> Outcome:
    """139 sockets of one network on a server that may have 160 files: seconds until somebody else is answered."""
    settings = {"kernels": world.open.log.parents[1] / "dist", "lab": world.open.log.parents[1]}
    folder = world.open.log.parents[1] / "few"
    with server(folder, **settings, program="tests.few_files") as few, contextlib.ExitStack() as stack:
        url = httpx.URL(few.url)
        address = (url.host, url.port or 80)
        for _ in range(139):
            stack.enter_context(socket.create_connection(address, 5, source_address=("127.0.1.1", 0)))
        begin = time.perf_counter()
        for _ in range(20):
            httpx.get(few.url + "healthz", timeout=10).raise_for_status()
        seconds = (time.perf_counter() - begin) / 20
    return Outcome("shut out", round(seconds, 3), seconds < 1)


def forged_hops(world: World) -> Outcome:
    """Another first X-Forwarded-For line each time, from one address behind the trusted proxy."""
    wanted, taken = 2 * OF_PLACES, 0
    for number in range(wanted // BATCH):
        lines = f"198.51.{number}.1, 203.0.113.7"
        taken += world.post(world.proxied, BATCH, **{"x-forwarded-for": lines})
    return Outcome(wanted, taken, 0 < taken <= OF_PLACES)


def unnamed_proxy(world: World) -> Outcome:
    """A proxy on the same machine that FLEETUNE_TRUSTED_PROXY does not name: nobody behind it is unlimited."""
    wanted = 2 * OF_PLACES
    taken = sum(
        world.post(world.open, BATCH, **{"x-forwarded-for": f"198.51.{number}.1"})
        for number in range(wanted // BATCH)
    )
    warned = sum("no trusted proxy" in event["event"] for event in world.open.events())
    return Outcome([wanted, 0], [taken, warned], 0 < taken <= OF_PLACES and warned == 1)


def simple_request(world: World) -> Outcome:
    """What any page may send to another origin without a preflight, with each method and route."""
    wire, answer = world.next(world.open), build(True, int(time.time()) // DAY).to_wire()
    asked = (
        ("POST", "api/telemetry", wire),
        ("DELETE", "api/telemetry", {"nonces": [wire["nonce"]]}),
        ("POST", "api/feedback", answer),
    )
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    statuses = {
        httpx.request(
            m, world.open.url + path, content=json.dumps(body), headers={"content-type": kind}
        ).status_code
        for m, path, body in asked
        for kind in kinds
    }
    return Outcome([200, 202], sorted(statuses), statuses == {415})


def raw(running: Running, wire: Mapping[str, Any], *lines: str) -> int:
    """The status of a packet that is sent with these header lines as they stand."""
    body = json.dumps(wire).encode()
    head = ["POST /api/telemetry HTTP/1.1", "host: x", "content-type: application/json", *lines]
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body)
        return int(connection.recv(4096).split()[1])


def padded_signal(world: World) -> Outcome:
    """`Sec-GPC:   1  ` is still a no."""
    both = [raw(one, world.next(one), "Sec-GPC:   1  ") for one in (world.open, world.proxied)]
    return Outcome(202, both, both == [403, 403])


def lost_body(world: World) -> Outcome:
    """A packet that offers another protocol is taken, or refused in words; never read as empty."""
    lines = ("upgrade: h2c", "connection: upgrade, http2-settings")
    taken, refused = (raw(one, world.next(one), *lines) for one in (world.open, world.proxied))
    return Outcome("bad-json", [taken, refused], (taken, refused) == (202, 400))


def odd_values(world: World) -> Outcome:
    """Half a surrogate pair or a number of 400 digits in place of each value of everything that is read."""
    token = Tokens(world.open.log.parent / "data" / "operators.json").new()
    bearer = {**JSON, "authorization": f"Bearer {token}"}
    document = json.loads(to_document(description(tolerance={"relative": 0.1}), SCRIPT, modules()))
    inner = document["kernel"]
    bodies: list[tuple[str, dict[str, str], Any]] = [
        *(
            ("api/telemetry", JSON, world.next(world.open) | {name: "MARK"})
            for name in world.next(world.open)
        ),
        *(
            ("api/feedback", JSON, build(True, 1).to_wire() | {name: "MARK"})
            for name in build(True, 1).to_wire()
        ),
        *(("api/own-kernels", bearer, {**document, "kernel": inner | {name: "MARK"}}) for name in inner),
        ("api/own-kernels", bearer, {**document, "kernel": inner | {"tolerance": {"relative": "MARK"}}}),
        ("api/own-kernels", bearer, {**document, "script": "MARK"}),
    ]
    statuses = set()
    for path, headers, body in bodies:
        for value in (b'"\\ud800"', b'"\xed\xa0\x80"', b"9" * 400, b"1e999"):
            data = json.dumps(body).encode().replace(b'"MARK"', value)
            statuses.add(httpx.post(world.open.url + path, content=data, headers=headers).status_code)
    return Outcome([500], sorted(statuses), all(400 <= status < 500 for status in statuses))


def delta_bomb(world: World) -> Outcome:
    """Megabytes that a small delta expands to, for a model of which 4 kB were signed."""
    size, peaks = 4000, []
    for bomb in (inflating(size, operations=15 * size), inflating(5_000_000, literals=5_000_000)):
        tracemalloc.start()
        with contextlib.suppress(DeltaError):
            apply(b"base", bomb, size)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    most = max(peaks) / 1e6
    return Outcome(162.0, round(most, 3), most < 1)


def joined_withdrawal(world: World) -> Outcome:
    """The most reports that one request of a withdrawal names, after 20 days."""

    async def withdrawn() -> list[int]:
        browser = Browser()
        await browser.choose()
        for _ in range(20):
            browser.time += DAY
            await browser.tab.preview(model(), measured())
            await browser.tab.send()
        await browser.tab.withdraw()
        bodies = [body for method, _path, body in browser.server.requests if method == "DELETE"]
        return [len(json.loads(body)["nonces"]) for body in bodies]

    named = asyncio.run(withdrawn())
    return Outcome(20, max(named), named == [1])


def arrival_times(world: World) -> Outcome:
    """The finest unit, in seconds, in which the time of arrival is kept."""
    with world.database(world.open) as database:
        times = [received for (received,) in database.execute("SELECT received FROM packets")]
    whole = bool(times) and all(received % 3600 == 0 for received in times)
    return Outcome(1e-6, 3600 if whole else 1e-6, whole)


def unreportable_name(world: World) -> Outcome:
    """An upload whose variant no packet could name is refused."""
    token = Tokens(world.open.log.parent / "data" / "operators.json").new()
    second = {"module": "sum.simd.wasm", "export": "sum", "features": ["simd"], "optimisations": ["a" * 30]}
    document = to_document(description(variants=[description()["variants"][0], second]), SCRIPT, modules())
    headers = {**JSON, "authorization": f"Bearer {token}"}
    status = httpx.post(world.open.url + "api/own-kernels", content=document, headers=headers).status_code
    return Outcome(201, status, status == 422)


def too_many_patterns(world: World) -> Outcome:
    """Own kernels of six patterns each, until the model has room for no more: the new one is refused."""
    empty = Catalogue.load(Path("nowhere"))
    packages: list[Package] = []
    for number in range(20):
        try:
            empty.with_own([*packages, kernel(number, [f"p{number}-{i}" for i in range(6)])])
        except CapacityError as error:
            return Outcome("learning stops", str(error)[:60], len(packages) == 5)
        packages.append(kernel(number, [f"p{number}-{i}" for i in range(6)]))
    return Outcome("learning stops", "all taken", False)


def many_environments(world: World) -> Outcome:
    """CPU-seconds of the server for decisions and plans of 300 kinds of browser that differ in their version."""

    def spent() -> float:
        fields = Path(f"/proc/{world.open.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    query = {
        "browser": "firefox",
        "os": "linux",
        "cores": "1",
        "simd": "1",
        "relaxedSimd": "1",
        "threads": "1",
    }
    with httpx.Client(base_url=world.open.url) as client:
        for path in ("api/decisions", "api/plan"):
            client.get(path, params=query | {"version": "1"}).raise_for_status()
        start, tags = spent(), set()
        for version in range(100, 400):
            for path in ("api/decisions", "api/plan"):
                tags.add(client.get(path, params=query | {"version": str(version)}).headers["etag"])
        seconds = spent() - start
    return Outcome(round(300 * 0.12, 1), round(seconds, 2), len(tags) == 2 and seconds < 600 * 0.005)


def second_server(world: World) -> Outcome:
    """Another server on the same folder."""
    try:
        with server(world.open.log.parent / "two", data=world.open.log.parent / "data"):
            return Outcome("starts", "starts", False)
    except AssertionError as error:
        return Outcome("starts", "refuses", "a server uses it already" in str(error))


def expired_token(world: World) -> Outcome:
    """A token that was made longer ago than it is good for."""
    long_ago = time.time() - LIFETIME - 1
    token = Tokens(world.open.log.parent / "data" / "operators.json", lambda: long_ago).new()
    headers = {"authorization": f"Bearer {token}"}
    status = httpx.delete(world.open.url + "api/own-kernels/none", headers=headers).status_code
    return Outcome(404, status, status == 401)


def downgrade(world: World) -> Outcome:
    """Whether browsers behind a TLS proxy are told to stay with TLS, and what pages may ask of a device."""
    answer = httpx.get(world.proxied.url, headers={"x-forwarded-proto": "https"})
    names = ("strict-transport-security", "permissions-policy")
    return Outcome([], [n for n in names if n in answer.headers], all(n in answer.headers for n in names))


def wrong_proxies(world: World) -> Outcome:
    """Settings of FLEETUNE_TRUSTED_PROXY that trust everyone or nobody."""
    wrong = ("999.1.1.1", "localhost", "0.0.0.0/0", "::/0", "::ffff:0:0/96", "10.0.0.7/8")
    started = [
        text
        for text in wrong
        if subprocess.run(
            [sys.executable, "-m", "fleetune_server", "settings"],
            env=os.environ | {"FLEETUNE_TRUSTED_PROXY": text},
            capture_output=True,
            check=False,
        ).returncode
        == 0
    ]
    return Outcome(list(wrong), started, not started)


SCENARIOS: tuple[Callable[[World], Outcome], ...] = (
    chosen_nonces, simple_request, padded_signal, lost_body, odd_values, arrival_times, outvoted_place, slow_outvoting,
    forged_hops, unnamed_proxy, delta_bomb, joined_withdrawal, unreportable_name, too_many_patterns, many_environments,
    second_server, expired_token, downgrade, wrong_proxies, idle_sockets, stockpiled_answers, flooded_place,
    thrown_switch,
)  # fmt: skip


def attack(only: str = "") -> dict[str, Any]:
    """Run the scenarios, or the one of that name, against real servers."""
    rows = []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        same = {"kernels": tiny.write(folder / "dist"), "lab": folder, "rate_packets": RATE}
        one = stack.enter_context(server(folder / "open", retrain_packets=10**9, **same))
        two = stack.enter_context(
            server(folder / "proxied", retrain_packets=10**9, trusted_proxy="127.0.0.1", **same)
        )
        packets = {r.url: iter(Round.fetch(r.url).packets(3 * RATE, tiny.ENVIRONMENT)) for r in (one, two)}
        world = World(one, two, packets)
        for scenario in SCENARIOS:
            if only in ("", scenario.__name__):
                outcome = scenario(world)
                rows.append({"name": scenario.__name__, **dataclasses.asdict(outcome)})
    return {"scenarios": len(rows), "failed": sum(not row["held"] for row in rows), "rows": rows}


def main() -> int:
    """Exit status 1 if any attack succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", choices=("", *(scenario.__name__ for scenario in SCENARIOS)))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = attack(args.only)
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for row in found["rows"]:
            print(f"{'held' if row['held'] else 'FAILED'}  {row['name']}: {row['before']} → {row['after']}")
    return int(bool(found["failed"]))


if __name__ == "__main__":
    raise SystemExit(main())
