"""The gate: only a plain, current yes opens it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetune.app.consent import REASONS, Terms, allowed

YES = {"choice": "on", "revision": 3, "epsilon": 2.0, "perDay": 1, "at": 1_795_392_000}


def test_a_current_yes_opens_the_gate_on_its_own_terms() -> None:
    verdict = allowed(YES, False, 3)
    assert (verdict.ok, verdict.reason, verdict.terms) == (True, None, Terms(2.0, 1))
    assert verdict.message == ""
    assert allowed({**YES, "epsilon": 1}, False, 3).terms == Terms(1.0, 1)


@pytest.mark.parametrize(
    ("record", "gpc", "reason"),
    [
        (None, False, "undecided"),
        (YES, True, "gpc"),
        ({**YES, "choice": "off"}, False, "off"),
        ({**YES, "revision": 2}, False, "revised"),
        ({**YES, "revision": 4}, False, "revised"),
        ({**YES, "revision": True}, False, "revised"),
        ({**YES, "choice": "yes"}, False, "malformed"),
        ({**YES, "epsilon": 3.0}, False, "malformed"),
        ({**YES, "epsilon": float("nan")}, False, "malformed"),
        ({**YES, "epsilon": True}, False, "malformed"),
        ({**YES, "perDay": 0}, False, "malformed"),
        ({**YES, "perDay": 1000}, False, "malformed"),
        ({"choice": "on"}, False, "revised"),
        ("on", False, "malformed"),
        ([], False, "malformed"),
    ],
)
def test_anything_else_keeps_it_shut_and_says_why(record: Any, gpc: bool, reason: str) -> None:
    verdict = allowed(record, gpc, 3)
    assert (verdict.ok, verdict.reason, verdict.terms) == (False, reason, None)
    assert verdict.message == REASONS[reason]


@pytest.mark.parametrize("wanted", [Terms(2.0, 2), Terms(2.0, 5)])
def test_raising_the_budget_asks_again(wanted: Terms) -> None:
    assert allowed(YES, False, 3, wanted).reason == "raised"
    assert allowed({**YES, "epsilon": 1.0}, False, 3, Terms(2.0, 1)).reason == "raised"


def test_less_than_was_agreed_needs_no_new_answer() -> None:
    assert allowed(YES, False, 3, Terms(1.0, 1)).terms == Terms(1.0, 1)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.dictionaries(st.text(), s))
)
def test_no_accident_opens_the_gate(record: Any) -> None:
    assert not allowed(record, False, 3).ok
