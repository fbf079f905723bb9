"""The audit itself: exact bounds, the shipped code passes, every planted fault is caught."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from fleetune.fields import FIELDS
from fleetune.privacy import mechanism
from fleetune_server.clopper_pearson import incomplete_beta, lower, upper
from fleetune_server.commands.privacy import MUTANT_DRAWS
from fleetune_server.privacy_audit import MUTANTS, audit, overspend, shipped

DRAWS = 1_000_000


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleetune_server", "privacy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 1 - 1e-6), st.integers(1, 200_000), st.integers(1, 200_000))
def test_the_incomplete_beta_function_is_scipys(x: float, a: int, b: int) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-7, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200_000), st.floats(0, 1), st.sampled_from([0.05, 1e-3, 1e-6]))
def test_the_bounds_are_clopper_and_pearsons(trials: int, share: float, alpha: float) -> None:
    hits = round(share * trials)
    found = stats.binomtest(hits, trials).proportion_ci(1 - 2 * alpha, method="exact")
    assert lower(hits, trials, alpha) == pytest.approx(found.low, rel=1e-6, abs=1e-12)
    assert upper(hits, trials, alpha) == pytest.approx(found.high, rel=1e-6, abs=1e-12)


def test_a_million_packets_do_not_exceed_the_claim_and_every_fault_is_caught() -> None:
    """As an operator runs it: 10^6 packets of the shipped code, and the mutants."""
    done = run("audit", "--draws", str(DRAWS), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
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
def test_a_planted_fault_is_named(mutant: str, word: str) -> None:
    found = audit(MUTANTS[mutant], 2.0, MUTANT_DRAWS)
    assert any(word in violation for violation in found.violations)


def test_too_few_packets_prove_nothing() -> None:
    """The overspending mutant escapes a small sample: its catch above is evidence, not a constant."""
    assert audit(overspend, 2.0, 4_000).violations == ()
    with pytest.raises(ValueError, match="at least 2000"):
        audit(shipped, 2.0, 500)
    assert run("audit", "--draws", "100").returncode == 2


@pytest.mark.parametrize("language", ["en", "ru"])
def test_explain_prints_every_field(language: str) -> None:
    done = run("explain", "--language", language)
    assert done.returncode == 0
    for field in FIELDS:
        assert f"{field.name} = " in done.stdout
        assert field.what[language] in done.stdout
        assert field.why[language] in done.stdout
