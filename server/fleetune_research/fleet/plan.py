"""Active measuring: reports drawn where the model expects to gain most by knowing, not evenly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleetune.features import Floats
from fleetune_research.confirmation import expected_gain
from fleetune_research.fleet.simulate import Fleet

EVENLY = 0.25  # share of reports that go on being drawn evenly, in case the model is surely wrong


def planned(fleet: Fleet, here: NDArray[np.bool_]) -> Floats:
    """The chance of each cell (n,) to be the next report: by the traffic of its context times the expected gain.

    A candidate's gain is how much faster than the best one it may turn out to be; the best one's is how much
    slower than the second. Cells outside `here` are never drawn.
    """
    answer, contexts = fleet.predictions()
    traffic = np.where(here, fleet.world.traffic, 0.0)
    traffic /= traffic.sum()
    gain = np.zeros(len(traffic))
    for first, end in zip(contexts.start[:-1].tolist(), contexts.start[1:].tolist(), strict=True):
        rows = np.arange(first, end)
        cells = contexts.source[rows]
        variants = cells >= 0  # JavaScript is the reference, and never reported
        if not here[cells[variants]].any():
            continue
        mean, sd = answer.mean[rows], answer.contrast[rows]
        second, best = np.sort(mean)[-2:]
        leader = int(np.argmax(mean))
        for i in np.flatnonzero(variants).tolist():
            behind = second - best if i == leader else mean[i] - best
            gain[cells[i]] = traffic[cells[i]] * expected_gain(float(behind), float(sd[i]))
    if not gain.sum():
        return traffic
    return np.asarray(EVENLY * traffic + (1 - EVENLY) * gain / gain.sum())
