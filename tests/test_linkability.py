"""Two packets of one browser cannot be told from packets of two browsers of the same kind."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from tests import tiny

from fleetune.manifest import BASELINE
from fleetune.packet import Packet, build, snap
from fleetune.personal import DEVICE
from fleetune.privacy import mechanism

MANIFEST = tiny.manifest()
CELLS = [
    (kernel, context, name)
    for kernel in MANIFEST.kernels.values()
    for _size, _pattern, _copied, context in kernel.contexts()
    for name in kernel.candidates(tiny.ENVIRONMENT.features)
    if name != BASELINE
]
PAIRS = 16_000
DAYS = 30
LIMIT = 0.55
BASE = 1.2
NOISE = 0.02  # of one measurement, ln speedup


class Device:
    """One browser of the environment; it differs from others as much as the personal layer assumes."""

    def __init__(self, random: np.random.Generator, spread: float) -> None:
        self.random = random
        self.spread = spread  # times the assumed deviations
        self.effects: dict[tuple[object, ...], float] = {}

    def report(self, clip: float, day: int) -> Packet:
        """One packet: a random cell, measured, through the shipped code."""
        kernel, context, variant = CELLS[self.random.integers(len(CELLS))]
        names = {"kernel": kernel.name, "context": context, "candidate": variant}
        measured = BASE + self.random.normal(0, NOISE)
        for shared, component in DEVICE.items():
            key = (shared, *(names[part] for part in shared))
            if key not in self.effects:
                self.effects[key] = self.random.normal(0, self.spread * component**0.5)
            measured += self.effects[key]
        return build(kernel, context, tiny.ENVIRONMENT, variant, BASE, measured, clip, 2.0, 7, 20_780 + day)


def features(one: Packet, two: Packet) -> list[float]:
    """What an observer can compare, and helpful combinations; the values as the server decodes them."""
    noise = mechanism(2.0)
    x, y = (noise.decode(snap(p.speedup, BASE, p.clip, 2.0)) for p in (one, two))
    return [
        x,
        y,
        x * y,
        abs(x - y),
        x + y,
        float(one.profile_signature == two.profile_signature),
        float(one.context == two.context),
        float(one.variant == two.variant),
        float(abs(one.timestamp - two.timestamp)),
        float((int(one.nonce, 16) ^ int(two.nonce, 16)).bit_count()),
        float(one.nonce[0] == two.nonce[0]),
    ]


def trained_auc(table: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """Boosting, fitted on the first half of the pairs and scored on the second."""
    half = len(same) // 2
    classifier = HistGradientBoostingClassifier(max_iter=60, max_depth=3, learning_rate=0.08, random_state=0)
    classifier.fit(table[:half], same[:half])
    return float(roc_auc_score(same[half:], classifier.predict_proba(table[half:])[:, 1]))


def pairs(count: int, clip: float, spread: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(features of pairs, whether each is of one browser)."""
    random = np.random.default_rng(7)
    same = np.arange(count) % 2 == 0
    rows = []
    for is_same in same:
        first = Device(random, spread)
        second = first if is_same else Device(random, spread)
        # One browser reports once a day, so two of its packets never share a day; two browsers' may.
        one, two = (int(day) for day in random.choice(DAYS, 2, replace=not is_same))
        rows.append(features(first.report(clip, one), second.report(clip, two)))
    return np.array(rows), same


@pytest.mark.parametrize("clip", [0.5, 0.2])
@pytest.mark.parametrize("spread", [1.0, 1.5])
def test_a_classifier_does_hardly_better_than_chance(clip: float, spread: float) -> None:
    """At the widest and the narrowest clip: the narrower it is, the more of a difference shows through."""
    table, same = pairs(PAIRS, clip, spread)
    auc, product = trained_auc(table, same), roc_auc_score(same, table[:, 2])
    print(f"clip {clip}, spread {spread}: AUC {auc:.4f}, of the product of the values alone {product:.4f}")
    assert auc <= LIMIT
    assert product <= LIMIT


def test_the_classifier_would_notice_an_identifier() -> None:
    """The same classifier, when the packets of one browser start their nonces alike: it must see it."""
    table, same = pairs(2_000, 0.5, 1.0)
    table[:, 10] = np.where(same, 1, table[:, 10])
    assert trained_auc(table, same) > 0.9
