"""Own kernels over time and over replicas: reports about them sharpen predictions, replicas share them."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
from tests import tiny
from tests.own_world import SCRIPT, description, modules, predictions, reports
from tests.postgres import cluster
from tests.running import server

from fleetune_server.http.own_kernels import Tokens
from fleetune_server.kernels.shelf import to_document

PATIENCE = 60.0  # seconds


def names(client: httpx.Client) -> set[str]:
    return {kernel["name"] for kernel in client.get("/api/kernels").json()["kernels"]}


def wait(client: httpx.Client, present: bool) -> float:
    """Until the replica has the kernel, or has it no more; how many seconds that took."""
    began = time.monotonic()
    while ("own_sum" in names(client)) != present:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)
    return time.monotonic() - began


def test_reports_sharpen_what_is_predicted_for_an_own_kernel(tmp_path: Path) -> None:
    truth = {"scalar": -0.25, "vectorization": 0.3}  # how wrong the first predictions are, ln
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path, "retrain_packets": 6000}
    with server(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as client:
        token = Tokens(tmp_path / "data" / "operators.json").new()
        document = to_document(description(), SCRIPT, modules())
        headers = {"authorization": f"Bearer {token}"}
        client.post("/api/own-kernels", content=document, headers=headers).raise_for_status()
        listing = client.get("/api/kernels").json()
        first, before = predictions(client, listing)
        # So many that their mean's noise is a tenth of the truth: the bound is five deviations away.
        packets = reports(client, listing, truth.__getitem__, each=3000)
        for start in range(0, len(packets), 100):
            assert client.post("/api/telemetry", json=packets[start : start + 100]).status_code == 202
        began, newest, after = time.monotonic(), first, before
        while newest.version == first.version:
            assert time.monotonic() - began < PATIENCE, client.get("/api/metrics").text
            time.sleep(0.1)
            newest, after = predictions(client, listing)
    errors = {name: abs(after[name] - before[name] - truth[name]) for name in truth}
    assert all(errors[name] < 0.5 * abs(truth[name]) for name in truth), (before, after)


def test_replicas_share_own_kernels_through_their_database(tmp_path: Path) -> None:
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    with cluster() as database:
        shared = settings | {"store": database.create("fleetune")}
        with (
            server(tmp_path / "a", **shared) as a,
            server(tmp_path / "b", **shared, new_keys=1) as b,
            httpx.Client(base_url=a.url) as one,
            httpx.Client(base_url=b.url) as other,
        ):
            headers = {"authorization": f"Bearer {Tokens(tmp_path / 'a' / 'data' / 'operators.json').new()}"}
            document = to_document(description(), SCRIPT, modules())
            one.post("/api/own-kernels", content=document, headers=headers).raise_for_status()
            assert wait(other, present=True) < 4, "told at once, not found by looking every 5 s"
            listing = other.get("/api/kernels").json()
            assert listing["root"] == one.get("/api/kernels").json()["root"]
            assert other.get(f"{listing['root']}embed/own_sum/scalar.wasm").content == modules()["sum.wasm"]
            packets = reports(other, listing, lambda _: 0.1)
            assert other.post("/api/telemetry", json=packets).status_code == 202
            one.delete("/api/own-kernels/own_sum", headers=headers).raise_for_status()
            wait(other, present=False)
            one.post("/api/own-kernels", content=document, headers=headers).raise_for_status()
        with server(tmp_path / "c", **shared, new_keys=1) as c, httpx.Client(base_url=c.url) as third:
            assert "own_sum" in names(third), "a replica that starts later has it"
