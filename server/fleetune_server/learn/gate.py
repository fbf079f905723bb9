"""Whether a trained model may be published, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the new model, its figure and limit."""

    name: str
    passed: bool
    figure: float
    limit: float
    reason: str  # one plain sentence


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """All checks; publish only if every one passed."""

    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, or in short why."""
        return tuple(check.reason for check in self.checks if check.passed == self.accepted)
