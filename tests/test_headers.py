"""What every route tells browsers: one table, and nothing that the server serves is missing from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import httpx
import pytest
from tests import tiny
from tests.running import Running, server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from fleetune_server.http import wheel
from fleetune_server.http.app import FOLDERS, HOT, routes
from fleetune_server.http.assets import Assets

FOREIGN = "https://evil.example"
Who = Literal["any origin", "our own"]


class Row(NamedTuple):
    """One request and who may read its answer; {…} is filled in with an address that the server names."""

    who: Who
    method: str
    path: str
    status: int


OWN: Who = "our own"
ANY: Who = "any origin"
TABLE: dict[str, Row] = {
    "/": Row(OWN, "GET", "/", 200),
    "/dashboard": Row(OWN, "GET", "/dashboard", 200),
    "/privacy": Row(OWN, "GET", "/privacy", 200),
    "/functions": Row(OWN, "GET", "/functions", 200),
    "/functions/new": Row(OWN, "GET", "/functions/new", 200),
    "/functions/{name}": Row(OWN, "GET", "/functions/nowhere", 404),
    "/regressions": Row(OWN, "GET", "/regressions", 200),
    "/data/": Row(ANY, "GET", "/data/", 200),
    "/data/{file}": Row(ANY, "GET", "/data/nowhere", 404),
    "/sw.js": Row(OWN, "GET", "/sw.js", 200),
    "/api/own-kernels": Row(OWN, "POST", "/api/own-kernels", 401),
    "/api/own-kernels/{name}": Row(OWN, "DELETE", "/api/own-kernels/x", 401),
    "/api/privacy.json": Row(OWN, "GET", "/api/privacy.json", 200),
    "/api/metrics": Row(OWN, "GET", "/api/metrics", 200),
    "/metrics": Row(OWN, "GET", "/metrics", 200),
    "/healthz": Row(OWN, "GET", "/healthz", 200),
    "/readyz": Row(OWN, "GET", "/readyz", 200),
    "/.well-known/gpc.json": Row(OWN, "GET", "/.well-known/gpc.json", 200),
    "/.well-known/security.txt": Row(OWN, "GET", "/.well-known/security.txt", 404),
    "/fleetune.js": Row(ANY, "GET", "/fleetune.js", 200),
    "/widget.js": Row(ANY, "GET", "/widget.js", 200),
    "/choose.js": Row(ANY, "GET", "/choose.js", 200),
    "/fleetune-{hash}.js": Row(ANY, "GET", "/{fleetune}", 200),
    "/widget-{hash}.js": Row(ANY, "GET", "/{widget}", 200),
    "/choose-{hash}.js": Row(ANY, "GET", "/{choose}", 200),
    "/integrity.json": Row(ANY, "GET", "/integrity.json", 200),
    "/static/{path:path}": Row(ANY, "GET", "/static/page/page.js", 200),
    "/pyodide/{path:path}": Row(ANY, "GET", "/pyodide/pyodide.mjs", 200),
    "/wheels/{path:path}": Row(ANY, "GET", f"/wheels/{wheel.NAME}", 200),
    "/translator/{path:path}": Row(OWN, "GET", f"/translator/{wheel.TRANSLATOR}", 200),
    "/translator-{hash}/{path:path}": Row(OWN, "GET", "{translator}", 200),
    "/static-{hash}/{path:path}": Row(ANY, "GET", "{static}page/page.js", 200),
    "/pyodide-{hash}/{path:path}": Row(ANY, "GET", "{pyodide}pyodide.mjs", 200),
    "/wheels-{hash}/{path:path}": Row(ANY, "GET", "{wheel}", 200),
    "/kernels/{sha256}/{name:path}": Row(ANY, "GET", "{kernels}base.bin", 200),
    "/models/{sha256}": Row(ANY, "GET", "{model}", 200),
    "/roots/{version}": Row(ANY, "GET", "/roots/1", 200),
    "/keys.json": Row(ANY, "GET", "/keys.json", 200),
    "/api/boot.json": Row(ANY, "GET", "/api/boot.json", 200),
    "/api/kernels": Row(ANY, "GET", "/api/kernels", 200),
    "/api/log": Row(ANY, "GET", "/api/log", 200),
    "/api/model/latest": Row(ANY, "GET", "/api/model/latest", 200),
    "/api/decisions": Row(ANY, "GET", "/api/decisions", 400),
    "/api/decisions/{engine}": Row(ANY, "GET", "/api/decisions/firefox", 200),
    "/api/plan": Row(ANY, "GET", "/api/plan", 400),
    "/api/feedback": Row(ANY, "POST", "/api/feedback", 415),
    "/api/telemetry": Row(ANY, "POST", "/api/telemetry", 415),
}
UNKNOWN = [Row(OWN, "GET", "/nowhere", 404), Row(ANY, "GET", "/static/nowhere.js", 404)]
WRONG_METHOD = [Row(OWN, "PUT", "/api/metrics", 405), Row(ANY, "PUT", "/api/telemetry", 405)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("headers")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as started:
        yield started


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    # As a page of somebody else would ask if browsers sent cookies along: there are none to send.
    with httpx.Client(base_url=running.url, headers={"origin": FOREIGN, "cookie": "a=b"}) as opened:
        yield opened


@pytest.fixture(scope="module")
def named(client: httpx.Client) -> dict[str, str]:
    """Addresses that hold a hash."""
    entries = client.get("/integrity.json").json()["entries"]
    return {name.removesuffix(".js"): address for name, address in entries.items()} | {
        "kernels": client.get("/api/kernels").json()["root"],
        "static": "/" + re.findall(r'src="(static-\w+/)page/page.js"', client.get("/").text)[0],
        "pyodide": client.get("/api/boot.json").json()["pyodide"],
        "wheel": client.get("/api/boot.json").json()["wheel"],
        "translator": client.get("/api/boot.json").json()["translator"],
        "model": client.get("/api/model/latest").json()["url"],
    }


def test_the_table_holds_every_route() -> None:
    served = {getattr(route, "path", "") for route in routes(Assets(FOLDERS))} | HOT.keys()
    assert served - {"/ws"} == TABLE.keys()


@pytest.mark.parametrize("row", [*TABLE.values(), *UNKNOWN, *WRONG_METHOD], ids=lambda row: row.path)
def test_headers(client: httpx.Client, named: dict[str, str], row: Row) -> None:
    path = row.path.format(**named)
    response = client.request(row.method, path)
    headers = response.headers
    assert response.status_code == row.status
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert (policy["base-uri"], policy["form-action"]) == ("'none'", "'self'")
    assert policy["frame-ancestors"] == "'self'"
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"} & set(
        " ".join(policy.values()).split()
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert {"camera=()", "microphone=()", "geolocation=()"} <= set(headers["permissions-policy"].split(", "))
    assert "strict-transport-security" not in headers, "not behind a proxy"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert not {"set-cookie", "server", "access-control-allow-credentials"} & headers.keys()
    assert headers.get("access-control-allow-origin") == ("*" if row.who == ANY else None)
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if row.who == ANY else "same-origin")
    asks = {"access-control-request-method": row.method, "access-control-request-headers": "content-type"}
    preflight = client.options(path, headers=asks)
    assert (preflight.status_code == 204) == (row.who == ANY)
    assert ("access-control-allow-methods" in preflight.headers) == (row.who == ANY)
    assert "access-control-allow-credentials" not in preflight.headers


def test_the_answer_that_is_sent_by_the_million_says_only_what_its_reader_needs(client: httpx.Client) -> None:
    from tests.load import Round

    (packet,) = Round.fetch(str(client.base_url)).packets(1, tiny.ENVIRONMENT)
    response = client.post("/api/telemetry", json=packet)
    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert set(response.headers) == {
        "date",
        "content-type",
        "content-length",
        "access-control-allow-origin",
        "cross-origin-resource-policy",
        "x-content-type-options",
    }


def test_sockets_of_other_pages_are_refused(running: Running) -> None:
    url = running.url.replace("http:", "ws:") + "ws"
    with pytest.raises(InvalidStatus) as caught:
        connect(url, origin=Origin(FOREIGN))
    assert caught.value.response.status_code == 403
    assert "set-cookie" not in caught.value.response.headers
    with connect(url, origin=Origin(running.url.rstrip("/"))):
        pass
