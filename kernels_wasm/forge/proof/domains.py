"""What a kernel's arguments may be: the cases that are proved for each n, beside `n` itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Maker = Callable[[np.random.Generator, int, Any], np.ndarray[Any, Any]]  # generator, elements, numbers
Numbers = dict[str, int]


def just_n(n: int) -> Iterable[Numbers]:
    return ({"n": n},)


@dataclass(frozen=True)
class Domain:
    """`cases(n)` gives the known numbers of each call; number parameters that it leaves out are symbolic.

    `most` is the largest n worth trying. `lengths` gives an array's elements from them (default: n); `limits`
    bounds the elements of an index array.
    """

    cases: Callable[[int], Iterable[Numbers]] = just_n
    lengths: Mapping[str, Callable[[Numbers], int]] = field(default_factory=dict)
    limits: Mapping[str, Callable[[Numbers], tuple[int, int]]] = field(default_factory=dict)
    values: Mapping[str, Maker] = field(
        default_factory=dict
    )  # inputs that a test tries, where any will not do
    note: str = "every n up to N"
    most: int = 64  # the largest n worth trying: work grows faster than n where arrays have two sides

    def length(self, array: str, numbers: Numbers) -> int:
        return self.lengths[array](numbers) if array in self.lengths else numbers["n"]


def sides(a: str, b: str) -> Callable[[int], Iterable[Numbers]]:
    """Two sides of up to n: square, and both long and narrow shapes."""

    def cases(n: int) -> Iterable[Numbers]:
        pairs = {(n, n), (n, n // 2 + 1), (n // 2 + 1, n)} if n else {(0, 0), (0, 3), (3, 0)}
        return ({a: x, b: y} for x, y in sorted(pairs))

    return cases


def within(low: float, high: float) -> Maker:
    return lambda rng, count, _: rng.uniform(low, high, count)


def twiddles(part: str) -> Maker:
    """The FFT's tables: entry h + j is exp(-pi i j / h)."""

    def make(rng: np.random.Generator, count: int, numbers: Any) -> np.ndarray[Any, Any]:
        table = np.zeros(count)
        for stage in range(count.bit_length() - 1):
            h = 1 << stage
            table[h : 2 * h] = getattr(np.exp(-1j * np.pi * np.arange(h) / h), part)
        return table

    return make


def power(n: int) -> int:
    return 1 << (n.bit_length() - 1) if n else 0


SIDES_NOTE = "for n up to N: n by n, n by n/2+1 and n/2+1 by n"
DOMAINS = {
    "matvec": Domain(
        sides("rows", "cols"),
        {"m": lambda k: k["rows"] * k["cols"], "v": lambda k: k["cols"], "out": lambda k: k["rows"]},
        note=SIDES_NOTE,
        most=34,
    ),
    "matmul": Domain(
        lengths=dict.fromkeys("abc", lambda k: k["n"] ** 2),
        values=dict.fromkeys("ab", within(-1, 1)),
        most=32,
    ),
    "transpose": Domain(
        sides("rows", "cols"),
        dict.fromkeys(("a", "out"), lambda k: k["rows"] * k["cols"]),
        note=SIDES_NOTE,
        most=40,
    ),
    "conv3x3": Domain(
        lambda n: ({"width": n, "height": h} for h in (2, 3, 4, 5, 6)),
        {
            "image": lambda k: k["width"] * k["height"],
            "weights": lambda k: 9,
            "out": lambda k: max(k["width"] - 2, 0) * max(k["height"] - 2, 0),
        },
        note="every width up to N with heights 2 to 6",
        most=32,
    ),
    "strided_sum": Domain(
        lambda n: ({"n": n, "stride": s} for s in (1, 2, 3, 7)),
        {"values": lambda k: k["n"] * k["stride"]},
        note="every n up to N with strides 1, 2, 3 and 7",
    ),
    "rgb_to_grey": Domain(lengths={"pixels": lambda k: 4 * k["n"]}),
    "base64": Domain(lengths={"bytes": lambda k: k["n"], "out": lambda k: -(-k["n"] // 3) * 4}),
    "fnv1a64": Domain(lengths={"hash": lambda k: 2}),
    "histogram": Domain(lengths={"counts": lambda k: 256}, most=32),
    "sieve": Domain(lengths={"composite": lambda k: k["n"] + 1}, most=256),
    "fft": Domain(
        lengths={"cosines": lambda k: power(k["n"]), "sines": lambda k: power(k["n"])},
        values={
            "cosines": twiddles("real"),
            "sines": twiddles("imag"),
            **dict.fromkeys(("re", "im"), within(-1, 1)),  # what is multiplied by zero must be finite
        },
    ),
    "black_scholes": Domain(
        values={
            **dict.fromkeys(("spot", "strike"), within(10, 100)),
            "years": within(0.1, 10),
            "rate": within(0, 0.1),
            "volatility": within(0.1, 0.6),
        }
    ),
    "gather": Domain(
        lambda n: ({"n": n, "entries": e} for e in (1, 5, 16, 17)),
        {"table": lambda k: k["entries"]},
        {"index": lambda k: (0, k["entries"] - 1)},
        note="every n up to N with 1, 5, 16 and 17 entries",
    ),
    "edit_distance": Domain(
        lambda n: ({"m": n, "n": n}, {"m": n // 2 + 1, "n": n}),
        {"a": lambda k: k["m"], "b": lambda k: k["n"], "scratch": lambda k: 2 * (k["m"] + k["n"]) + 64},
        most=8,
    ),
    "mandelbrot": Domain(
        lambda n: ({"width": n, "height": h, "limit": m} for h, m in ((1, 3), (2, 1), (1, 0))),
        {"counts": lambda k: k["width"] * k["height"]},
        values={"left": within(-2, 0.5), "top": within(-1, 1), "step": within(0.001, 0.1)},
        note="every width up to N, one row with limit 3 and 0, two rows with limit 1",
        most=16,
    ),
    "nbody": Domain(values=dict.fromkeys(("x", "y", "z", "mass"), within(-1, 1)), most=24),
}
