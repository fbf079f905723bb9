"""Jobs whose implementations pages bring: registered without code, learned from reports alone."""

from __future__ import annotations

import json
import math
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from e2e.drivers.base import wait_until
from tests import fake_platform, releases, tiny
from tests.running import server

from fleetune.app.jobs import timed_job
from fleetune.app.report import reportable
from fleetune.app.session import RequestError, Session
from fleetune.choose import NOTHING_KNOWN, choose
from fleetune.context import Context, Environment
from fleetune.decision import decision_row
from fleetune.manifest import Kernel, Manifest, ManifestError
from fleetune.model import Model
from fleetune.packet import build
from fleetune_server.cli import main
from fleetune_server.http.own_kernels import Tokens
from fleetune_server.kernels.catalogue import Catalogue
from fleetune_server.kernels.job import package, read_job
from fleetune_server.kernels.shelf import package_of
from fleetune_server.kernels.spec import SpecError

ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3")
PATIENCE = 120.0  # seconds
MOST_REPORTS = 2000
TOML = """
name = "sha256"
summary = "SHA-256 of bytes"
sizes = [16, 1024, 65536]
patterns = ["random"]
implementations = [
  { name = "noble", version = "1.4.0" },  # the reference
  { name = "hashWasm", version = "4.12.0" },
  { name = "webcrypto", version = "1" },
]
"""


def described(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "name": "sha256",
        "summary": "SHA-256 of bytes",
        "sizes": [16, 1024, 65536],
        "patterns": ["random"],
        "implementations": [
            {"name": "noble", "version": "1.4.0"},
            {"name": "hashWasm", "version": "4.12.0"},
            {"name": "webcrypto", "version": "1"},
        ],
    }
    return {key: value for key, value in (raw | changes).items() if value is not None}


def with_job(**changes: Any) -> Manifest:
    """The tiny catalogue and the job."""
    return Manifest.load({**tiny.raw_manifest(), "jobs": [package(read_job(described(**changes))).entry]})


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"name": "SHA256"}, "name"),
        ({"name": "constructor"}, "name"),
        ({"summary": None}, "summary"),
        ({"sizes": [1024, 16]}, "sizes"),
        ({"patterns": ["UPPER"]}, "patterns"),
        ({"script": "evil.js"}, "script: there is no such field"),
        ({"implementations": [{"name": "only", "version": "1"}]}, "implementations"),
        (
            {"implementations": [{"name": "a", "version": "1"}, {"name": "a", "version": "2"}]},
            "two are called a",
        ),
        (
            {"implementations": [{"name": "a", "version": "1"}, {"name": "js", "version": "1"}]},
            "js is a name",
        ),
        ({"implementations": [{"name": "a", "version": ""}, {"name": "b", "version": "1"}]}, "version"),
        ({"implementations": [{"name": "a", "version": "1", "module": "a.wasm"}, 7]}, "module"),
    ],
)
def test_a_wrong_description_is_refused_by_field(changes: dict[str, Any], wrong: str) -> None:
    with pytest.raises(SpecError, match=wrong):
        read_job(described(**changes))


def test_the_signature_is_a_hash_of_the_description() -> None:
    signature = read_job(described()).signature
    assert signature == read_job(json.loads(json.dumps(described()))).signature
    others = [
        described(sizes=[16, 1024]),
        described(patterns=["text"]),
        described(
            implementations=[*described()["implementations"][:2], {"name": "webcrypto", "version": "2"}]
        ),
        described(implementations=described()["implementations"][::-1]),
    ]
    assert len({signature, *(read_job(other).signature for other in others)}) == 5


def test_nothing_of_a_job_is_served_but_its_description() -> None:
    built = Catalogue.load(Path("nowhere"))
    added = built.with_own([package_of(json.dumps({"job": described()}).encode())])
    assert added.files == built.files
    assert added.manifest.kernels == {}
    assert added.manifest.jobs.keys() == {"sha256"}
    assert added.root != built.root
    with pytest.raises(ManifestError, match="has a kernel sha256 already"):
        built.with_own([package_of(json.dumps({"job": described(summary=text)}).encode()) for text in "ab"])


def test_of_a_job_without_reports_nothing_is_said() -> None:
    job, model = with_job().jobs["sha256"], Model.from_bytes(releases.first())
    context = Context.of(1024, "u8", "random", copied=False)
    names = job.candidates(ENVIRONMENT.features)
    predictions = model.predict(job, context, ENVIRONMENT, names)
    assert not predictions.mean.any(), "no tree reads a profile that is not there"
    choice = choose(job, context, ENVIRONMENT, predictions, {}, ())
    assert (choice.candidate, choice.source, choice.why) == ("js", "default", NOTHING_KNOWN)
    row = decision_row(1024, context, choice, predictions)
    assert (row["candidates"], row["low"], row["high"]) == ({}, 1, 1)
    table = model.predict_table([job], ENVIRONMENT)
    assert all(row.predictions.unknown for row in table)


async def test_what_choose_timed_becomes_reports() -> None:
    manifest = with_job()
    session = Session(fake_platform.FakePlatform(), manifest, ENVIRONMENT, {})
    job = manifest.jobs["sha256"]
    good = {"pattern": "random", "size": 1024, "times": {"js": 2.0, "webcrypto": 1.0, "stranger": 9.0}}
    bad: list[dict[str, Any]] = [
        {"pattern": "text", "size": 1024, "times": {"js": 2.0, "webcrypto": 1.0}},
        {"pattern": "random", "size": 1 << 20, "times": {"js": 2.0, "webcrypto": 1.0}},
        {"pattern": "random", "size": 16, "times": {"webcrypto": 1.0, "hashWasm": 1.0}},
        {"pattern": "random", "size": 16, "times": {"js": 0.0, "webcrypto": 1.0}},
    ]
    args = {"job": "sha256", "signature": job.signature, "cells": [good, *bad]}
    assert await timed_job(session, args) == {"taken": 1}
    (one,) = reportable(manifest, session.measured)
    assert (one.kernel.name, one.variant) == ("sha256", "webcrypto")
    assert math.isclose(one.log_speedup, math.log(2))
    again = Session(session.platform, manifest, ENVIRONMENT, {})
    await again.recall()
    assert again.measured == session.measured, "kept for the next visit"
    for wrong in ({"job": "md5"}, {"signature": "0" * 32}):
        with pytest.raises(RequestError, match="no job"):
            await timed_job(session, args | wrong)


def packets(
    model: Model, job: Kernel, count: int, environment: Environment = ENVIRONMENT
) -> list[dict[str, Any]]:
    """Reports of devices on which webcrypto is 4 times as fast from 1024 bytes on, and half as fast below."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(count):
        size = int(rng.choice(job.sizes))
        name = str(rng.choice(list(job.variants)))
        truth = {"hashWasm": 0.3, "webcrypto": math.log(4) if size >= 1024 else -math.log(2)}[name]
        context = Context.of(size, "u8", "random", copied=False)
        base = float(model.predict(job, context, environment, [name]).mean[0])
        clip = model.clip_at(job, environment)
        day = int(time.time() // 86_400)
        truth += float(rng.normal(0, 0.05))
        packet = build(
            job, context, environment, name, base, truth, clip, 2.0, model.version, day, os.urandom
        )
        found.append(packet.to_wire())
    return found


def newest(client: httpx.Client) -> Model:
    answer = client.get("/api/model/latest", params={"version": 0}).json()
    return Model.from_bytes(client.get(answer["url"]).content)


def learned(client: httpx.Client, reports: int) -> bool:
    """Whether a training saw so many reports and is over."""
    learning = client.get("/api/metrics").json()["learning"]
    return bool(learning["state"] == "waiting" and learning["trained_reports"] >= reports)


def test_a_registered_job_is_learned_from_reports_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    started = server(tmp_path, kernels=tiny.write(tmp_path / "dist"), lab=tmp_path, retrain_packets=200)
    (tmp_path / "sha256.toml").write_text(TOML)
    with started as running, httpx.Client(base_url=running.url, timeout=60) as client:
        token = Tokens(tmp_path / "data" / "operators.json").new()
        to = ["--server", running.url, "--token"]
        assert main(["jobs", "add", str(tmp_path / "sha256.toml"), *to, "wrong"]) == 1
        assert main(["jobs", "add", str(tmp_path / "sha256.toml"), *to, token]) == 0
        assert main(["jobs", "list", *to[:2]]) == 0
        listing = client.get("/api/kernels").json()
        job = Manifest.load(listing).jobs["sha256"]
        assert "sha256" not in [entry["name"] for entry in listing["kernels"]]
        path = "/api/decisions/firefox-relaxedSimd"
        before = client.get(path, params={"job": "sha256"}).json()
        assert before["job"]["implementations"] == described()["implementations"]
        assert {row["choice"] for row in before["kernels"]["sha256"]["random"]} == {"js"}
        assert "sha256" not in client.get(path).json()["kernels"]
        assert client.get(path, params={"job": "md5"}).status_code == 404

        right = {16: "hashWasm", 1024: "webcrypto", 65536: "webcrypto"}
        sent = 0
        while True:
            answer = client.get(path, params={"job": "sha256"}).json()["kernels"]["sha256"]["random"]
            if {row["size"]: row["choice"] for row in answer} == right:
                break
            assert sent < MOST_REPORTS, answer  # a gate may refuse one training by chance
            told = packets(newest(client), job, 200)
            for start in range(0, len(told), 50):
                assert client.post("/api/telemetry", json=told[start : start + 50]).status_code == 202
            sent += len(told)
            wait_until(partial(learned, client, sent), "the reports are learned", PATIENCE)

        assert main(["jobs", "remove", "sha256", *to, token]) == 0
        refused = client.post("/api/telemetry", json=packets(newest(client), job, 1)[0])
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown-kernel")
        assert client.get(path, params={"job": "sha256"}).status_code == 404
