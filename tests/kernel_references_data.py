"""References of the kernels that move, search and order: text, hashing, sorting, lookups."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from tests.kernel_reference import Array, Outcome, Reference, Rng, data_bytes, floats

ALPHABETS = (
    "az",
    "äöß",
    "中文字漢",
    "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "a中é😀",
)
# Overlong, surrogate, too large, lone, short and unknown bytes: one of them makes a text invalid.
MISTAKES = (
    *(b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xfe"),
    *(b"\x80", b"\xbf", b"\xc3", b"\xe4\xb8", b"\xe4", b"\xf0\x9f\x98", b"\xf0", b"\xf8", b"\xc3\x28"),
    *(b"\xe2\x28\x8a", b"\xe2\x8a\x28", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc", b"\xf0\x90\x8c\x28"),
    b"\xc3\xa9\xa9",
)


def make_utf8_validate(size: int, rng: Rng, special: bool) -> list[Any]:
    """Text cut or filled to `size` bytes (a cut may break a character); `special`: a mistake in it."""
    letters = ALPHABETS[int(rng.integers(len(ALPHABETS)))]
    if rng.random() < 0.5:
        letters += "abcdefgh" * 4
    text = "".join(letters[i] for i in rng.integers(0, len(letters), size)).encode()[:size]
    while rng.random() < 0.8:
        try:
            text.decode()
            break
        except UnicodeDecodeError:
            text = text[:-1]
    data = bytearray(text.ljust(size, b"."))
    if special and size:
        mistake = MISTAKES[int(rng.integers(len(MISTAKES)))][:size]
        at = int(rng.choice([0, size - len(mistake), int(rng.integers(0, size - len(mistake) + 1))]))
        data[at : at + len(mistake)] = mistake
    return [np.frombuffer(bytes(data), np.uint8), size]


def utf8_validate(data: Array, n: int) -> Outcome:
    try:
        data.tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return 0, {}
    return 1, {}


def make_base64(size: int, rng: Rng, special: bool) -> list[Any]:
    return [data_bytes(size, rng), np.full(4 * -(-size // 3), 7, np.uint8), size]


def base64_encode(data: Array, out: Array, n: int) -> Outcome:
    text = base64.b64encode(data.tobytes())
    return len(text), {"out": np.frombuffer(text, np.uint8)}


def make_fnv1a64(size: int, rng: Rng, special: bool) -> list[Any]:
    return [data_bytes(size, rng), np.full(2, 7, np.uint32), size]


def fnv1a64(data: Array, out: Array, n: int) -> Outcome:
    value = 0xCBF29CE484222325
    for byte in data.tolist():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    low, high = value % 2**32, value // 2**32
    folded = low ^ high
    return folded - 2**32 if folded >= 2**31 else folded, {"hash": np.array([low, high], np.uint32)}


def make_edit_distance(size: int, rng: Rng, special: bool) -> list[Any]:
    """Two letters or all bytes; `special`: the second is the first with a few edits, so ends are shared."""
    high = 2 if rng.random() < 0.5 else 256
    a = rng.integers(0, high, size, np.uint8)
    b = rng.integers(0, high, int(rng.integers(0, size + 9)), np.uint8)
    if special:
        letters = a.tolist()
        for _ in range(int(rng.integers(0, 4))):
            at = int(rng.integers(0, len(letters) + 1))
            gone, come = rng.integers(0, 2, 2)
            letters[at : at + gone] = rng.integers(0, high, come).tolist()
        b = np.array(letters, np.uint8)
    return [a, a.size, b, b.size, np.full(2 * (a.size + b.size) + 64, 7, np.int32)]


def edit_distance(a: Array, m: int, b: Array, n: int, scratch: Array) -> Outcome:
    """Wagner and Fischer's recurrence; insertions along a row become a running minimum."""
    steps = np.arange(n + 1)
    row = steps
    for letter in a:
        best = np.minimum(row[1:] + 1, row[:-1] + (b != letter))
        best = np.concatenate([[row[0] + 1], best])
        row = np.minimum.accumulate(best - steps) + steps
    return int(row[n]), {}


def make_sort(size: int, rng: Rng, special: bool) -> list[Any]:
    """Any values, or `special`: sorted, reversed, few different, all equal, an organ pipe."""
    values = rng.integers(-(2**31), 2**31, size, np.int32)
    if special:
        up = np.sort(values)
        few = rng.choice(np.array([-(2**31), -1, 0, 1, 2**31 - 1], np.int32), size)
        pipe = np.concatenate([up[: size // 2], up[: size - size // 2][::-1]])
        values = [up, up[::-1].copy(), few, np.full(size, -3, np.int32), pipe][int(rng.integers(5))]
    return [values, np.full(size, 7, np.int32), size]


def sort(data: Array, scratch: Array, n: int) -> Outcome:
    return None, {"data": np.sort(data)}


def make_gather(size: int, rng: Rng, special: bool) -> list[Any]:
    entries = int(rng.integers(1, 17)) if rng.random() < 0.5 else int(rng.integers(17, 5000))
    index = rng.integers(0, entries, size, np.int32)
    return [floats(entries, rng, special), index, np.full(size, 7, np.float32), size, entries]


def gather(table: Array, index: Array, out: Array, n: int, entries: int) -> Outcome:
    return None, {"out": np.take(table, index)}


def make_filter(size: int, rng: Rng, special: bool) -> list[Any]:
    """`special`: NaN never passes, infinity always does, and values equal to the threshold do not."""
    values = floats(size, rng, special)
    threshold = float(rng.choice(np.array([-2, -0.9, 0, 0.9, 2], np.float32)))
    if special:
        values[rng.random(size) < 0.3] = threshold
    return [values, np.full(size, 7, np.float32), size, threshold]


def keep_above(values: Array, out: Array, n: int, threshold: float) -> Outcome:
    kept = values[np.greater(values, np.float32(threshold))]
    return kept.size, {"out": np.concatenate([kept, np.zeros(n - kept.size, np.float32)])}


TEXTS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200)
REFERENCES = {
    "utf8_validate": Reference(make_utf8_validate, utf8_validate),
    "base64": Reference(make_base64, base64_encode),
    "fnv1a64": Reference(make_fnv1a64, fnv1a64),
    "edit_distance": Reference(make_edit_distance, edit_distance, TEXTS, large=501),
    "sort": Reference(make_sort, sort),
    "gather": Reference(make_gather, gather),
    "filter": Reference(make_filter, keep_above),
}
