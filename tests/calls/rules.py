"""What a call must do, stated without looking at the product: lengths, domains, and how exact a result is.

Written from browser/EMBED.md's table and the kernels' summaries. `browser/EMBED.md` promises; this file checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tests.kernel_reference import Array
from tests.kernel_references import REFERENCES as CATALOGUE

Numbers = Mapping[str, Any]
TINY = 1e-30  # below this, single precision may round to zero or to a subnormal number
MOST = float(np.finfo(np.float32).max)


def _power(n: int) -> int:
    return 1 << (n.bit_length() - 1) if n > 0 else 0


N: Callable[[Numbers], int] = lambda v: v["n"]  # noqa: E731 (a table of formulas)
CELLS: Callable[[Numbers], int] = lambda v: v["rows"] * v["cols"]  # noqa: E731
SQUARE: Callable[[Numbers], int] = lambda v: v["n"] ** 2  # noqa: E731
PIXELS: Callable[[Numbers], int] = lambda v: v["width"] * v["height"]  # noqa: E731

# Of operators' kernels (own.py): the number that is a call's size.
REFERENCES = dict(CATALOGUE)  # and those of own kernels
SIZE_OF: dict[str, str] = {}
# How many elements of each array a call reads or writes.
EXTENTS: dict[str, dict[str, Callable[[Numbers], int]]] = {
    "argmax": {"values": N},
    "base64": {"bytes": N, "out": lambda v: 4 * -(-v["n"] // 3)},
    "black_scholes": {"spot": N, "strike": N, "years": N, "call": N},
    "conv3x3": {
        "image": PIXELS,
        "weights": lambda v: 9,
        "out": lambda v: max(v["width"] - 2, 0) * max(v["height"] - 2, 0),
    },
    "copy": {"from": N, "to": N},
    "crc32": {"data": N},
    "dot": {"a": N, "b": N},
    "edit_distance": {
        "a": lambda v: v["m"],
        "b": N,
        "scratch": lambda v: 2 * (v["m"] + v["n"]) + 64,
    },
    "fft": {"re": N, "im": N, "cosines": lambda v: _power(v["n"]), "sines": lambda v: _power(v["n"])},
    "filter": {"values": N, "out": N},
    "fnv1a64": {"bytes": N, "hash": lambda v: 2},
    "gather": {"table": lambda v: v["entries"], "index": N, "out": N},
    "hamming": {"a": N, "b": N},
    "histogram": {"data": N, "counts": lambda v: 256},
    "mandelbrot": {"counts": PIXELS},
    "matmul": {"a": SQUARE, "b": SQUARE, "c": SQUARE},
    "matvec": {"m": CELLS, "v": lambda v: v["cols"], "out": lambda v: v["rows"]},
    "memchr": {"data": N},
    "nbody": dict.fromkeys(("x", "y", "z", "mass", "ax", "ay", "az"), N),
    "prefix_sum": {"values": N, "out": N},
    "rgb_to_grey": {"pixels": lambda v: 4 * v["n"], "out": N},
    "saturating_add": {"a": N, "b": N, "out": N},
    "saxpy": {"x": N, "y": N, "out": N},
    "sieve": {"composite": lambda v: v["n"] + 1},
    "sort": {"data": N, "scratch": N},
    "strided_sum": {"values": lambda v: (v["n"] - 1) * v["stride"] + 1 if v["n"] else 0},
    "transpose": {"a": CELLS, "out": CELLS},
    "utf8_validate": {"bytes": N},
}
# Numbers with a range of their own; every other i32 is a count, from 0 on.
RANGES: dict[tuple[str, str], tuple[float, float]] = {("memchr", "wanted"): (0, 255)}
FINITE = {("mandelbrot", name) for name in ("left", "top", "step")}
# Kernels of single precision whose result is a sum: how far off it may be, relative to the sum of magnitudes.
RELATIVE = {
    "dot": 1e-4, "saxpy": 1e-6, "matvec": 1e-4, "matmul": 1e-4, "conv3x3": 1e-5, "strided_sum": 1e-4,
    "nbody": 1e-3, "fft": 1e-4, "black_scholes": 1e-4,
}  # fmt: skip
REPEATED = {"dot", "strided_sum", "matvec", "matmul", "nbody"}


@dataclass(frozen=True)
class Outcome:
    """What a call must give: an error's name, or the result and the written arrays with how exact each is."""

    error: str | None = None
    result: float | int | None = None
    result_bound: float = 0.0
    outputs: dict[str, tuple[Array, Array | float]] = field(default_factory=dict)  # by name: values, bound


def magnitudes(kernel: str, values: dict[str, Any]) -> dict[str, Any]:
    """The sum of the terms' magnitudes behind each result (`None` is the returned one), in doubles."""
    with np.errstate(all="ignore"):
        if kernel == "nbody":
            return _pulls(values)
        if kernel == "fft":
            n = _power(values["n"])
            total = float(np.sum(np.abs(values["re"][:n]).astype(float) + np.abs(values["im"][:n])))
            return {name: np.where(np.arange(values["n"]) < n, total, 0.0) for name in ("re", "im")}
        if kernel == "black_scholes":
            return {"call": values["spot"].astype(float) + values["strike"].astype(float)}
        absolute = {k: np.abs(v) if isinstance(v, np.ndarray | float) else v for k, v in values.items()}
        result, outputs = REFERENCES[kernel].compute(*absolute.values())
        return outputs if result is None else {"": result}


def _pulls(values: dict[str, Any]) -> dict[str, Any]:
    """Of every body's acceleration: the sum of the magnitudes that each other body adds."""
    places = np.stack([values[name] for name in "xyz"]).astype(np.float64)  # (3, n)
    apart = places[:, None, :] - places[:, :, None]
    cube = (np.sum(apart**2, axis=0) + 1e-2) ** 1.5
    pulls = np.sum(np.abs(values["mass"].astype(np.float64) * apart / cube), axis=2)
    return dict(zip(("ax", "ay", "az"), pulls, strict=True))


def bound_of(kernel: str, magnitude: Any) -> Any:
    """How far from the exact result single precision may be. What overflows in a kernel that JavaScript repeats is
    exact again; in the others a result may be anything where the terms leave single precision."""
    scale = np.asarray(magnitude, dtype=np.float64)
    with np.errstate(all="ignore"):
        bound = RELATIVE[kernel] * scale + TINY * 1e3
    fits = scale <= MOST / 4 if kernel not in REPEATED else np.ones(scale.shape, bool)
    return np.where(np.isfinite(scale) & fits, bound, math.inf)


def number_problem(kernel: str, name: str, kind: str, value: Any) -> str | None:
    """The error that a number must raise: TypeError if it is none, RangeError outside its range."""
    if isinstance(value, str) or value is None:
        return "TypeError"
    if kind in ("f32", "f64"):
        if (kernel, name) in FINITE and not math.isfinite(value):
            return "RangeError"
        return None
    low, high = RANGES.get((kernel, name), (0, 2**31 - 1))
    whole = math.isfinite(value) and float(value).is_integer()
    return None if whole and low <= value <= high else "RangeError"
