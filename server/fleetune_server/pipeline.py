"""store → learn → deliver: folds, retrains and publishes. The only file that sees all three."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleetune.fit import Rows
from fleetune.manifest import Manifest
from fleetune_server.canary import PROMOTED, WITHDRAWN, Canary
from fleetune_server.deliver.publish import Publisher, PublishError
from fleetune_server.learn.canary import judge_canary
from fleetune_server.learn.train import CLIPS, TrainRequest, TrainResult
from fleetune_server.library import Library, Trial
from fleetune_server.logs import Condition
from fleetune_server.metrics import Metrics
from fleetune_server.progress import Progress
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum, Store, StoreError
from fleetune_server.trainer import Trainer, TrainerDiedError

log = logging.getLogger(__name__)
RECOUNT_SECONDS = 5.0  # other replicas accept packets too
RETRY_SECONDS = 60.0  # after a training that failed
DAY = 86_400
PINNED = "pinned"  # store key: true while an operator keeps new versions back
VERDICT = "verdict"  # store key: what the gate last said, of a refused version too
_TRAINED = "trained"  # store key: what the last training has seen


@dataclass(frozen=True)
class Lab:
    """Public rows to train from, and the clip of each round that follows."""

    rows: Rows
    clips: Sequence[float] = CLIPS
    measured: bool = True  # False: the prior's guesses, which no figure may be taken from

    def honest(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata of a model trained from these rows: guesses are not counted or measured against."""
        if self.measured:
            return dict(metadata)
        reports = {"reports": metadata["metrics"]["reports"]}
        return {**metadata, "trainedOn": {**metadata["trainedOn"], "labRows": 0}, "metrics": reports}


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
        manifest: Manifest,
        lab: Lab,
        announce: Callable[[int], Awaitable[None]],
        canary: Canary,
    ) -> None:
        self.settings = settings
        self.store = store
        self.library = library
        self.metrics = metrics
        self.trainer = trainer
        self.train = train
        self.publisher = publisher
        self.manifest = manifest
        self.lab = lab
        self.announce = announce
        self.canary = canary
        self.progress = Progress()
        self.shared: Callable[[], Awaitable[None]] = _nothing  # looks at what else replicas share
        self._wake = asyncio.Event()
        self._first_arrival: float | None = None

    async def start(self) -> None:
        """Take the published versions from the store; the very first start trains version 1 from the lab."""
        await self.refresh()
        self.progress.trained_at = self.progress.trained_at or time.time()
        self.progress.reports = (await self.store.counts()).reports
        while self.manifest.kernels and not self.library.version:
            if await self.store.lead():
                await self._learn()
                if not self.library.version:
                    raise StoreError(f"the first model was refused: {'; '.join(self.progress.reasons)}")
            else:
                await asyncio.sleep(1)
                await self.refresh()

    async def listen(self) -> None:
        """Until cancelled: hear of versions that other replicas publish, and of what else they share."""

        async def heard(version: int) -> None:
            await self.shared()
            await self._published_elsewhere(version)

        await self.store.listen(heard)

    async def refresh(self) -> None:
        """Put versions that this process does not know yet on the shelf."""
        for record in (await self.store.versions())[-self.settings.keep_versions :]:
            if record.version not in self.library.records:
                artefact = await self.store.blob(record.sha256)
                if artefact is None:
                    raise StoreError(f"the artefact of version {record.version} is missing")
                self.library.add(record, artefact)
        await self.canary.load()
        await self._recall()

    async def _recall(self) -> None:
        """What the last training has seen, whichever replica it was."""
        seen = await self.store.get(_TRAINED)
        if seen and seen["at"] > self.progress.trained_at:
            self.progress.trained_reports, self.progress.trained_at = seen["reports"], seen["at"]

    async def _published_elsewhere(self, version: int) -> None:
        """Another replica published: take it over and tell this one's clients."""
        if version in self.library.records:
            return
        await self.refresh()
        await self.announce(version)

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
        return enough and bool(self.manifest.kernels)

    async def run(self) -> None:
        """Until cancelled: fold what is old enough, retrain when due. An error is told and tried again."""
        trouble = Condition(log, "learning failed")
        while True:
            try:
                await self._turn()
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
        try:
            async with asyncio.timeout(RECOUNT_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self.progress.reports = (await self.store.counts()).reports
            await self.shared()
            before = self.library.version, self.library.stable
            await self.refresh()  # `fleetune models rollback` and `import` publish from another process
            if before != (self.library.version, self.library.stable):
                await self.announce(self.library.version)
        self._wake.clear()
        if not await self.store.lead():
            return
        await self._recall()  # who led until now may have trained from these reports already
        await self._fold()
        pinned = bool(await self.store.get(PINNED))
        if pinned:
            return
        if self.canary.trial:
            await self._judge_trial()
        elif self.due:
            await self._learn()

    async def _fold(self) -> None:
        now = time.time()
        with self.metrics.fold.time():
            folded = await self.store.fold(now - self.settings.hold_seconds)
            await self.store.forget(now - self.settings.retention_days * DAY)
        if folded:
            log.info("folded", extra={"packets": folded})

    async def _learn(self) -> None:
        """One round: snapshot, train, gate, publish, push."""
        self.progress.state = "training"
        sums = await self.store.sums()
        request = self._request(sums)
        first_arrival, self._first_arrival = self._first_arrival, None
        reports = sum(row.count for row in sums)
        log.info("training", extra={"version": request.version, "reports": reports})
        with self.metrics.train.time():
            result = await self.trainer.run(self.train, request)
        self.progress.reasons = tuple(result.verdict.reasons)
        await self.store.put(
            VERDICT,
            {
                "version": request.version,
                "accepted": result.verdict.accepted,
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
        self._finished("published" if result.verdict.accepted else "refused")
        self.progress.trained_reports, self.progress.trained_at = reports, time.time()
        await self.store.put(_TRAINED, {"reports": reports, "at": self.progress.trained_at})

    def _request(self, sums: list[CellSum]) -> TrainRequest:
        latest = self.library.latest
        return TrainRequest(
            manifest=self.manifest.raw,
            lab=self.lab.rows,
            clips=self.lab.clips,
            aggregates=sums,
            previous=latest.to_bytes() if latest else None,
            version=self.library.version + 1,
        )

    async def _publish(self, version: int, result: TrainResult) -> None:
        self.progress.state = "publishing"
        with self.metrics.publish.time():
            record, blobs = await asyncio.to_thread(
                self.publisher.release,
                version,
                result.model,
                self.lab.honest(result.metadata),
                self._history(),
            )
            await self.canary.begin(version)
            await self.store.save_version(record, blobs, self.settings.keep_versions)
        self.library.add(record, result.model)
        await self.announce(version)
        log.info("published", extra={"version": version, "seconds": round(result.seconds, 2)})

    async def _judge_trial(self) -> None:
        """Promote or withdraw the candidate on trial, if it is time."""
        trial, request = self.canary.trial, await self.canary.evidence(self.manifest.raw)
        if trial is None or request is None:
            return
        verdict = await self.trainer.run(judge_canary, request)
        reports = sum(row.count for row in request.rows)
        if verdict.accepted:
            await self.canary.end(trial.version, PROMOTED, verdict, reports)
            self.progress.outcome = PROMOTED
            log.info("candidate promoted", extra={"version": trial.version, "reports": reports})
        else:
            await self._withdraw(trial)
            await self.canary.end(trial.version, WITHDRAWN, verdict, reports)
            self.progress.outcome, self.progress.reasons = WITHDRAWN, verdict.reasons
            log.warning("candidate withdrawn", extra={"version": trial.version, "reasons": verdict.reasons})
        self.metrics.trainings.add(label=self.progress.outcome)
        await self.announce(self.library.version)

    async def _withdraw(self, trial: Trial) -> None:
        """Publish the stable version's content as the newest version: clients never go back in number."""
        version = trial.version + 1
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


async def _nothing() -> None:
    """A server alone shares nothing."""
