"""Run a catalogue module through wasmtime: arguments in, result and changed arrays out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import wasmtime
from kernels_wasm.build.builder import ROOT
from tests.kernel_reference import Array, Outcome

from fleetune.manifest import Kernel, Manifest, Variant

DIST = ROOT / "dist"
DTYPES = {
    f"{short}[]": np.dtype(full)
    for short, full in {
        "i8": "int8",
        "u8": "uint8",
        "i16": "int16",
        "u16": "uint16",
        "i32": "int32",
        "u32": "uint32",
        "f32": "float32",
        "f64": "float64",
    }.items()
}
CANARY = bytes([0xA5]) * 32  # around every array: a write outside shows


@cache
def manifest() -> Manifest:
    return Manifest.load((DIST / "manifest.json").read_bytes())


@cache
def bundle(name: str) -> bytes:
    return (DIST / manifest().bundles[name].path).read_bytes()


def module_bytes(variant: Variant) -> bytes:
    return bundle(variant.bundle)[variant.offset : variant.offset + variant.size]


@cache
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    return wasmtime.Engine(config)


class Instance:
    """One instantiated variant with a memory of its own."""

    def __init__(self, kernel: Kernel, variant: Variant) -> None:
        self.kernel = kernel
        self.store = wasmtime.Store(engine())
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(64, 64)))
        module = wasmtime.Module(engine(), module_bytes(variant))
        run = wasmtime.Instance(self.store, module, [self.memory]).exports(self.store)["run"]
        assert isinstance(run, wasmtime.Func)
        self.function = run

    def run(self, arguments: list[Any], shift: int = 0) -> Outcome:
        """Call it, with byte arrays `shift` off alignment; canaries and `in` arrays must not change."""
        at, values, placed = self.kernel.data_end, [], []
        for parameter, value in zip(self.kernel.params, arguments, strict=True):
            if not parameter.is_array:
                values.append(value)
                continue
            assert value.dtype == DTYPES[parameter.type], parameter
            at = -(-at // 16) * 16 + len(CANARY) + (shift if value.dtype.itemsize == 1 else 0)
            framed = CANARY + value.tobytes() + CANARY
            self.memory.write(self.store, framed, at - len(CANARY))
            values.append(at)
            placed.append((parameter, value, at))
            at += value.nbytes + len(CANARY)
        result = self.function(self.store, *values)
        if self.kernel.returns == "u32":
            result &= 0xFFFFFFFF
        outputs: dict[str, Array] = {}
        for parameter, value, place in placed:
            framed = bytes(
                self.memory.read(self.store, place - len(CANARY), place + value.nbytes + len(CANARY))
            )
            assert framed.startswith(CANARY), f"wrote before {parameter.name}"
            assert framed.endswith(CANARY), f"wrote past {parameter.name}"
            data = framed[len(CANARY) : len(framed) - len(CANARY)]
            if parameter.dir == "in":
                assert data == value.tobytes(), f"changed its input {parameter.name}"
            elif parameter.dir != "scratch":
                outputs[parameter.name] = np.frombuffer(data, value.dtype)
        return result, outputs


def assert_close(kernel: Kernel, found: Outcome, expected: Outcome) -> None:
    """Equal within the manifest's tolerance; NaN equals NaN, infinities must match."""

    def check(actual: Any, desired: Any, what: str) -> None:
        np.testing.assert_allclose(
            actual, desired, rtol=kernel.relative_tolerance, atol=kernel.absolute_tolerance, err_msg=what
        )

    if expected[0] is not None:
        check(found[0], expected[0], f"{kernel.name} result")
    assert found[1].keys() == expected[1].keys()
    for name, array in expected[1].items():
        check(found[1][name], array, f"{kernel.name}.{name}")
