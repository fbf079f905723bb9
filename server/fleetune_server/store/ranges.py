"""Folding in short transactions: nonces are random, so their first byte divides packets evenly."""

from __future__ import annotations

from itertools import pairwise

FOLD_RANGES = 32


def nonce_ranges() -> list[tuple[bytes, bytes]]:
    """[low, high) ranges that cover every 16-byte nonce once."""
    starts = [bytes([first]) for first in range(0, 256, 256 // FOLD_RANGES)]
    return list(pairwise([*starts, b"\xff" * 17]))
