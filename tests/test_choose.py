"""From predictions and measurements to one choice, and why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.synthetic import ENGINES, catalogue

from fleetune.choose import (
    Choice,
    Measured,
    choose,
    explain,
    safe_default,
)
from fleetune.context import Context, Environment
from fleetune.model import Predictions

KERNEL = catalogue().kernels["kernel1"]
CONTEXT = Context(8, KERNEL.dtype, "random")
HERE = ENGINES[0]
NAMES = KERNEL.candidates(HERE.features)
DEFAULT = safe_default(KERNEL, HERE.features)
UNROLLED, SIMD = "inlining+loopUnrolling", "inlining+vectorization"


def predicted(means: dict[str, float], sd: float = 0.01, personal: tuple[str, ...] = ()) -> Predictions:
    mean = np.array([means.get(name, 0.1) if name != "js" else 0.0 for name in NAMES])
    return Predictions(NAMES, mean, np.where(mean == 0, 0, sd), frozenset(personal))


def pick(
    predictions: Predictions,
    measured: dict[str, Measured] | None = None,
    set_aside: tuple[str, ...] = (),
    environment: Environment = HERE,
) -> Choice:
    return choose(KERNEL, CONTEXT, environment, predictions, measured or {}, set_aside)


def test_a_sure_prediction_is_followed_without_measuring() -> None:
    choice = pick(predicted({SIMD: 1.0, DEFAULT: 0.5}))
    assert (choice.candidate, choice.source) == (SIMD, "predicted")
    assert choice.low < choice.expected < choice.high
    assert choice.expected == pytest.approx(np.e)


def test_an_unsure_prediction_leaves_the_safe_default() -> None:
    choice = pick(predicted({SIMD: 0.53, DEFAULT: 0.5}, sd=0.6))
    assert (choice.candidate, choice.source) == (DEFAULT, "default")


def test_what_was_measured_here_outranks_every_prediction() -> None:
    measured = {"js": Measured(0.0, 0.01), UNROLLED: Measured(0.9, 0.01), DEFAULT: Measured(0.4, 0.01)}
    choice = pick(predicted({DEFAULT: 1.2}), measured)
    assert (choice.candidate, choice.source) == (UNROLLED, "measured")


def test_javascript_wins_where_it_was_measured_fastest() -> None:
    choice = pick(predicted({DEFAULT: 1.0}), {"js": Measured(0, 0.01), DEFAULT: Measured(-0.3, 0.01)})
    assert choice.candidate == "js"
    assert "JavaScript itself" in explain(choice)


def test_a_prediction_that_this_device_moved_is_called_personal() -> None:
    assert pick(predicted({SIMD: 1.0}, personal=(SIMD,))).source == "personal"


def test_what_was_set_aside_or_cannot_run_is_never_chosen() -> None:
    best = predicted({SIMD: 2.0, DEFAULT: 1.5, UNROLLED: 0.5})
    assert pick(best, set_aside=(SIMD,)).candidate == DEFAULT
    plain = Environment("firefox", 153, "linux", False, False, False, "2-3")
    for aside in itertools.combinations(NAMES, 3):
        choice = pick(best, set_aside=aside, environment=plain)
        assert "vectorization" not in choice.candidate
        assert choice.candidate == "js" or choice.candidate not in aside


def test_with_everything_set_aside_javascript_runs() -> None:
    choice = pick(predicted({SIMD: 2.0}), set_aside=NAMES)
    assert choice.candidate == "js"
    assert choice.expected == 1.0


@given(
    st.lists(st.floats(-1, 3), min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(st.floats(-1, 3), min_size=len(NAMES), max_size=len(NAMES)),
    st.floats(0.001, 1),
)
def test_a_measured_choice_never_costs_more_than_five_percent_against_the_safe_default(
    means: list[float], truth: list[float], sd: float
) -> None:
    table = {name: Measured(value, 0.01) for name, value in zip(NAMES, truth, strict=True)}
    table["js"] = Measured(0.0, 0.01)
    choice = pick(predicted(dict(zip(NAMES, means, strict=True)), sd), table)
    assert table[choice.candidate].log_speedup >= table[DEFAULT].log_speedup - 0.05


@given(st.lists(st.floats(-1, 3), min_size=len(NAMES), max_size=len(NAMES)), st.floats(0.001, 1))
def test_every_choice_can_run_and_says_why(means: list[float], sd: float) -> None:
    choice = pick(predicted(dict(zip(NAMES, means, strict=True)), sd))
    assert choice.candidate in NAMES
    assert choice.low <= choice.expected <= choice.high
    assert explain(choice).endswith(".")
