"""Proof of work: what a report costs its sender while a server asks for it, against floods.

Hashcash with SHA-256 (Back, Hashcash: A Denial of Service Counter-Measure, 2002) over the server's challenge and the
report's own nonce: an answer is a whole number such that SHA-256("challenge:nonce:answer") begins with so many zero
bits. It takes 2^bits tries on average to find and one to check, and pays for that one report. A challenge is the
same for everyone and changes by the hour, so an answer says nothing about its sender and cannot be found long before.
"""

from __future__ import annotations

import hashlib

MAX_BITS = 20  # a million hashes: some seconds in Pyodide


def is_answer(challenge: str, nonce: str, answer: int, bits: int) -> bool:
    """Whether `answer` pays for the report of this nonce (32 hex digits)."""
    digest = hashlib.sha256(f"{challenge}:{nonce}:{answer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits) == 0


def search(challenge: str, nonce: str, bits: int, start: int, tries: int) -> int | None:
    """The first answer among `tries` numbers from `start` on, if there is one."""
    return next((n for n in range(start, start + tries) if is_answer(challenge, nonce, n, bits)), None)
