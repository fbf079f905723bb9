"""Steps that several journeys share, each as a user would take it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs

from e2e.drivers.base import Page, text, wait_for, wait_text
from e2e.server import ROOT, Server
from e2e.wire import Request, Wire

BOOT_SECONDS = 150.0  # Pyodide in WebKitGTK on a busy two-core machine
TRAIN_SECONDS = 180.0
RECONNECT_SECONDS = 90.0  # the page's own waiting between attempts grows
BENCHMARK = "Benchmark this browser"
THOROUGH = "Measure thoroughly (4 minutes)"

# All that may be asked for while telemetry is off: files and the public model, by GET, without a body.
STATIC = ("/static/", "/pyodide/", "/wheels/", "/kernels/", "/models/", "/roots/", "/api/decisions/")
PUBLIC = {
    "/",
    "/privacy",
    "/dashboard",
    "/fleetune.js",
    "/sw.js",
    "/widget.js",
    "/favicon.ico",
    "/keys.json",
    "/ws",
    "/api/boot.json",
    "/api/kernels",
    "/api/log",
    "/api/model/latest",
    "/api/plan",
    "/api/privacy.json",
}
# All that may follow a question mark then: language, the version in use or announced, a lot drawn anew, and which
# kernel, whose script and modules are asked for by name in any case.
QUERIES = {"lang", "version", "model", "draw", "kernel"}


def open_home(page: Page, wire: Wire) -> None:
    """Open the page and wait until it shows the server's model version."""
    page.open(wire.url)
    wait_for(page, "/^[1-9]/.test(find('#modelVersion')?.innerText ?? '')")


def measure_a_little(page: Page) -> None:
    """Start the long benchmark, stop it once a context is measured, wait until it has stopped.

    The long one, because on a crowded machine the quick one may be over before anything is measured."""
    page.click("button", THOROUGH)
    wait_for(
        page,
        "find('#progress').value > 0 || /benchmark failed/.test(find('#progressText').innerText)",
        timeout=BOOT_SECONDS,
    )
    page.click("button", "Stop")
    wait_for(page, "!find('#run').disabled")
    wait_text(page, "#progressText", "The measurements are kept")


def turn_telemetry_on(page: Page) -> None:
    page.check("#enableTelemetry")
    wait_text(page, "#consentState", "Telemetry is on")


def wait_refused(page: Page) -> None:
    """Until the page says that telemetry was refused, which is more than not chosen yet."""
    wait_for(page, "/Telemetry is off\\.$/.test(find('#consentState').innerText.trim())")


def shown_packet(page: Page) -> dict[str, Any]:
    """The packet that the page says it would send."""
    wait_for(page, "!find('#packetPreview').hidden && find('#packetPreview').textContent.startsWith('{')")
    packet: dict[str, Any] = json.loads(text(page, "#packetPreview"))
    return packet


def send(page: Page) -> str:
    """Press Send and wait for the server's answer."""
    page.click("button", "Send")
    wait_for(page, "/HTTP|Not sent/.test(find('#serverAnswer').innerText)")
    return text(page, "#serverAnswer")


def sent_packets(wire: Wire) -> list[dict[str, Any]]:
    """The packets that crossed the wire. A browser repeats a request whose connection broke before its answer: the
    server knows it by its nonce, and it counts once here."""
    found: list[dict[str, Any]] = []
    unanswered: list[bytes] = []
    for request in wire.seen("/api/telemetry", "POST"):
        if request.body not in unanswered:
            found += packets_of(request)
        if not request.answered:
            unanswered.append(request.body)
    return found


def packets_of(request: Request) -> list[dict[str, Any]]:
    body = json.loads(request.body)
    return body if isinstance(body, list) else body.get("packets", [body])


def assert_only_public(wire: Wire) -> None:
    """Nothing but static files and the public model was asked for, and nothing was handed over with it."""
    for request in wire.requests:
        assert request.method == "GET", f"{request.method} {request.path}"
        assert request.route in PUBLIC or request.route.startswith(STATIC), request.path
        assert not request.body, request.path
        assert set(parse_qs(request.path.partition("?")[2])) <= QUERIES, request.path
        assert "cookie" not in request.headers, request.path


def assert_no_third_party(page: Page, wire: Wire) -> None:
    """Every address that the browser asked for is our own origin."""
    own = (
        wire.url.rstrip("/"),
        f"ws://127.0.0.1:{wire.port}",
        "data:",
        f"blob:{wire.url.rstrip('/')}",
        "about:",
    )
    foreign = [url for url in page.requests() if not url.startswith(own)]
    assert not foreign, foreign


def crowd(server: Server, packets: int) -> None:
    """Other clients, as code: the same privacy, packet and model modules."""
    client = [sys.executable, "-m", "fleetune_research", "client", "--server", server.url]
    done = subprocess.run(
        [*client, "--packets", str(packets)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def republish(server: Server, version: int) -> int:
    """An operator publishes the content of an older version as the newest."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FLEETUNE_")}
    done = subprocess.run(
        [sys.executable, "-m", "fleetune_server", "models", "rollback", str(version)],
        cwd=ROOT,
        env={**inherited, "FLEETUNE_DATA": str(server.data)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return int(done.stdout)
