"""One row of the decision table, as `GET /api/decisions` and the page's own operation `decisions` give it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetune.choose import Choice
from fleetune.context import Context
from fleetune.model import Predictions


def decision_row(size: int, context: Context, choice: Choice, predictions: Predictions) -> dict[str, Any]:
    """What to run for `size` elements in `context`: speedups over `js`, four significant digits."""
    # Of a job without reports there is nothing to tell, not a wide guess.
    speedups = (
        []
        if predictions.unknown
        else zip(predictions.candidates, np.exp(predictions.mean).tolist(), strict=True)
    )
    return {
        "size": size,
        "log2Size": context.log2_size,
        "choice": choice.candidate,
        "speedup": _short(choice.expected),
        "low": _short(choice.low),
        "high": _short(choice.high),
        "source": choice.source,
        "why": choice.why,
        "candidates": {name: _short(speedup) for name, speedup in speedups},
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
