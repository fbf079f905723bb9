"""How many share: from totals that the server has anyway, with an interval that holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fleetune import rating as feedback
from fleetune_server.common.metrics import estimates
from fleetune_server.publish.history import LEAST_SESSIONS, adoption


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.9])
def test_the_interval_covers_the_truth_as_often_as_it_says(truth: float) -> None:
    """Sessions share with a chance; some of the reports are withdrawn: that does not shift the estimate."""
    random, trials, sessions = np.random.default_rng(5), 2_000, 400
    sharing = random.binomial(sessions, truth, trials)
    withdrawn = random.binomial(20, 0.5, trials)  # of reports beyond those
    found = [adoption(int(a + w), int(w), sessions) for a, w in zip(sharing, withdrawn, strict=True)]
    shares = [one.share for one in found if one.share is not None]
    assert len(shares) == trials
    error = 4 * math.sqrt(truth * (1 - truth) / sessions / trials)
    assert np.mean(shares) == pytest.approx(truth, abs=error), "unbiased"
    covered = sum(
        one.low <= truth <= one.high for one in found if one.low is not None and one.high is not None
    )
    assert 0.93 <= covered / trials <= 0.98


def test_too_little_is_not_published() -> None:
    assert adoption(3, 0, LEAST_SESSIONS - 1).to_wire() == {
        "sessions": LEAST_SESSIONS - 1, "reports": 3, "share": None, "low": None, "high": None,
    }  # fmt: skip
    assert adoption(50, 0, 40).share is None, "clients without a page"
    assert adoption(1, 5, 40).share == 0


def test_prometheus_says_nan_where_nothing_is_known() -> None:
    text = estimates({"satisfaction": feedback.estimate(3, 5), "adoption": adoption(30, 0, 100)})
    assert "fleetune_satisfaction_share NaN" in text
    assert "fleetune_adoption_share 0.3\n" in text
    assert "fleetune_adoption_low 0.21" in text
