"""What copying costs: a call that copies its arrays takes at least as long as the copy, whatever runs then.

Where JavaScript alone takes less, no module can win, so a prediction is capped by the reference's own time
here.
The constants are those of the lab's engines, in which they agree to a factor of two (16 to 25 ns an array,
0.016 to 0.02 ns a byte: the median difference between copied and resident calls of the same module).
"""

from __future__ import annotations

import math

from fleetune.context import Context
from fleetune.manifest import Kernel

ARRAY_NS = 16.0
BYTE_NS = 0.019


def copy_ns(kernel: Kernel, context: Context) -> float:
    """How long one call's copies take at least, ns; 0 if nothing is copied."""
    moved, arrays = kernel.moved
    return ARRAY_NS * arrays + BYTE_NS * moved * 2.0**context.log2_size if context.copied else 0.0


def most(kernel: Kernel, context: Context, reference_ns: float) -> float:
    """The ln speedup that no module can exceed, given the time of the JavaScript reference; infinite if
    nothing is copied."""
    cost = copy_ns(kernel, context)
    return math.log(reference_ns / cost) if cost and reference_ns > 0 else math.inf
