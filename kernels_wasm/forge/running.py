"""Run a module in wasmtime on plain lists, and see that it writes nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import wasmtime
from kernels_wasm.forge.cases import DTYPES
from kernels_wasm.translate import ir

CANARY = bytes([0xA5]) * 64
PAGES = 64
Outcome = tuple[Any, list[Any]]


class StrayWriteError(Exception):
    """A module wrote outside the arrays that it may change; the message says where."""


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    return wasmtime.Engine(config)


ENGINE = _engine()


class Module:
    """One module with a memory of its own; arguments lie behind `data_end`."""

    def __init__(
        self,
        data: bytes,
        params: Sequence[ir.Param],
        returns: str,
        data_end: int,
        export: str = "run",
    ) -> None:
        self.params, self.returns, self.data_end = params, returns, -(-data_end // 64) * 64
        self.store = wasmtime.Store(ENGINE)
        limits = wasmtime.Limits(PAGES, None)
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(limits))
        instance = wasmtime.Instance(self.store, wasmtime.Module(ENGINE, data), [self.memory])
        run = instance.exports(self.store)[export]
        assert isinstance(run, wasmtime.Func)
        self.function = run

    def _reach(self, end: int) -> None:
        """Grow the memory where arguments need more."""
        short = end - self.memory.data_len(self.store)
        if short > 0:
            self.memory.grow(self.store, -(-short // 65536))

    def run(self, arguments: Sequence[Any], shift: int = 0) -> Outcome:
        """The result and the arrays that it may change; byte arrays lie `shift` off alignment.

        wasmtime.WasmtimeError or Trap if it fails, StrayWriteError if it wrote elsewhere."""
        at, values, placed = self.data_end, [], []
        for param, value in zip(self.params, arguments, strict=True):
            if not param.dir:
                values.append(value)
                continue
            data = array(param.element, value)
            at = -(-at // 16) * 16 + len(CANARY) + (shift if data.itemsize == 1 else 0)
            self._reach(at + data.nbytes + len(CANARY))
            self.memory.write(self.store, CANARY + data.tobytes() + CANARY, at - len(CANARY))
            values.append(at)
            placed.append((param, data, at))
            at += data.nbytes + len(CANARY)
        result = self.function(self.store, *values)
        if self.returns == "u32":
            result &= 0xFFFFFFFF
        outputs = []
        for param, data, place in placed:
            framed = bytes(
                self.memory.read(self.store, place - len(CANARY), place + data.nbytes + len(CANARY))
            )
            inside = framed[len(CANARY) : len(framed) - len(CANARY)]
            if not (framed.startswith(CANARY) and framed.endswith(CANARY)):
                raise StrayWriteError(f"wrote beside {param.name}")
            if param.dir == "in" and inside != data.tobytes():
                raise StrayWriteError(f"changed its input {param.name}")
            if param.dir in ("out", "inout"):
                outputs.append(np.frombuffer(inside, data.dtype))
        return result, outputs


def array(element: str, values: Any) -> Any:
    """The values as a NumPy array of the element type."""
    if isinstance(values, np.ndarray):
        return values
    with np.errstate(over="ignore"):
        wide = np.float64 if element in ("f32", "f64") else np.int64
        return np.array(values, dtype=wide).astype(DTYPES[element])


def difference(found: Outcome, expected: Outcome) -> tuple[float, float] | None:
    """None if equal bit for bit (any NaN equals any); else the greatest absolute and relative difference."""
    absolute = relative = 0.0
    same = True
    for one, other in zip([found[0], *found[1]], [expected[0], *expected[1]], strict=True):
        if one is None:
            continue
        a, b = np.atleast_1d(np.asarray(one)), np.atleast_1d(np.asarray(other))
        floats = a.dtype.kind == "f" or isinstance(one, float)
        nans = np.isnan(a) & np.isnan(b) if floats else np.zeros(a.shape, bool)
        equal = ((a == b) & (np.signbit(a) == np.signbit(b))) | nans if floats else a == b
        if equal.all():
            continue
        same = False
        with np.errstate(all="ignore"):
            gap = np.abs(a[~equal].astype(np.float64) - b[~equal].astype(np.float64))
            scale = np.abs(b[~equal].astype(np.float64))
        gap = np.where(np.isnan(gap), math.inf, gap)
        absolute = max(absolute, float(gap.max()))
        with np.errstate(all="ignore"):
            ratio = np.where(gap == 0, 0, gap / scale)
        relative = max(relative, float(np.where(np.isnan(ratio), math.inf, ratio).max()))
    return None if same else (absolute, relative)
