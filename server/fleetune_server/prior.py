"""What is believed before anything was measured: so that a server without lab rows still starts its loop."""

from __future__ import annotations

from fleetune.context import CORES, Environment
from fleetune.features import safe_default
from fleetune.fit import Rows
from fleetune.manifest import BASELINE, Manifest
from fleetune_server.learn.train import CLIPS as FLOORED

GAIN = 1.0  # ln speedup of the capability heuristic's choice over JavaScript: 2.8 times, at design time
VARIANCE = 0.5**2  # of a guess
CLIPS = (2.0, 1.0, *FLOORED)  # wide first rounds: the truth may be far from a guess
_FEATURES = ((True, True), (True, False), (False, False))  # SIMD, relaxed SIMD


def prior_rows(manifest: Manifest) -> Rows:
    """The capability heuristic's choice gains GAIN, every other variant half of it, each with VARIANCE."""
    cells = []
    for simd, relaxed in _FEATURES:
        environment = Environment("other", 0, "other", simd, relaxed, False, CORES[0])
        for kernel in manifest.kernels.values():
            best = safe_default(kernel, environment.features)
            for _size, _pattern, _copied, context in kernel.contexts():
                for candidate in kernel.candidates(environment.features):
                    if candidate != BASELINE:
                        gain = GAIN if candidate == best else GAIN / 2
                        cells.append((kernel, context, environment, candidate, gain, VARIANCE))
    return Rows.of(cells)
