"""How learning goes: what the dashboard and metrics say, and what replicas tell one another of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleetune_server.training.doubts import Suspicion

STUCK = 3  # refusals in a row that an operator should hear of


@dataclass
class Progress:
    """What the dashboard says about learning."""

    state: str = "waiting"  # waiting, training, publishing
    reports: int = 0  # reports that count for training
    trained_reports: int = 0  # of which the last training saw
    trained_at: float = 0.0  # unix seconds
    outcome: str = ""
    reasons: tuple[str, ...] = ()
    refused: int = 0  # trainings in a row that the gate refused
    suspicious: int = 0  # places whose reports the last training did not believe
    held_back: int = 0  # cells that it moved as far as one version may

    @property
    def fresh(self) -> int:
        """Reports that no training has seen."""
        return max(0, self.reports - self.trained_reports)

    def record(self, suspicions: Sequence[Suspicion]) -> dict[str, Any]:
        """What the last training has seen and doubted, as JSON for the store."""
        self.suspicious = len(suspicions)
        return {
            "reports": self.trained_reports,
            "at": self.trained_at,
            "refused": self.refused,
            "suspicions": [asdict(place) for place in suspicions],
            "heldBack": self.held_back,
        }

    def recall(self, seen: Mapping[str, Any]) -> None:
        """Take over such a record, also of an earlier release or another replica."""
        self.trained_reports, self.trained_at = seen["reports"], seen["at"]
        self.refused = seen.get("refused", 0)
        self.suspicious = len(seen.get("suspicions", ()))
        self.held_back = seen.get("heldBack", 0)
