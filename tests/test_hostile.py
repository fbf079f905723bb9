"""A small campaign of `tests.hostile`; the full one is a command of its own."""

from __future__ import annotations

from pathlib import Path

from tests.hostile import survive


def test_hostile_requests_end_in_refusals_and_change_nothing(tmp_path: Path) -> None:
    score = survive(2000, 7, tmp_path)
    assert score["requests"] == 2000
    assert (score["answers_5xx"], score["failures"], score["hung"]) == (0, [], [])
    assert not [line for line in score["errors_logged"] if line.startswith("{")]
    assert score["memory_growth_mb"] < 50
    assert score["good_counted"]
    assert {202, 400, 403, 404, 405, 408, 413, 415, 422} <= set(score["statuses"])
