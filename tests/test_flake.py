"""The flake figures: gathered over several sittings, counted per test and engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.flake import Record, Run, rounds

CONSENT = "e2e/test_consent.py::test_a[chromium-isolated]"
LEARN = "e2e/test_learn.py::test_b[webkit-plain]"


@pytest.fixture(autouse=True)
def three_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETUNE_ENGINES", "chromium,firefox,webkit")


def test_a_record_goes_on_where_the_last_sitting_ended(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    Record(file).add([Run(CONSENT), Run(LEARN), Run(CONSENT, "call: late")])
    later = Record(file)
    assert later.least() == 1
    assert later.least(["consent"]) == 2
    later.add([Run(LEARN)])
    assert Record(file).least() == 2
    assert list(rounds(later.least(), 4, minutes=1)) == [3, 4]


def test_an_engine_that_is_not_chosen_now_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(None)
    record.add([Run(CONSENT), Run(CONSENT), Run(LEARN)])
    monkeypatch.setenv("FLEETUNE_ENGINES", "chromium")
    assert record.least() == 2


def test_failures_are_counted_and_named() -> None:
    record = Record(None)
    record.add([Run(CONSENT), Run(CONSENT, "setup: no browser"), Run("e2e/test_x.py::test_c")])
    figures = record.figures()
    assert figures["engines"] == ["chromium"]
    assert figures["journeys"] == ["consent", "x"]
    assert (figures["runs"], figures["failures"], figures["tests"]) == (3, 1, 2)
    assert figures["failed"] == [{"test": CONSENT, "error": "setup: no browser"}]


def test_no_round_begins_when_the_time_is_over() -> None:
    assert list(rounds(0, 5, minutes=-1)) == []
