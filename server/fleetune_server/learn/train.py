"""Lab rows and aggregates to the next model: pure, picklable, run in a spawned process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetune.fit import Rows
from fleetune_server.learn.gate import GateVerdict
from fleetune_server.store.base import CellSum


@dataclass(frozen=True)
class TrainRequest:
    """Everything that one training needs; picklable."""

    manifest: Mapping[str, Any]  # the catalogue's raw JSON
    lab: Rows  # public measurements
    aggregates: Sequence[CellSum]  # folded + a snapshot of pending reports, held-out rows marked
    previous: bytes | None  # the artefact of the last published version
    version: int  # of the model to make
    seed: int = 0
    group: int = 20  # reports below which a (signature, environment) group is rolled up
    clips: Sequence[float] = (0.5, 0.35, 0.25, 0.2)  # by the number of versions made from reports


@dataclass(frozen=True)
class TrainResult:
    """The artefact, what the API says about it, and whether it may be published."""

    model: bytes
    metadata: Mapping[str, Any]  # trainedOn, sampleCount, trainingLoss, architecture, clip, metrics
    verdict: GateVerdict
    seconds: float = 0.0
