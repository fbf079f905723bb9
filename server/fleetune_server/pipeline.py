"""store → learn → deliver: folds, retrains and publishes. The only file that sees all three."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TypeVar

from fleetune.artefact import ModelError
from fleetune.manifest import Manifest
from fleetune_server.common.logs import Condition
from fleetune_server.common.metrics import Metrics
from fleetune_server.learning import OldCells, OverSums, Training
from fleetune_server.publish.library import PROMOTED, WITHDRAWN, Library, Rollout, Trial
from fleetune_server.publish.release import Publisher, PublishError, sha256
from fleetune_server.settings import Settings
from fleetune_server.store.base import (
    RESTORED,
    CellSum,
    Store,
    StoreError,
    VersionTakenError,
    above_backup,
    withdrawable_seconds,
)
from fleetune_server.training.first import shipped
from fleetune_server.training.sources import Lab
from fleetune_server.training.train import TrainRequest, TrainResult
from fleetune_server.training.trainer import Progress, Trainer, TrainerDiedError
from fleetune_server.training.trial import TrialRequest, judge_trial

log = logging.getLogger(__name__)
A = TypeVar("A")
R = TypeVar("R")
LOOK_SECONDS = 5.0  # between two looks at what other processes stored
RETRY_SECONDS = 60.0  # after a training that failed
DAY = 86_400
PINNED = "pinned"  # store key: true while an operator keeps new versions back
VERDICT = "verdict"  # store key: what the gate last said, of a refused version too
TRAINED = (
    "trained"  # store key: what the last training has seen and doubted, and how many were refused in a row
)
TRAIN_NOW = "train-now"  # store key: when an operator asked for a training (unix seconds)
ACCEPT = "accept"  # store key: {"version", "reason", "at"} of a refusal that an operator overrules, once


class Pipeline:
    """Runs the learning half of the loop as one background task."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        library: Library,
        metrics: Metrics,
        trainer: Trainer,
        train: Callable[[TrainRequest], TrainResult],
        publisher: Publisher,
        manifest: Callable[[], Manifest],
        lab: Lab,
        announce: Callable[[int], Awaitable[None]],
        rollout: Rollout,
        follow: Callable[[], Awaitable[None]],
    ) -> None:
        self.settings = settings
        self.store = store
        self.library = library
        self.metrics = metrics
        self.trainer = trainer
        self.train = train
        self.publisher = publisher
        self.manifest = manifest  # as served now
        self.lab = lab
        self.announce = announce
        self.rollout = rollout
        self.follow = follow  # takes over what else replicas share
        self.progress = Progress()
        self._wake = asyncio.Event()
        self._first_arrival: float | None = None
        self._look_at = 0.0  # monotonic
        self.old_cells = OldCells(settings.store_url, store, library, trainer)

    async def start(self) -> None:
        """Take the published versions from the store; the very first start trains version 1 from the lab."""
        await self.refresh()
        self.progress.trained_at = self.progress.trained_at or time.time()
        self.progress.reports = (await self.store.counts()).reports
        while self.manifest().kernels and not self.library.version:
            if await self.store.lead():
                await self._learn()
                if not self.library.version:
                    raise StoreError(f"the first model was refused: {'; '.join(self.progress.reasons)}")
            else:
                await asyncio.sleep(1)
                await self.refresh()

    async def listen(self) -> None:
        """Until cancelled: take over what other replicas publish or share."""

        async def heard(version: int) -> None:
            await self.follow()
            if version not in self.library.records:
                await self._take_over()

        await self.store.listen(heard)

    async def refresh(self) -> None:
        """Put versions that this process does not know yet on the shelf."""
        for record in (await self.store.versions())[-self.settings.keep_versions :]:
            if record.version not in self.library.records:
                artefact = await self.store.blob(record.sha256)
                if artefact is None:
                    raise StoreError(f"the artefact of version {record.version} is missing")
                try:
                    self.library.add(record, artefact)
                except ModelError as error:  # written by another version of Fleetune
                    if self.library.set_aside(record.version):
                        reason = {"version": record.version, "reason": str(error)}
                        log.error("a model version cannot be read and is set aside", extra=reason)
        await self.rollout.load()
        await self._recall()

    async def _recall(self) -> None:
        """What the last training has seen, whichever replica it was."""
        seen = await self.store.get(TRAINED)
        if seen and seen["at"] > self.progress.trained_at:
            self.progress.recall(seen)

    async def _take_over(self) -> None:
        """What other processes published (replicas, `fleetune models`), told to this one's clients."""
        before = self.library.version, self.library.stable
        await self.refresh()
        if before != (self.library.version, self.library.stable):
            await self.announce(self.library.version)

    def arrived(self, packets: int) -> None:
        """Intake says that new packets are durable."""
        self.progress.reports += packets
        if self._first_arrival is None:
            self._first_arrival = time.monotonic()
        if self.progress.fresh >= self.settings.retrain_packets:
            self._wake.set()

    @property
    def due(self) -> bool:
        """Whether it is time to retrain."""
        fresh, every = self.progress.fresh, self.settings.retrain_seconds
        late = bool(every) and time.time() - self.progress.trained_at >= every
        enough = fresh >= self.settings.retrain_packets or (fresh > 0 and late)
        return enough and bool(self.manifest().kernels)

    async def run(self) -> None:
        """Until cancelled: fold what is old enough, retrain when due. An error is told and tried again."""
        trouble = Condition(log, "learning failed")
        while True:
            try:
                await self._turn()
            except VersionTakenError as error:  # an operator or another replica was faster: learn from there
                log.info("learning anew", extra={"reason": str(error)})
                self.progress.state, self._look_at = "waiting", 0.0
                self._wake.set()
            except (StoreError, TrainerDiedError, PublishError, OSError) as error:
                self._failed(error)
                trouble.holds(str(error))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                self._failed(error)
                log.exception("learning failed unexpectedly")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                trouble.ended("learning goes on")

    async def _turn(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        if time.monotonic() >= self._look_at:  # by the clock: packets may wake it without a pause
            self.progress.reports = (await self.store.counts()).reports
            await self.follow()
            await self._take_over()
            self._look_at = time.monotonic() + LOOK_SECONDS
        if not await self.store.lead():
            return
        await self._recall()  # who led until now may have trained from these reports already
        await self._fold()
        pinned = bool(await self.store.get(PINNED))
        if self.rollout.trial and not pinned:
            await self._judge_trial()
        elif not pinned and (self.due or await self._asked()):
            await self._learn()
        await self.old_cells.merge()  # last: should it fail, learning goes on

    async def _asked(self) -> bool:
        """Whether `fleetune train now`, or restoring a backup, asks for a training that did not begin yet.

        After a restore clients may hold newer versions than there are, and take none until the next one.
        """
        restored = await self.store.get(RESTORED)
        asked = max(await self.store.get(TRAIN_NOW) or 0, restored["at"] if restored else 0)
        return asked > self.progress.trained_at and bool(self.manifest().kernels)

    async def _operators_reason(self, version: int) -> str:
        """Why an operator lets this version pass, every report believed and whatever the gate says."""
        asked = await self.store.get(ACCEPT)
        return str(asked["reason"]) if asked and asked["version"] == version else ""

    async def _fold(self) -> None:
        now = time.time()
        with self.metrics.fold.time():
            folded = await self.store.fold(now - withdrawable_seconds(self.settings.hold_seconds))
            await self.store.forget(now - self.settings.retention_days * DAY)
        if folded:
            log.info("folded", extra={"packets": folded})

    async def over_sums(self, work: Callable[[list[CellSum], A], R], request: A) -> R:
        """`work(all sums, request)`, in the training process; both must be picklable."""
        return await self.trainer.run(OverSums(self.settings.store_url, work), request)

    async def _trained(self, request: TrainRequest) -> tuple[TrainResult, int]:
        """A new server's version 1 may lie in its package; the rest is trained from all reports."""
        ready = None if self.progress.reports else await asyncio.to_thread(shipped, request)
        return (ready, 0) if ready else await self.over_sums(Training(self.train), request)

    async def _learn(self) -> None:
        """One round: snapshot, train, gate, publish, push."""
        self.progress.state = "training"
        version = await above_backup(self.store, self.library.next_version)
        reason = await self._operators_reason(version)
        request = self._request(version, believe=bool(reason))
        first_arrival, self._first_arrival = self._first_arrival, None
        log.info("training", extra={"version": request.version, "reports": self.progress.reports})
        with self.metrics.train.time():
            result, reports = await self._trained(request)
        if reason:  # once, and only now: a training that died did not use it up
            await self.store.share({ACCEPT: None})
            log.warning("gate overruled by an operator", extra={"version": version, "reason": reason})
        if reason and not result.verdict.accepted:
            verdict = replace(result.verdict, overruled=reason)
            metadata = {**result.metadata, "gate": list(verdict.reasons)}
            result = replace(result, verdict=verdict, metadata=metadata)
        self.progress.reasons = tuple(result.verdict.reasons)
        await self.store.put(
            VERDICT,
            {
                "version": request.version,
                "sha256": sha256(result.model),  # another process may publish this number first
                "accepted": result.verdict.accepted,
                "overruled": result.verdict.overruled,
                "at": int(time.time()),
                "checks": [asdict(check) for check in result.verdict.checks],
            },
        )
        if result.verdict.accepted:
            await self._publish(request.version, result)
            if first_arrival is not None:
                self.metrics.delay.observe(time.monotonic() - first_arrival)
        else:
            log.warning("model refused by the gate", extra={"reasons": self.progress.reasons})
        self.progress.refused = 0 if result.verdict.accepted else self.progress.refused + 1
        self._finished("published" if result.verdict.accepted else "refused")
        self.progress.trained_reports, self.progress.trained_at = reports, time.time()
        self.progress.held_back = result.held_back
        await self.store.put(TRAINED, self.progress.record(result.suspicions))

    def _request(self, version: int, believe: bool) -> TrainRequest:
        latest = self.library.latest
        return TrainRequest(
            manifest=self.manifest().raw,
            lab=self.lab.rows,
            aggregates=(),  # the training process reads them
            previous=latest.to_bytes() if latest else None,
            version=version,
            measured=self.lab.measured,
            held=None if believe else self.rollout.blamed,
        )

    async def _publish(self, version: int, result: TrainResult) -> None:
        self.progress.state = "publishing"
        with self.metrics.publish.time():
            record, blobs = await asyncio.to_thread(
                self.publisher.release,
                version,
                result.model,
                result.metadata,
                self._history(),
            )
            await self.rollout.begin(version)
            await self.store.save_version(record, blobs, self.settings.keep_versions)
        self.library.add(record, result.model)
        await self.announce(version)
        log.info("published", extra={"version": version, "seconds": round(result.seconds, 2)})

    async def _judge_trial(self) -> None:
        """Promote or withdraw the candidate on trial, if it is time."""
        trial, rows = self.rollout.trial, await self.rollout.evidence()
        if trial is None or rows is None:
            return
        models = self.library.models
        stable, candidate = models[trial.stable].to_bytes(), models[trial.version].to_bytes()
        request = TrialRequest(self.manifest().raw, stable, candidate, rows)
        verdict = await self.trainer.run(judge_trial, request)
        reports = sum(row.count for row in rows)
        checks = [asdict(check) for check in verdict.checks]
        if verdict.accepted:
            await self.rollout.end(trial.version, PROMOTED, reports, checks)
            self.progress.outcome = PROMOTED
            log.info("candidate promoted", extra={"version": trial.version, "reports": reports})
        else:
            await self._withdraw(trial)
            await self.rollout.end(trial.version, WITHDRAWN, reports, checks)
            self.progress.outcome, self.progress.reasons = WITHDRAWN, verdict.reasons
            log.warning("candidate withdrawn", extra={"version": trial.version, "reasons": verdict.reasons})
        self.metrics.trainings.add(label=self.progress.outcome)
        await self.announce(self.library.version)

    async def _withdraw(self, trial: Trial) -> None:
        """Publish the stable version's content as the newest version: clients never go back in number."""
        version = await above_backup(self.store, self.library.next_version)
        note = f"content of version {trial.stable} again: version {trial.version} was withdrawn"
        stable = self.library.records[trial.stable]
        record, blobs, artefact = await asyncio.to_thread(
            self.publisher.again, version, stable, note, self._history()
        )
        await self.store.save_version(record, blobs, self.settings.keep_versions)
        self.library.add(record, artefact)

    def _history(self) -> dict[int, bytes]:
        return {version: model.to_bytes() for version, model in self.library.models.items()}

    def _failed(self, error: Exception) -> None:
        self.progress.reasons = (str(error),)
        self._finished("failed")

    def _finished(self, outcome: str) -> None:
        self.progress.state, self.progress.outcome = "waiting", outcome
        self.metrics.trainings.add(label=outcome)
