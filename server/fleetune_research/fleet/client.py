"""Many browsers that each send one report a day, played by one program with the browser's own modules.

Model update, privacy, packet and its check are the very files that run in the page. What is not real: the
measurements, which are drawn from the public lab rows with the noise of other devices (below), and that one
address sends for everybody, in batches. Consent and budget belong to one browser, so they do not apply here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fleetune.app.platform import NetworkError, Platform
from fleetune.app.session import VerifiedModel
from fleetune.app.trust import follow
from fleetune.app.update import UpdateOutcome, update
from fleetune.context import Context, Environment
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune.packet import DAY, Packet, build, encode
from fleetune.root import Root
from fleetune_server.training.lab import LabRow, of_visitors

BATCH = 100  # packets a request, the server's limit
# Noise of ln speedup. Another machine of the same kind differs from the lab's by about 5 % in a cell; the
# minimum of 7 batches has a coefficient of variation of about 1 %, and a speedup is a quotient of two.
DEVICE_SD = 0.05
TIMING_SD = 0.015
TRIES = 8
LONGEST_WAIT = 30.0  # seconds to wait when the server asks for it


class ClientError(Exception):
    """The client cannot go on; the message says why."""


@dataclass(frozen=True)
class Sent:
    """What the server made of a run."""

    accepted: int
    duplicates: int
    requests: int


class Place(NamedTuple):
    """One cell: what a report is about."""

    kernel: Kernel
    context: Context
    environment: Environment
    variant: str


class Client:
    """A fleet's reports against one model version after the other."""

    def __init__(self, platform: Platform, rows: Sequence[LabRow], epsilon: float, seed: int) -> None:
        self.platform = platform
        self.rows = rows
        self.epsilon = epsilon
        self.random = np.random.default_rng(seed)  # of measurements only; privacy draws from the system
        self.verified: VerifiedModel | None = None
        self.root: Root | None = None
        self._measurements: list[tuple[Place, float]] = []
        self._bases: dict[tuple[str, Context, Environment], Mapping[str, float]] = {}

    async def connect(self) -> UpdateOutcome:
        """Keys, catalogue and model, as a page does on its first visit."""
        boot = json.loads(await self._get("/api/boot.json"))
        manifest = Manifest.load(await self._get("/api/kernels"))
        self.root = await follow(self.platform, boot["root"])
        self.prepare(manifest)
        return await self.update()

    def prepare(self, manifest: Manifest) -> None:
        """Find what can be measured of the server's catalogue; ClientError if nothing can."""
        self._measurements = measurements(self.rows, manifest)
        if not self._measurements:
            raise ClientError("no lab row is about a kernel of this server's catalogue: run `make lab`")

    async def update(self) -> UpdateOutcome:
        """The newest model, verified."""
        assert self.root is not None
        outcome, self.verified = await update(
            self.platform, self.root.keys, self.verified, least=self.root.least
        )
        if self.verified is None:
            raise ClientError(outcome.error or "the server has no model")
        self._bases.clear()
        return outcome

    async def run(self, packets: int, batch: int = BATCH) -> Sent:
        """Send this many packets; the model is brought up to date whenever the server no longer knows it."""
        accepted = duplicates = requests = 0
        while accepted + duplicates < packets:
            count = min(batch, packets - accepted - duplicates)
            answer = await self._post([self.packet() for _ in range(count)])
            requests += 1
            if answer is None:
                await self.update()
                continue
            accepted += answer["accepted"]
            duplicates += answer["duplicates"]
        return Sent(accepted, duplicates, requests)

    def packet(self) -> Packet:
        """One browser's report: one context and one variant at random, measured there, privatised."""
        assert self.verified is not None
        cell, measured = self.measure()
        return build(
            cell.kernel,
            cell.context,
            cell.environment,
            cell.variant,
            self._base(cell),
            measured,
            self.verified.model.clip_at(cell.kernel, cell.environment),
            self.epsilon,
            self.verified.version,
            int(self.platform.now() // DAY),
            self.platform.entropy,
        )

    def measure(self) -> tuple[Place, float]:
        """A cell that some browser ran, and the ln speedup that it saw there."""
        cell, value = self._measurements[int(self.random.integers(len(self._measurements)))]
        return cell, value + self.random.normal(0, math.hypot(DEVICE_SD, TIMING_SD))

    def _base(self, cell: Place) -> float:
        assert self.verified is not None
        key = cell.kernel.signature, cell.context, cell.environment
        if key not in self._bases:
            candidates = cell.kernel.candidates(cell.environment.features)
            mean = self.verified.model.predict(cell.kernel, cell.context, cell.environment, candidates).mean
            self._bases[key] = dict(zip(candidates, mean.tolist(), strict=True))
        return self._bases[key][cell.variant]

    async def _post(self, packets: Sequence[Packet]) -> Mapping[str, int] | None:
        """The server's answer; None if it has forgotten our model's version and wants a newer one."""
        body = b"[" + b",".join(map(encode, packets)) + b"]"
        for attempt in range(TRIES):
            response = await self.platform.fetch(
                "POST", "/api/telemetry", body, {"content-type": "application/json"}
            )
            if response.status == 202:
                answer: Mapping[str, int] = json.loads(response.body)
                return answer
            if response.status not in (429, 503):
                break
            # Sent again as it is: the nonces tell the server what it has already.
            wait = float(response.headers.get("retry-after", 2**attempt))
            await self.platform.sleep(min(wait, LONGEST_WAIT))
        error = json.loads(response.body)["error"]
        if error["code"] in ("unknown-model", "old-model"):
            return None
        raise ClientError(
            f"the server refused packets: {response.status} {error['code']}: {error['message']}"
        )

    async def _get(self, path: str) -> bytes:
        response = await self.platform.fetch("GET", path)
        if response.status != 200:
            raise NetworkError(f"the server answered {response.status} to {path}")
        return response.body

    async def wait_for_newer(self, seconds: float) -> UpdateOutcome:
        """Ask until a newer version is there; ClientError after `seconds`."""
        for _ in range(max(1, round(seconds))):
            outcome = await self.update()
            if outcome.status == "updated":
                return outcome
            await asyncio.sleep(1)
        raise ClientError(f"no newer model within {seconds:g} s")

    @property
    def checksum(self) -> str:
        """SHA-256 of the model in use."""
        return hashlib.sha256(self.verified.artefact).hexdigest() if self.verified else ""


def measurements(rows: Sequence[LabRow], manifest: Manifest) -> list[tuple[Place, float]]:
    """Every lab measurement that a visitor's browser could have made, with its ln speedup."""
    found = []
    for row in of_visitors(rows):
        kernel = manifest.by_signature.get(row.signature)
        if kernel is None:
            continue
        runnable = kernel.candidates(row.environment.features)
        for variant, value in row.log_speedups().items():
            if variant != BASELINE and variant in runnable:
                found.append((Place(kernel, row.context, row.environment, variant), value))
    return found
