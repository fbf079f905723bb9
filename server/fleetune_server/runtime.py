"""What a running server consists of: made in the order it must start, ended in the reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import HTTPConnection

from fleetune import __version__
from fleetune.manifest import Manifest
from fleetune_server.common.health import UNNAMED, clock_behind, no_room
from fleetune_server.common.metrics import Metrics
from fleetune_server.kernels.catalogue import Catalogue, ServedCatalogue
from fleetune_server.kernels.shelf import Shelf
from fleetune_server.pipeline import Pipeline
from fleetune_server.publish.decisions import Decisions
from fleetune_server.publish.distribute import Distributor, Sealer
from fleetune_server.publish.history import History
from fleetune_server.publish.hub import Hub
from fleetune_server.publish.keys import KeyFileError, KeyRing
from fleetune_server.publish.library import Library, Rollout
from fleetune_server.publish.release import Publisher
from fleetune_server.settings import Settings
from fleetune_server.store.base import Store, StoreError
from fleetune_server.store.opening import only_server, open_store
from fleetune_server.telemetry.check import Checker
from fleetune_server.telemetry.floods import FEW, Challenges, Draws, Floods
from fleetune_server.telemetry.ingest import FeedbackIntake, Intake
from fleetune_server.telemetry.limits import RateLimiter
from fleetune_server.training.lab import Versions
from fleetune_server.training.sources import Lab, guessed_rows, public_rows
from fleetune_server.training.train import train
from fleetune_server.training.trainer import STUCK, Trainer

log = logging.getLogger(__name__)
ROOM_SECONDS = 10.0  # between two trials whether a batch can be written
KEY = "fleetune"  # of the State in the lifespan's state
T = TypeVar("T")


class LastKnown:
    """What the store said last, for readers who must have an answer while it is gone."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    async def of(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` says now, or else said last; StoreError if it never did."""
        try:
            self._values[name] = await read()
        except StoreError:
            if name not in self._values:
                raise
        known: T = self._values[name]
        return known


@dataclass
class State:
    """The running server's resources."""

    settings: Settings
    served: ServedCatalogue
    store: Store
    library: Library
    intake: Intake
    feedback: FeedbackIntake
    decisions: Decisions
    distributor: Distributor
    hub: Hub
    keys: KeyRing
    pipeline: Pipeline
    rollout: Rollout
    metrics: Metrics
    history: History
    known: LastKnown = field(default_factory=LastKnown)
    room: str | None = None  # why a batch cannot be written
    room_until: float = 0.0  # monotonic seconds until it is tried again
    started: float = field(default_factory=time.time)  # unix seconds

    @property
    def catalogue(self) -> Catalogue:
        """What is served now."""
        return self.served.current

    async def problems(self) -> list[str]:
        """What an operator should know: catalogue, store, room, keys, clock, learning."""
        found = [self.catalogue.problem, self.store.problem and f"store: {self.store.problem}"]
        if time.monotonic() >= self.room_until:
            self.room = await asyncio.to_thread(no_room, self.settings.data)
            self.room_until = time.monotonic() + ROOM_SECONDS
        found.append(self.room)
        try:
            if self.keys.keys:
                self.keys.root()
            else:
                found.append(f"{self.settings.data / 'keys'}: the signing keys are gone")
        except (KeyFileError, OSError) as error:
            found.append(str(error))
        latest = self.library.records.get(self.library.version)
        found.append(clock_behind(latest.created, time.time()) if latest else None)
        refused = self.pipeline.progress.refused
        if refused >= STUCK:
            found.append(f"the last {refused} trainings were refused: `fleetune doctor` says more")
        return [problem for problem in found if problem]

    async def remember(self) -> None:
        """Ask once what readers will want to know although the store may be gone by then."""
        await self.known.of("counts", self.store.counts)
        await self.known.of("size", self.store.size)
        await self.known.of("hours", self.history.hours)
        await self.known.of("versions", self.history.versions)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[State]:
    """A server's resources; the first start trains version 1 before it yields."""
    built = Catalogue.load(settings.kernels)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        stack.enter_context(only_server(settings))
        signed = bool(await store.versions()) and not settings.new_keys
        keys = KeyRing.open(settings.data / "keys", signed)
        library = Library(settings.keep_versions)
        keys.least = lambda: library.stable
        served = ServedCatalogue(
            built, Shelf(store), lambda: library.latest.artefact.vocabulary if library.latest else {}
        )
        await served.follow()
        if built.problem:
            log.error("kernels are missing", extra={"problem": built.problem})
        metrics = Metrics()
        hub = Hub(library.target)
        rollout = Rollout(settings, store, library, lambda: len(hub))
        draws = Draws(store)
        challenges = Challenges(store)

        async def follow() -> None:
            await served.follow()
            await draws.follow(library.version)
            await challenges.follow()

        trainer = Trainer()
        stack.callback(trainer.close)
        pipeline = Pipeline(
            settings,
            store,
            library,
            metrics,
            trainer,
            train,
            Publisher(),
            served.manifest,
            _measured(settings, built.manifest),
            hub.announce,
            rollout,
            follow,
        )
        await pipeline.start()
        await draws.follow(library.version)
        await challenges.follow()
        stack.push_async_callback(hub.close)
        checker = Checker(
            served.kernels,
            library,
            settings.stale_days,
            draws.heldout,
            time.time,
            Versions.of(settings.lab).bounded,
        )
        limiter = RateLimiter(settings.rate_packets, settings.trusted_proxy)
        floods = Floods(settings.work_bits, max(FEW, 2 * limiter.of_place))
        intake = Intake(
            store, checker, limiter, metrics, settings.body_seconds, pipeline.arrived, challenges, floods
        )
        metrics.waiting.read = lambda: store.waiting
        metrics.version.read = lambda: library.stable
        metrics.sockets.read = lambda: len(hub)
        metrics.dropped.read = lambda: hub.dropped
        metrics.flooded.read = floods.under_way

        def work() -> dict[str, Any]:
            return {"bits": floods.floor, "challenge": challenges.current} if floods.floor else {}

        async def published(sha256: str) -> bytes | None:
            return library.artefact(sha256) or await store.blob(sha256)

        async with asyncio.TaskGroup() as group:
            history = History(store, library)
            jobs = (pipeline.run(), pipeline.listen(), history.run())
            state = State(
                settings=settings,
                served=served,
                store=store,
                library=library,
                intake=intake,
                feedback=FeedbackIntake(
                    store,
                    limiter,
                    settings.stale_days,
                    settings.body_seconds,
                    time.time,
                    lambda code: metrics.rejected.add(label=code),
                ),
                decisions=Decisions(lambda: served.current, Sealer(keys)),
                distributor=Distributor(library.records, published, keys, library.target, work),
                hub=hub,
                keys=keys,
                pipeline=pipeline,
                rollout=rollout,
                metrics=metrics,
                history=history,
            )
            await state.remember()
            identity = {
                "store": settings.store_shown,
                "keys": [key.id for key in keys.keys],
                "operator": settings.operator or UNNAMED,
            }
            log.info("started", extra={"release": __version__, "model": library.stable, **identity})
            stack.callback(log.info, "stopped")
            tasks = [group.create_task(job) for job in jobs]
            yield state
            for task in tasks:
                task.cancel()


def _measured(settings: Settings, manifest: Manifest) -> Lab:
    """The public measurements that training starts from; without any, the prior."""
    rows = public_rows(settings.lab, manifest)
    if len(rows):
        return Lab(rows)
    log.warning("no lab measurements: the first model knows no more than the capability heuristic")
    return Lab(guessed_rows(manifest), measured=False)


def state_of(connection: HTTPConnection) -> State:
    """The running server's resources, as endpoints reach them."""
    state = connection.scope["state"][KEY]
    assert isinstance(state, State)
    return state
