"""`measure: "calls"`: what is learnt from a page's own calls, and at what price, in a world with a clock of its own."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests import node

HERE = Path(__file__).parent
SHARE = 0.02
SLICE_MS = 6  # a batch may have begun before the account was empty
WORLDS: dict[str, dict[str, Any]] = {
    "several": {"speeds": {"half": 0.5, "near": 0.9, "twice": 2}},
    "waits": {"speeds": {"half": 0.5}, "waits": True},
    "coarse": {"speeds": {"half": 0.5}, "step": 1},
    "alike": {"speeds": {"other": 1}},
    "changes": {"speeds": {"half": [0.5, 2]}, "rounds": 30_000, "changes": 12_000},
    "lies": {"speeds": {"liar": 0.1, "later": 0.1, "half": 0.5}, "sizes": [256, 64]},
    "large": {"speeds": {"large": 0.5}},
    "own": {"speeds": {"half": 0.5}, "own": True},
    "sorts": {"speeds": {"sorts": 0.5}},
    "throws": {"speeds": {"throws": 0.5}},
}


@cache
def found() -> dict[str, Any]:
    """What came of each world; the speeds in `WORLDS` say what should."""
    answer: dict[str, Any] = json.loads(node.run(HERE / "choose_calls_in_node.mjs", json.dumps(WORLDS)))
    return answer


@pytest.mark.parametrize("world", WORLDS)
def test_no_call_ever_gets_a_wrong_result(world: str) -> None:
    """In `large`, an implementation that is right where it was compared is wrong for a size that comes later."""
    assert found()[world]["wrong"] == 0


@pytest.mark.parametrize("world", WORLDS)
def test_exploring_takes_at_most_two_percent_of_the_time_of_the_calls(world: str) -> None:
    assert found()[world]["explored"] <= SHARE * found()[world]["page"] + SLICE_MS


@pytest.mark.parametrize("world", ["several", "waits", "coarse"])
def test_the_fastest_is_found_within_ten_seconds_of_calls(world: str) -> None:
    assert found()[world]["choices"] == {"64": "half"}
    assert found()[world]["page"] < 12_000, "slow calls ended early"


def test_what_is_alike_leaves_the_reference_in_use() -> None:
    assert set(found()["alike"]["used"]) == {"reference"}
    assert found()["alike"]["sizes"] == [64], "it was measured"


def test_an_implementation_that_becomes_slow_is_left() -> None:
    used = found()["changes"]["used"]
    assert "half" in used
    assert used[-1] == "reference"


def test_who_lies_or_fails_is_set_aside_and_the_others_are_learnt() -> None:
    assert set(found()["lies"]["aside"]) == {"liar", "later"}
    assert "half" in found()["lies"]["choices"].values()
    assert set(found()["throws"]["aside"]) == {"throws"}
    assert found()["throws"]["choices"] == {"64": "reference"}


def test_one_that_changes_its_arguments_works_on_copies() -> None:
    assert found()["sorts"]["choices"] == {"64": "sorts"}
    assert found()["sorts"]["aside"] == {}


def test_arguments_that_cannot_be_copied_are_not_explored() -> None:
    assert (found()["own"]["explored"], found()["own"]["choices"]) == (0, {"64": "reference"})
