"""Proof of work: what a report costs its sender while a server asks for it, against floods.

Hashcash with SHA-256 over the report's own nonce (Back, Hashcash: A Denial of Service Counter-Measure, 2002):
an answer is a whole number such that SHA-256("nonce:answer") begins with so many zero bits. It takes 2^bits
tries on average to find and one to check, says nothing about its sender, and pays for that one report.
"""

from __future__ import annotations

import hashlib

MAX_BITS = 20  # a million hashes: some seconds in Pyodide


def is_answer(nonce: str, answer: int, bits: int) -> bool:
    """Whether `answer` pays for the report of this nonce (32 hex digits)."""
    digest = hashlib.sha256(f"{nonce}:{answer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits) == 0


def search(nonce: str, bits: int, start: int, tries: int) -> int | None:
    """The first answer among `tries` numbers from `start` on, if there is one."""
    return next((n for n in range(start, start + tries) if is_answer(nonce, n, bits)), None)
