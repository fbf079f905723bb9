"""The simulated fleet against a running server: the same world, real requests, the server's own training."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import numpy as np

from fleetune.manifest import Manifest
from fleetune_research.fleet.client import Client, ClientError, Place
from fleetune_research.fleet.http import HttpPlatform
from fleetune_research.fleet.simulate import Fleet, Progress
from fleetune_research.fleet.world import World

DRAWN_AT_ONCE = 1_000


class WorldClient(Client):
    """Browsers of a World: which cell is measured follows its traffic, what is seen its devices."""

    def __init__(self, http: httpx.AsyncClient, world: World, epsilon: float, seed: int) -> None:
        super().__init__(HttpPlatform(http), (), epsilon, seed)
        self.world = world
        self.reported = np.zeros(len(world.frame), dtype=np.int64)  # (cells,)
        self._drawn: list[tuple[int, float]] = []

    def prepare(self, manifest: Manifest) -> None:
        """ClientError if the server's catalogue is not the one that the world was drawn from."""
        missing = {k.signature for k in self.world.frame.kernels} - set(manifest.by_signature)
        if missing:
            raise ClientError(
                f"the server does not know {len(missing)} of the world's kernels: another build?"
            )

    def measure(self) -> tuple[Place, float]:
        """See `Client.measure`."""
        if not self._drawn:
            cells = self.random.choice(len(self.world.traffic), DRAWN_AT_ONCE, p=self.world.traffic)
            values = self.world.measure(cells, self.random)
            self._drawn = list(zip(cells.tolist(), values.tolist(), strict=True))
        cell, value = self._drawn.pop()
        self.reported[cell] += 1
        f = self.world.frame
        place = Place(
            f.kernels[f.kernel[cell]],
            f.contexts[f.context[cell]],
            f.environments[f.environment[cell]],
            f.candidates[f.candidate[cell]],
        )
        return place, value


async def play(
    url: str,
    world: World,
    manifest: Manifest,
    milestones: Sequence[int],
    *,
    epsilon: float,
    seed: int,
    wait: float,
    progress: Progress,
) -> list[dict[str, float]]:
    """Send reports up to each milestone, wait `wait` seconds for the version they lead to, and score it.

    A server publishes when its own settings say so: a milestone after which no version comes is scored with
    the model in use, and `version` shows that it is the old one. ClientError, PlatformError or SignedError
    when the server cannot be used.
    """
    empty = world.rows.take(np.zeros(len(world.frame), dtype=bool))
    scorer = Fleet(world, manifest, empty, epsilon, seed)
    curve = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        client = WorldClient(http, world, epsilon, seed)
        await client.connect()
        for point in sorted({0, *milestones}):
            if point > scorer.reports:
                await client.run(point - scorer.reports)
                try:
                    await client.wait_for_newer(wait)
                except ClientError as nothing_new:
                    progress(str(nothing_new))
            assert client.verified is not None
            scorer.model, scorer.reports, scorer.count = client.verified.model, point, client.reported
            curve.append({"version": float(client.verified.version), **scorer.score()})
            progress(
                f"{point} reports: version {client.verified.version}, accuracy {curve[-1]['accuracy']:.1%}"
            )
    return curve
