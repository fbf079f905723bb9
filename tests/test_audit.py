"""The audit itself: exact bounds, the shipped code passes, every planted fault is caught."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from fleetune.fields import FIELDS
from fleetune.privacy import mechanism
from fleetune_research.privacy_audit import MUTANTS, audit, overspend, shipped
from fleetune_server import cli

DRAWS = 1_000_000


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleetune_research", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """As an operator runs it: 10^6 packets of the shipped code, and the mutants."""
    done = run("audit", "--draws", str(DRAWS), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_a_million_packets_do_not_exceed_the_claim_and_every_fault_is_caught(found: dict[str, Any]) -> None:
    assert (found["claimed"], found["draws"]) == (2.0, DRAWS)
    assert found["matrix_max_log_ratio"] <= 2.0
    assert 1.85 < found["empirical_lower_bound"] <= 2.0, "close to the claim: the audit has power"
    assert found["mutants_caught"] == len(found["mutants"]) == len(MUTANTS)
    assert "overspend" in found["mutants"]["overspend"]["violations"][0]


def test_the_strict_mechanism_holds_too() -> None:
    found = audit(shipped, 1.0, 100_000)
    assert found.violations == ()
    assert 0.8 < found.lower_bound <= 1.0 >= math.log(mechanism(1.0).max_ratio)


@pytest.mark.parametrize(
    ("mutant", "word"),
    [
        ("reused-nonce", "nonce"),
        ("float-leak", "value"),
        ("time-leak", "strict reader"),
        ("day-leak", "envelope"),
    ],
)
def test_a_planted_fault_is_named(found: dict[str, Any], mutant: str, word: str) -> None:
    assert any(word in violation for violation in found["mutants"][mutant]["violations"])


def test_too_few_packets_prove_nothing() -> None:
    """The overspending mutant escapes a small sample: its catch above is evidence, not a constant."""
    assert audit(overspend, 2.0, 4_000).violations == ()
    with pytest.raises(ValueError, match="at least 2000"):
        audit(shipped, 2.0, 500)
    assert run("audit", "--draws", "100").returncode == 2


@pytest.mark.parametrize("language", ["en", "ru"])
def test_explain_prints_every_field(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["privacy", "explain", "--language", language]) == 0
    printed = capsys.readouterr().out
    for field in FIELDS:
        assert f"{field.name} = " in printed
        assert field.what[language] in printed
        assert field.why[language] in printed
