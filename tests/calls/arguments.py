"""Adversarial arguments: values of every magnitude, arrays longer than they need be, views at odd places."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tests.calls.rules import EXTENTS, REFERENCES, SIZE_OF
from tests.kernel_reference import Array, Rng
from tests.kernel_runner import DTYPES

from fleetune.manifest import Kernel

TYPED = {
    "i8": "Int8Array", "u8": "Uint8Array", "i16": "Int16Array", "u16": "Uint16Array", "i32": "Int32Array",
    "u32": "Uint32Array", "f32": "Float32Array", "f64": "Float64Array",
}  # fmt: skip
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40, 3.4e38, -3.4e38], np.float32)
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 100, 129, 257)
LONG = (1025, 30_000)  # past the blocks that sums are made in
LONG_KERNELS = ("dot", "strided_sum")
SIDES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17)
SIDED = ("matmul", "matvec", "conv3x3", "transpose", "mandelbrot")
BUFFER_KINDS = ("plain", "shared", "resizable", "growable")


@dataclass
class ArraySpec:
    """One array argument: its elements, and where it lies in a buffer that others may share."""

    values: Array
    type: str  # the JavaScript constructor
    buffer: int = -1  # which buffer; the same number twice: two views of one
    at: int = 0  # byte in that buffer, behind its first canary
    kind: str = "plain"
    same: int | None = None  # the very same object as that argument
    own: bool = False  # of a class with methods and properties of its own
    proxied: bool = False  # a Proxy of one

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "data": base64.b64encode(self.values.tobytes()).decode(),
            "length": int(self.values.size),
            "buffer": self.buffer,
            "at": self.at,
            "kind": self.kind,
            "same": self.same,
            "own": self.own,
            "proxied": self.proxied,
        }


@dataclass
class Call:
    """One call of a kernel before anything is expected of it."""

    kernel: Kernel
    arguments: list[Any]  # ArraySpec, a number, a text, or None for one that is left out
    tags: list[str] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        rows = zip(self.kernel.params, self.arguments, strict=True)
        return {p.name: value for p, value in rows if not p.is_array}

    def arrays(self) -> dict[str, ArraySpec]:
        rows = zip(self.kernel.params, self.arguments, strict=True)
        return {p.name: value for p, value in rows if isinstance(value, ArraySpec)}


def plain(kernel: Kernel, rng: Rng) -> Call:
    """A call within the contract: from the reference's own maker, then values of other magnitudes."""
    sizes = SIDES if kernel.name in SIDED else SIZES
    if kernel.name in LONG_KERNELS and rng.random() < 0.2:
        return _long(kernel, int(rng.choice(LONG)), int(rng.integers(1, 3)))
    made = REFERENCES[kernel.name].make(int(rng.choice(sizes)), rng, bool(rng.random() < 0.3))
    call = Call(kernel, [])
    for index, (param, value) in enumerate(zip(kernel.params, made, strict=True)):
        if isinstance(value, np.ndarray):
            kind = param.type.removesuffix("[]")
            call.arguments.append(ArraySpec(value.copy(), TYPED[kind], buffer=index))
        else:
            call.arguments.append(value * 1.0000001 if param.type == "f32" else value)
    if kernel.dtype == "f32" and kernel.name != "black_scholes" and rng.random() < 0.6:
        _magnitudes(call, rng)
    for param, value in zip(kernel.params, call.arguments, strict=True):
        if isinstance(value, ArraySpec) and param.dir in ("out", "scratch") and value.values.size:
            value.values[:] = _noise(value.values, rng)
    if kernel.name == "gather" and rng.random() < 0.4:
        _outside(call, rng)
    if kernel.name == "black_scholes" and rng.random() < 0.4:
        _unpriced(call, rng)
    if kernel.name == "edit_distance":
        numbers = call.numbers()
        call.arrays()["scratch"].values = np.zeros(EXTENTS["edit_distance"]["scratch"](numbers), np.int32)
    return call


def _long(kernel: Kernel, n: int, stride: int) -> Call:
    """A sum of many equal terms, which rounds the same way each time."""
    if kernel.name == "dot":
        arrays = [np.full(n, 0.1, np.float32), np.ones(n, np.float32)]
        return Call(
            kernel, [*(ArraySpec(a, TYPED["f32"], buffer=i) for i, a in enumerate(arrays)), n], ["long"]
        )
    values = np.full((n - 1) * stride + 1, 0.1, np.float32)
    return Call(kernel, [ArraySpec(values, TYPED["f32"], buffer=0), n, stride], ["long"])


def _noise(values: Array, rng: Rng) -> Array:
    if values.dtype.kind == "f":
        return rng.uniform(-100, 100, values.size).astype(values.dtype)
    info = np.iinfo(values.dtype)
    return rng.integers(info.min, info.max, values.size, values.dtype, endpoint=True)


def _magnitudes(call: Call, rng: Rng) -> None:
    """Sums far from zero, products that leave single precision, the smallest numbers, and everything mixed."""
    how = str(rng.choice(["biased", "tiny", "large", "wide", "far", "special"]))
    call.tags.append(how)
    for param, value in zip(call.kernel.params, call.arguments, strict=True):
        if not isinstance(value, ArraySpec) or param.dir not in ("in", "inout") or param.type != "f32[]":
            continue
        if param.name in ("cosines", "sines"):
            continue
        value.values = _values(how, value.values.size, rng).astype(np.float32)


def _values(how: str, n: int, rng: Rng) -> Array:
    if how == "biased":
        return np.full(n, 0.1)
    if how == "tiny":
        return rng.uniform(-1, 1, n) * 1e-38
    if how == "large":
        return np.full(n, 1e19)
    if how == "wide":
        return rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-38, 38, n)
    if how == "far":
        return 7.4e12 * (1 + rng.uniform(-1, 1, n))
    return np.where(rng.random(n) < 0.1, rng.choice(SPECIAL, n), rng.uniform(-1, 1, n))


def _outside(call: Call, rng: Rng) -> None:
    call.tags.append("index outside")
    index, entries = call.arrays()["index"].values, call.numbers()["entries"]
    if index.size:
        where = rng.integers(0, index.size, 1 + index.size // 4)
        index[where] = rng.choice(
            np.array([-1, entries, entries + 5, 2**31 - 1, -(2**31)], np.int32), where.size
        )


def _unpriced(call: Call, rng: Rng) -> None:
    call.tags.append("no price")
    for name in ("spot", "strike", "years"):
        values = call.arrays()[name].values
        if values.size:
            values[int(rng.integers(values.size))] = rng.choice(
                np.array([-1, 0, np.nan, np.inf, -np.inf, 1e-40, 1e30], np.float32)
            )


def longer(call: Call, rng: Rng) -> None:
    """Arrays with more elements than the call is about, full of what must stay."""
    call.tags.append("longer")
    for param, value in zip(call.kernel.params, call.arguments, strict=True):
        if isinstance(value, ArraySpec) and rng.random() < 0.8:
            more = np.zeros(int(rng.integers(1, 40)), DTYPES[param.type])
            more[:] = _noise(more, rng)
            value.values = np.concatenate([value.values, more])


def shorter_count(call: Call, rng: Rng) -> None:
    """The same arrays, but the call is about fewer elements."""
    names = (SIZE_OF.get(call.kernel.name, "n"), "rows", "height")
    name = next(name for name in names if name in call.numbers())
    at = next(i for i, p in enumerate(call.kernel.params) if p.name == name)
    call.tags.append("n below the length")
    call.arguments[at] = int(rng.integers(0, call.arguments[at] + 1))


def unusual_buffers(call: Call, rng: Rng) -> None:
    """Shared and resizable buffers, and views that begin at odd places."""
    call.tags.append("unusual buffers")
    for value in call.arrays().values():
        value.kind = str(rng.choice(BUFFER_KINDS))
        value.at = int(rng.integers(0, 5)) * value.values.itemsize
    classes(call, rng)


def classes(call: Call, rng: Rng) -> None:
    """Arrays of classes with methods of their own, as Node's Buffer has them."""
    if rng.random() < 0.4:
        call.tags.append("own class")
        for value in call.arrays().values():
            value.own = True


def clamped(call: Call, rng: Rng) -> None:
    """Image data comes as Uint8ClampedArray."""
    for value in call.arrays().values():
        if value.type == "Uint8Array" and rng.random() < 0.7:
            value.type = "Uint8ClampedArray"
            call.tags.append("clamped")
