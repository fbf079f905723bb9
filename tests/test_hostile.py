"""A small campaign of `tests.hostile`; the full one is a command of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hostile import survive


@pytest.mark.parametrize(("count", "work_bits"), [(2000, 0), (600, 4)])
def test_hostile_requests_end_in_refusals_and_change_nothing(
    tmp_path: Path, count: int, work_bits: int
) -> None:
    score = survive(count, 7, tmp_path, work_bits)
    assert score["requests"] == count
    assert (score["answers_5xx"], score["failures"], score["hung"]) == (0, [], [])
    assert not [line for line in score["errors_logged"] if line.startswith("{")]
    assert score["memory_growth_mb"] < 50
    assert score["good_counted"]
    assert {400, 403, 404, 405, 413, 415, 422, 428 if work_bits else 408} <= set(score["statuses"])
    if count >= 2000:  # of a hundred attacks less than one is a packet that may be taken
        assert 202 in score["statuses"]
