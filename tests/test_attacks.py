"""Every attack of `python -m tests.attacks` fails."""

from __future__ import annotations

from tests.attacks import SCENARIOS, attack


def test_no_attack_succeeds() -> None:
    found = attack()
    assert found["scenarios"] == len(SCENARIOS) == len(found["rows"])
    assert [row["name"] for row in found["rows"] if not row["held"]] == []
    assert found["failed"] == 0
