"""A world with a publisher: models that differ a little, a server that answers for them, and a platform."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests import synthetic, tiny

from fleetune.artefact import pack, unpack
from fleetune.signed import read_keys
from fleetune.version_log import PAGE, extend
from fleetune_research.fleet.http import HttpPlatform
from fleetune_server.common.errors import RefusedError
from fleetune_server.http.app import refused
from fleetune_server.publish.distribute import Distributor
from fleetune_server.publish.keys import KeyRing
from fleetune_server.publish.release import Publisher
from fleetune_server.store.base import VersionRecord
from fleetune_server.training.fit import fit

START = 1_795_392_000.0  # unix seconds


@cache
def first() -> bytes:
    """The artefact of version 1, trained on the tiny catalogue."""
    model, _report = fit(synthetic.measured(tiny.manifest()), seed=0, version=1, clip=0.5)
    return model.to_bytes()


def changed(old: bytes, version: int, seed: int, share: float = 0.1) -> bytes:
    """A later version: a share of the wide rows' values moved a little, some of the deep part's too."""
    random = np.random.default_rng(seed)
    artefact = unpack(old)
    stored: dict[str, NDArray[Any]] = dict(artefact.stored)
    values = stored["row.value"].copy()
    moved = random.random(len(values)) < share
    values[moved] += random.integers(-9, 10, moved.sum()).astype(values.dtype)
    stored["row.value"] = values
    name = max(
        (name for name in stored if stored[name].dtype.kind == "f"), key=lambda name: stored[name].size
    )
    weights = stored[name].copy()
    weights[:1] += random.normal(0, 0.01, weights[:1].shape).astype(weights.dtype)
    stored[name] = weights
    return pack(dataclasses.replace(artefact, version=version, stored=stored))


class World:
    """A publisher, its records and files, and the HTTP that browsers see. Time stands still until moved."""

    def __init__(self, folder: Path) -> None:
        self.time = START
        self.keys = KeyRing.open(folder / "keys", now=lambda: self.time)
        self.keys.least = lambda: max(self.records, default=0)
        self.publisher = Publisher()
        self.records: dict[int, VersionRecord] = {}
        self.files: dict[str, bytes] = {}
        self.artefacts: dict[int, bytes] = {}
        self.distributor = Distributor(self.records, self._read, self.keys, now=lambda: self.time)
        self.requests: list[str] = []
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(
                Starlette(
                    routes=[
                        Route("/api/model/latest", self.distributor.latest),
                        Route("/models/{sha256}", self.distributor.blob),
                        Route("/api/log", self.log),
                        Route("/roots/{version}", self.distributor.root),
                    ],
                    exception_handlers={RefusedError: refused},
                )
            ),
            base_url="http://fleetune.test",
            event_hooks={"request": [self._note]},
        )

    async def log(self, request: Request) -> Response:
        """The log as the server's store would have it."""
        versions = [(record.version, record.sha256, int(record.created)) for record in self.records.values()]
        entries = [entry.to_wire() for entry in extend(None, versions)]
        first = int(request.query_params["version"])
        return JSONResponse({"entries": [entry for entry in entries if entry["version"] >= first][:PAGE]})

    async def _read(self, sha256: str) -> bytes | None:
        return self.files.get(sha256)

    async def _note(self, request: httpx.Request) -> None:
        self.requests.append(request.url.raw_path.decode())

    def publish(self, artefact: bytes | None = None) -> VersionRecord:
        """The next version; without an artefact, the last one changed a little."""
        version = max(self.records, default=0) + 1
        if artefact is None:
            artefact = changed(self.artefacts[version - 1], version, version) if version > 1 else first()
        record, files = self.publisher.release(version, artefact, metadata(), self.artefacts)
        self.records[version] = dataclasses.replace(record, created=int(self.time))
        self.files |= files
        self.artefacts[version] = artefact
        return record

    def platform(self) -> HttpPlatform:
        """A new browser."""
        return HttpPlatform(self.http, now=lambda: self.time)

    @property
    def pinned(self) -> dict[str, bytes]:
        """The keys that a page of this server pins now."""
        return read_keys(self.keys.public())


def metadata() -> Mapping[str, Any]:
    return {
        "trainedOn": {"labRows": 1},
        "sampleCount": 0,
        "trainingLoss": 0.0,
        "architecture": {},
        "metrics": {},
    }
