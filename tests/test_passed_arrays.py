"""Calls with arrays that were passed around, taken away, frozen or watched: the same with every candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import node
from tests.kernel_runner import DIST

NOT_AN_ARRAY = "TypeError: Fleetune: a must be a Float32Array, not object"
NOT_A_NUMBER = "TypeError: Fleetune: n must be a number, not object"
EMPTY = "RangeError: Fleetune: a has 0 elements, this call needs 3"
EXPECTED: dict[str, Any] = {
    "arrays of another tuner": [6, False, 6, True],
    "one of each tuner": 6,
    "another window's arrays": [3, 5, 7],
    "an array of alloc sent to another thread": [6, False],
    "a buffer of alloc cannot be taken away": 6,
    "arrays of alloc after release": [6, True],
    "release of a frozen array": 6,
    "a detached array": EMPTY,
    "a detached array, count left out": 0,
    "a detached array of a class": 0,
    "a detached result": None,
    "a buffer that shrank": [6, EMPTY, 1],
    "a buffer that shrinks while arguments are checked": EMPTY,
    "a call while arguments are checked": [6, 3],
    "a count that becomes a number": NOT_A_NUMBER,
    "a boxed count": NOT_A_NUMBER,
    "a Proxy": NOT_AN_ARRAY,
    "an object that says what it is": NOT_AN_ARRAY,
    "a class of arrays that makes others": 6,
}


@pytest.mark.parametrize("candidate", ["js", "js-tuned", "inlining"])
def test_arrays_that_were_passed_around_are_read_as_they_are_at_the_call(candidate: str) -> None:
    request = json.dumps({"dist": str(DIST), "candidate": candidate})
    found = json.loads(node.run(Path(__file__).parent / "calls" / "passed.mjs", input=request))
    answers = found["answers"]
    assert answers.pop("no array").startswith("TypeError: ")
    assert answers == EXPECTED
    assert found["setAside"] == []
    assert found["last"] == candidate
