"""References of every kernel: those below and the REFERENCES of each tests/kernel_references_<family>.py."""

from __future__ import annotations

import importlib
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from tests.kernel_reference import Array, Outcome, Reference, Rng, data_bytes, floats


def wide(values: Array) -> Array:
    return values.astype(np.float64)


def make_dot(size: int, rng: Rng, special: bool) -> list[Any]:
    return [floats(size, rng, special), floats(size, rng, False), size]


def dot(a: Array, b: Array, n: int) -> Outcome:
    with np.errstate(invalid="ignore"):
        return float(np.sum(wide(a) * wide(b))), {}


def make_saxpy(size: int, rng: Rng, special: bool) -> list[Any]:
    factor = float(np.float32(rng.uniform(0.5, 2)))
    x, y = floats(size, rng, special), floats(size, rng, special)
    return [factor, x, y, np.zeros(size, np.float32), size]


def saxpy(a: float, x: Array, y: Array, out: Array, n: int) -> Outcome:
    with np.errstate(invalid="ignore"):
        return None, {"out": a * wide(x) + wide(y)}


def make_matvec(size: int, rng: Rng, special: bool) -> list[Any]:
    rows, cols = int(rng.integers(0, size + 1)), size
    out = np.zeros(rows, np.float32)
    return [floats(rows * cols, rng, special), floats(cols, rng, False), out, rows, cols]


def matvec(m: Array, v: Array, out: Array, rows: int, cols: int) -> Outcome:
    with np.errstate(invalid="ignore"):
        return None, {"out": np.array([np.sum(row) for row in wide(m).reshape(rows, cols) * wide(v)])}


def make_matmul(size: int, rng: Rng, special: bool) -> list[Any]:
    cells = size * size
    return [floats(cells, rng, False), floats(cells, rng, False), np.full(cells, 7, np.float32), size]


def matmul(a: Array, b: Array, c: Array, n: int) -> Outcome:
    return None, {"c": (wide(a).reshape(n, n) @ wide(b).reshape(n, n)).ravel()}


def make_conv3x3(size: int, rng: Rng, special: bool) -> list[Any]:
    width, height = size, int(rng.integers(0, size + 3))
    out = np.zeros(max(width - 2, 0) * max(height - 2, 0), np.float32)
    return [floats(width * height, rng, special), floats(9, rng, False), out, width, height]


def conv3x3(image: Array, weights: Array, out: Array, width: int, height: int) -> Outcome:
    total = np.zeros((max(height - 2, 0), max(width - 2, 0)))
    rows, cols = total.shape
    if total.size:
        pixels = wide(image).reshape(height, width)
        with np.errstate(invalid="ignore"):
            for dy in range(3):
                for dx in range(3):
                    total += pixels[dy : dy + rows, dx : dx + cols] * float(weights[3 * dy + dx])
    return None, {"out": total.ravel()}


def make_prefix_sum(size: int, rng: Rng, special: bool) -> list[Any]:
    return [rng.integers(-(2**31), 2**31, size, np.int32), np.zeros(size, np.int32), size]


def prefix_sum(values: Array, out: Array, n: int) -> Outcome:
    return None, {"out": np.cumsum(values, dtype=np.int64).astype(np.int32)}


def make_memchr(size: int, rng: Rng, special: bool) -> list[Any]:
    """Few different bytes, so that hits and words with several hits occur; `special`: no hit at all."""
    data = rng.choice(np.array([0, 1, 127, 128, 129, 255], np.uint8), size)
    if special:
        data[data == 128] = 129
    elif size > 64 and rng.random() < 0.5:
        data[: size - 20] = 7
    return [data, 128, size]


def memchr(data: Array, wanted: int, n: int) -> Outcome:
    return data.tobytes().find(bytes([wanted])), {}


def make_crc32(size: int, rng: Rng, special: bool) -> list[Any]:
    return [data_bytes(size, rng), size]


def crc32(data: Array, n: int) -> Outcome:
    return zlib.crc32(data.tobytes()), {}


def make_histogram(size: int, rng: Rng, special: bool) -> list[Any]:
    data = np.full(size, 200, np.uint8) if special else data_bytes(size, rng)
    return [data, np.full(256, 9, np.uint32), size]


def histogram(data: Array, counts: Array, n: int) -> Outcome:
    return None, {"counts": np.bincount(data, minlength=256).astype(np.uint32)}


def make_copy(size: int, rng: Rng, special: bool) -> list[Any]:
    return [data_bytes(size, rng), np.zeros(size, np.uint8), size]


def copy(source: Array, to: Array, n: int) -> Outcome:
    return None, {"to": source}


def make_argmax(size: int, rng: Rng, special: bool) -> list[Any]:
    values = floats(size, rng, special)
    if rng.random() < 0.5:  # ties
        values = np.round(values * 4) / np.float32(4)
    return [np.sort(values) if rng.random() < 0.2 else values, size]


def argmax(values: Array, n: int) -> Outcome:
    best, at = -math.inf, -1
    for index, value in enumerate(values.tolist()):
        if value > best:
            best, at = value, index
    return at, {}


def make_strided_sum(size: int, rng: Rng, special: bool) -> list[Any]:
    stride = int(rng.integers(1, 18))
    return [floats(size * stride, rng, special), size, stride]


def strided_sum(values: Array, n: int, stride: int) -> Outcome:
    with np.errstate(invalid="ignore"):
        return float(np.sum(wide(values[::stride]))), {}


def make_transpose(size: int, rng: Rng, special: bool) -> list[Any]:
    rows, cols = size, int(rng.integers(0, size + 5))
    return [floats(rows * cols, rng, special), np.zeros(rows * cols, np.float32), rows, cols]


def transpose(a: Array, out: Array, rows: int, cols: int) -> Outcome:
    return None, {"out": a.reshape(rows, cols).T.ravel()}


SIDES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 33)
REFERENCES = {
    "dot": Reference(make_dot, dot),
    "saxpy": Reference(make_saxpy, saxpy),
    "matvec": Reference(make_matvec, matvec, SIDES, large=131),
    "matmul": Reference(make_matmul, matmul, SIDES, large=67),
    "conv3x3": Reference(make_conv3x3, conv3x3, SIDES, large=131),
    "prefix_sum": Reference(make_prefix_sum, prefix_sum),
    "memchr": Reference(make_memchr, memchr),
    "crc32": Reference(make_crc32, crc32),
    "histogram": Reference(make_histogram, histogram),
    "copy": Reference(make_copy, copy),
    "argmax": Reference(make_argmax, argmax),
    "strided_sum": Reference(make_strided_sum, strided_sum, large=5003),
    "transpose": Reference(make_transpose, transpose, SIDES, large=131),
}
for path in sorted(Path(__file__).parent.glob("kernel_references_*.py")):
    REFERENCES |= importlib.import_module(f"tests.{path.stem}").REFERENCES
