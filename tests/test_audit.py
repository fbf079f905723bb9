"""The audit itself: exact bounds, the shipped code passes, every planted fault is caught."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from fleetune.fields import FIELDS
from fleetune.privacy import mechanism
from fleetune_research.__main__ import main
from fleetune_research.commands import audit as command
from fleetune_research.privacy_audit import MUTANTS, audit, overspend, shipped
from fleetune_server import cli

DRAWS = 200_000  # the command draws a million
POWER = 0.85  # of the claim, that so many show at least


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Any]]:
    """What the command prints as JSON."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setitem(
            MUTANTS, "overspend", partial(overspend, factor=1.2)
        )  # so large that few packets show it
        patch.setattr(command, "OVERSPEND_DRAWS", DRAWS // 4)
        assert command.run(argparse.Namespace(draws=DRAWS, epsilon=2.0, workers=1, json=True)) == 0
        yield json.loads(printed.getvalue())


def test_packets_do_not_exceed_the_claim_and_every_fault_is_caught(found: dict[str, Any]) -> None:
    assert (found["claimed"], found["draws"]) == (2.0, DRAWS)
    assert found["matrix_max_log_ratio"] <= 2.0
    assert POWER * 2.0 < found["empirical_lower_bound"] <= 2.0, "close to the claim: the audit has power"
    assert found["mutants_caught"] == len(found["mutants"]) == len(MUTANTS)


@pytest.mark.parametrize(
    ("mutant", "word"),
    [
        ("overspend", "overspend"),
        ("reused-nonce", "nonce"),
        ("float-leak", "value"),
        ("time-leak", "strict reader"),
        ("day-leak", "envelope"),
    ],
)
def test_a_planted_fault_is_named(found: dict[str, Any], mutant: str, word: str) -> None:
    assert any(word in violation for violation in found["mutants"][mutant]["violations"])


def test_the_strict_mechanism_holds_too() -> None:
    strict = audit(shipped, 1.0, 100_000)
    assert strict.violations == ()
    assert 0.8 < strict.lower_bound <= 1.0 >= math.log(mechanism(1.0).max_ratio)


def test_too_few_packets_prove_nothing() -> None:
    """The overspending mutant escapes a small sample: its catch above is evidence, not a constant."""
    assert audit(overspend, 2.0, 4_000).violations == ()
    with pytest.raises(ValueError, match="at least 2000"):
        audit(shipped, 2.0, 500)
    assert main(["audit", "--draws", "100"]) == 2


@pytest.mark.parametrize("language", ["en", "ru"])
def test_explain_prints_every_field(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["privacy", "explain", "--language", language]) == 0
    printed = capsys.readouterr().out
    for field in FIELDS:
        assert f"{field.name} = " in printed
        assert field.what[language] in printed
        assert field.why[language] in printed
