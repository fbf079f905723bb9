"""How many names there may be, and how long: read by uploads, packets, the catalogue and the model's file.

What one of them accepts, no other may refuse. A capacity that is used up refuses what is new.
"""

from __future__ import annotations

# The fields of a model's rows and their bits in a packed key. Index 0 is "any", so 2^bits − 1 names fit.
BITS = {
    "kernel": 11, "pattern": 6, "size": 6, "environment": 13, "engine": 8, "family": 4, "candidate": 9,
}  # fmt: skip
CAPACITY = {name: (1 << bits) - 1 for name, bits in BITS.items()}

COPIED = r"(?:\+copied)?"  # what a call that copies its arrays adds to a pattern
PATTERN = r"[a-z][A-Za-z0-9-]{0,31}"
OPTIMISATIONS = 8  # of one variant
OPTIMISATION = r"[a-z][A-Za-z0-9-]{0,23}"
VARIANT = rf"{OPTIMISATION}(?:\+{OPTIMISATION}){{0,{OPTIMISATIONS - 1}}}"
VARIANT_CHARACTERS = 80
MOST_SIZES = 12  # of one kernel, that are measured
