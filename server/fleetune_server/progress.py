"""What is said about learning while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """What the dashboard says about learning."""

    state: str = "waiting"  # waiting, training, publishing
    reports: int = 0  # reports that count for training
    trained_reports: int = 0  # of which the last training saw
    trained_at: float = 0.0  # unix seconds
    outcome: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def fresh(self) -> int:
        """Reports that no training has seen."""
        return max(0, self.reports - self.trained_reports)
