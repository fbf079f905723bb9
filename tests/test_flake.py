"""The flake figures: gathered over several sittings, counted per test and engine."""

from __future__ import annotations

from pathlib import Path

from e2e.flake import Record, Run, rounds

CONSENT = "e2e/test_consent.py::test_a[chromium-isolated]"
LEARN = "e2e/test_learn.py::test_b[webkit-plain]"


def test_a_record_goes_on_where_the_last_sitting_ended(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    Record(file).add([Run(CONSENT), Run(LEARN), Run(CONSENT, "call: late")])
    later = Record(file)
    assert later.least([CONSENT, LEARN]) == 1
    assert later.least([CONSENT]) == 2
    later.add([Run(LEARN)])
    done = Record(file).least([CONSENT, LEARN])
    assert list(rounds(done, 4, minutes=1)) == [3, 4]


def test_a_test_that_never_ran_begins_the_count() -> None:
    record = Record(None)
    record.add([Run(CONSENT), Run(CONSENT)])
    assert record.least([CONSENT, LEARN]) == 0


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
