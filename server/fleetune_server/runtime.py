"""Makes what a running server consists of, in the order it must start, and ends it in the reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fleetune.manifest import Manifest
from fleetune_server import prior
from fleetune_server.canary import Canary
from fleetune_server.catalogue import Catalogue
from fleetune_server.decisions import Decisions
from fleetune_server.deliver.distribute import Distributor
from fleetune_server.deliver.hub import Hub
from fleetune_server.deliver.keys import KeyRing
from fleetune_server.deliver.publish import Publisher
from fleetune_server.history import History
from fleetune_server.intake.check import Checker
from fleetune_server.intake.feedback import FeedbackIntake
from fleetune_server.intake.ingest import Intake
from fleetune_server.intake.limits import RateLimiter
from fleetune_server.learn.aggregate import is_heldout
from fleetune_server.learn.lab import load, of_visitors
from fleetune_server.learn.rows import lab_rows
from fleetune_server.learn.train import train
from fleetune_server.library import Library
from fleetune_server.metrics import Metrics
from fleetune_server.own.api import follow, stocked
from fleetune_server.own.shelf import Shelf
from fleetune_server.pipeline import Lab, Pipeline
from fleetune_server.settings import Settings
from fleetune_server.state import State
from fleetune_server.stores import open_store
from fleetune_server.trainer import Trainer

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[State]:
    """A server's resources; the first start trains version 1 before it yields."""
    built = Catalogue.load(settings.kernels)
    keys = KeyRing.open(settings.data / "keys")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        shelf = Shelf(store)
        marks = await shelf.marks()
        catalogue = await stocked(built, shelf)
        if catalogue.problem:
            log.error("kernels are missing", extra={"problem": catalogue.problem})
        library = Library(settings.keep_versions)
        metrics = Metrics()
        hub = Hub(library.target)
        canary = Canary(settings, store, library, lambda: len(hub))
        trainer = Trainer(settings.workers)
        stack.callback(trainer.close)
        pipeline = Pipeline(
            settings,
            store,
            library,
            metrics,
            trainer,
            train,
            Publisher(),
            catalogue.manifest,
            _measured(settings, built.manifest),
            hub.announce,
            canary,
        )
        await pipeline.start()
        stack.push_async_callback(hub.close)
        checker = Checker(
            catalogue.manifest.by_signature,
            library,
            settings.epsilons,
            settings.stale_days,
            is_heldout,
            time.time,
        )
        limiter = RateLimiter(settings.rate_packets, settings.trusted_proxy)
        intake = Intake(
            store, checker, limiter, metrics, settings.body_seconds, pipeline.arrived, settings.work_bits
        )
        metrics.waiting.read = lambda: store.waiting
        metrics.version.read = lambda: library.stable
        metrics.sockets.read = lambda: len(hub)
        metrics.dropped.read = lambda: hub.dropped

        async def published(sha256: str) -> bytes | None:
            return library.artefact(sha256) or await store.blob(sha256)

        async with asyncio.TaskGroup() as group:
            history = History(store, library)
            jobs = (pipeline.run(), pipeline.listen(), history.run())
            state = State(
                settings=settings,
                catalogue=catalogue,
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
                decisions=Decisions(catalogue.manifest, catalogue.root),
                distributor=Distributor(library.records, published, keys, library.target, settings.work_bits),
                hub=hub,
                keys=keys,
                pipeline=pipeline,
                canary=canary,
                metrics=metrics,
                history=history,
                own_marks=marks,
            )
            await state.remember()
            pipeline.shared = lambda: follow(state)
            tasks = [group.create_task(job) for job in jobs]
            yield state
            for task in tasks:
                task.cancel()


def _measured(settings: Settings, manifest: Manifest) -> Lab:
    """The public measurements that training starts from; without any, the prior."""
    rows = lab_rows(of_visitors(load(settings.lab, manifest)), manifest)
    if len(rows):
        return Lab(rows)
    log.warning("no lab measurements: the first model knows no more than the capability heuristic")
    return Lab(prior.prior_rows(manifest), prior.CLIPS, measured=False)
