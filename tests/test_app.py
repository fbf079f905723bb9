"""The running server, as a browser, an embedder and an operator see it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests import tiny
from tests.running import Running, server

from fleetune.signed import canonical
from fleetune_server.http import wheel


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("app")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as started:
        yield started


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page/page.js", "text/javascript; charset=utf-8"),
        ("/static/shared/style.css", "text/css; charset=utf-8"),
        ("/fleetune.js", "text/javascript; charset=utf-8"),
        ("/pyodide/pyodide.mjs", "text/javascript; charset=utf-8"),
        ("/pyodide/pyodide.asm.wasm", "application/wasm"),
        ("/pyodide/numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl", "application/zip"),
        ("/static/uplot/uPlot.esm.js", "text/javascript; charset=utf-8"),
        ("/api/boot.json", "application/json"),
        ("/api/kernels", "application/json"),
        ("/api/privacy.json", "application/json"),
        ("/api/metrics", "application/json"),
        ("/.well-known/gpc.json", "application/json"),
        ("/healthz", "application/json"),
        ("/readyz", "application/json"),
    ],
)
def test_every_page_is_served_with_its_type(client: httpx.Client, path: str, kind: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


def test_roots_and_the_log_answer_only_what_can_be_asked(client: httpx.Client) -> None:
    assert (
        client.get("/roots/1").json()
        == client.get("/roots/newest").json()
        == client.get("/api/boot.json").json()["root"]
    )
    assert "immutable" in client.get("/roots/1").headers["cache-control"]
    for name in ("0", "2", "x", "-1", "9" * 11, "1.json", "..%2fx", "²"):
        assert client.get(f"/roots/{name}").status_code == 404, name
    log = client.get("/api/log").json()
    assert (
        log["entries"][-1]["version"]
        == log["head"]["version"]
        == client.get("/api/model/latest").json()["version"]
    )
    ((name, signature),) = log["signature"].items()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(client.get("/keys.json").json()[name]))
    key.verify(base64.b64decode(signature), canonical(log["head"]))
    assert client.get("/api/log?version=2147483647").json() == {"entries": [], "head": None, "signature": {}}
    for version in ("", "x", "-1", "2147483648", "9" * 11, "1.5", "²"):
        assert client.get(f"/api/log?version={version}").status_code == 400, version


def test_a_preflight_for_telemetry_is_answered(client: httpx.Client) -> None:
    asks = {"origin": "https://example.org", "access-control-request-method": "DELETE"}
    response = client.options("/api/telemetry", headers=asks)
    assert response.status_code == 204
    assert "DELETE" in response.headers["access-control-allow-methods"]
    assert "content-type" in response.headers["access-control-allow-headers"]
    assert client.options("/api/metrics", headers=asks).status_code == 405


def test_text_and_modules_are_gzipped_and_revalidated(client: httpx.Client) -> None:
    plain = client.get("/pyodide/pyodide.asm.wasm", headers={"accept-encoding": "identity"})
    zipped = client.get("/pyodide/pyodide.asm.wasm", headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == plain.content
    assert int(zipped.headers["content-length"]) < len(plain.content) / 2
    assert "accept-encoding" in zipped.headers["vary"]
    again = client.get("/pyodide/pyodide.asm.wasm", headers={"if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/fleetune/model.py",
        "/static/%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/static//etc/passwd",
        "/static/page/page.js%00",
        "/static/",
        "/pyodide/ffi.d.ts",
        "/kernels/0000/base.bin",
        "/wheels/other-1.0-py3-none-any.whl",
    ],
)
def test_nothing_outside_the_served_folders_can_be_read(running: Running, path: str) -> None:
    host, port = running.url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "not_found"


def test_the_catalogue_names_files_that_never_change(client: httpx.Client) -> None:
    listing = client.get("/api/kernels").json()
    root = listing.pop("root")
    assert listing == tiny.raw_manifest()
    for name, body in (*((f"{n}.bin", b) for n, b in tiny.BUNDLES.items()), ("kernels.js", tiny.SCRIPT)):
        response = client.get(root + name)
        assert response.content == body
        assert "immutable" in response.headers["cache-control"]


def test_the_wheel_is_one_that_installers_accept(client: httpx.Client, tmp_path: Path) -> None:
    body = client.get(client.get("/api/boot.json").json()["wheel"]).content
    assert body == wheel.build(), "the same sources give the same bytes"
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        record = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()
        for line in record.splitlines():
            name, digest, size = line.rsplit(",", 2)
            if digest:
                content = archive.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, int(size)) == (f"sha256={expected}", len(content))
        assert sorted(line.rsplit(",", 2)[0] for line in record.splitlines()) == sorted(names)
    file = tmp_path / wheel.NAME
    file.write_bytes(body)
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path / "x"),
    ]
    subprocess.run([*install, "--quiet", "--disable-pip-version-check", str(file)], check=True)
    assert (tmp_path / "x" / "fleetune" / "packet.py").is_file()


def test_packets_come_in_over_the_wire_also_gzipped(client: httpx.Client) -> None:
    answer = client.post("/api/telemetry", json={"v": 2})
    assert (answer.status_code, answer.json()["error"]["index"]) == (422, 0)
    zipped = gzip.compress(b'{"nonces": ["' + b"0" * 32 + b'"]}')
    answer = client.request(
        "DELETE",
        "/api/telemetry",
        content=zipped,
        headers={"content-encoding": "gzip", "content-type": "application/json"},
    )
    assert answer.json() == {"removed": 0, "alreadyFolded": 0}


def test_the_log_holds_no_address_and_is_json(client: httpx.Client, running: Running) -> None:
    client.get("/nowhere")
    client.post("/api/telemetry", content=b"{")
    lines = running.log.read_text().splitlines()
    assert all("event" in json.loads(line) for line in lines)
    assert "127.0.0.1" not in running.log.read_text()


def test_without_isolation_nothing_asks_for_it(tmp_path: Path) -> None:
    with server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path, isolated=0) as plain:
        headers = httpx.get(plain.url).headers
    assert "cross-origin-embedder-policy" not in headers
    assert "cross-origin-opener-policy" not in headers


def test_a_port_in_use_is_told_and_not_a_traceback(running: Running) -> None:
    port = running.url.rstrip("/").rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "fleetune_server", "serve", "--port", port], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"FLEETUNE_PORT={port}" in done.stderr
    assert "Traceback" not in done.stderr
