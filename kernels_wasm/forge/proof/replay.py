"""Run scalar and candidate in wasmtime on real inputs: what refutes must be seen to differ."""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import wasmtime
from kernels_wasm.build.catalogue import STACK_BYTES
from kernels_wasm.build.params import Param
from kernels_wasm.forge.proof.cases import FIRST_ARRAY, MEMORY, SPACING, WIDTHS, Spec
from kernels_wasm.forge.proof.domains import Numbers

Array = np.ndarray[Any, Any]
Inputs = dict[str, Any]  # arrays and numbers by parameter
DTYPES = {
    "i8": np.int8,
    "u8": np.uint8,
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
    "f32": np.float32,
    "f64": np.float64,
}
CANARY, FRAME = 0xA5, 64
BLOCK = 50  # calls whose inputs are drawn together
PLAIN = 0  # the style without specials, ties or extremes
FUEL = 30_000_000  # per call: a mutant may loop for ever


@dataclass(frozen=True)
class Difference:
    """Inputs on which the two modules disagree, and how."""

    numbers: Numbers
    inputs: Inputs
    what: str

    def as_dict(self) -> dict[str, Any]:
        """JSON: arrays as base64 of their bytes."""
        inputs = {
            name: {"dtype": str(value.dtype), "base64": base64.b64encode(value.tobytes()).decode()}
            if isinstance(value, np.ndarray)
            else value
            for name, value in self.inputs.items()
        }
        return {"numbers": self.numbers, "inputs": inputs, "what": self.what}


class Instance:
    """One module with a memory of its own, seen as bytes."""

    def __init__(self, engine: wasmtime.Engine, wasm: bytes) -> None:
        self.store = wasmtime.Store(engine)
        self.store.set_fuel(FUEL)
        pages = MEMORY // 65536
        memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(pages, pages)))
        module = wasmtime.Module(engine, wasm)
        run = wasmtime.Instance(self.store, module, [memory]).exports(self.store)["run"]
        assert isinstance(run, wasmtime.Func)
        self.engine, self.function, self.memory = engine, run, memory
        pointer = ctypes.cast(memory.data_ptr(self.store), ctypes.c_void_p)
        assert pointer.value is not None
        self.bytes: Array = np.ctypeslib.as_array((ctypes.c_uint8 * MEMORY).from_address(pointer.value))
        self.pristine = self.bytes.copy()

    def call(self, values: list[Any]) -> tuple[Any, str]:
        """The result, or what went wrong."""
        self.store.set_fuel(FUEL)
        try:
            return self.function(self.store, *values), ""
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            return None, str(error).strip().splitlines()[-1]


def make_engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_simd = config.wasm_relaxed_simd = True
    config.consume_fuel = True
    return wasmtime.Engine(config)


class Pair:
    """Scalar and candidate side by side. Raises WasmtimeError if the candidate is not a module."""

    def __init__(self, spec: Spec, scalar: bytes, candidate: bytes) -> None:
        self.spec = spec
        engine = make_engine()
        self.sides = (Instance(engine, scalar), Instance(engine, candidate))
        self.returned: tuple[Any, Any] = (None, None)  # by the last call of each

    def places(self, numbers: Numbers) -> list[tuple[Param, int, int]]:
        """Each array's parameter, first byte and elements: where the proof put them."""
        found = []
        start = FIRST_ARRAY
        for param in self.spec.params:
            if param.is_array:
                odd = WIDTHS[param.type.removesuffix("[]")] == 8
                found.append((param, start + odd, self.spec.domain.length(param.name, numbers)))
                start += SPACING
        return found

    def difference(
        self, numbers: Numbers, inputs: Inputs, *, exact: bool = False, thorough: bool = False
    ) -> str:
        """What differs after both ran on these inputs; empty if nothing does.

        `exact` compares floats bit by bit (NaN equals NaN), else within the tolerance; `thorough` looks at the
        whole memory for stray writes, else at the frames of the arrays.
        """
        places = self.places(numbers)
        results = []
        for side in self.sides:
            values: list[Any] = []
            starts = {param.name: (at, count) for param, at, count in places}
            if thorough:
                side.bytes[:] = side.pristine
            for param in self.spec.params:
                value = inputs[param.name]
                if not param.is_array:
                    values.append(value)
                    continue
                at, _ = starts[param.name]
                data = value.view(np.uint8)
                side.bytes[at - FRAME : at] = CANARY
                side.bytes[at : at + data.size] = data
                side.bytes[at + data.size : at + data.size + FRAME] = CANARY
                values.append(at)
            results.append(side.call(values))
        (expected, failed), (found, trapped) = results
        self.returned = expected, found
        if failed or trapped:
            return "" if failed else f"traps: {trapped}"
        if self.spec.returns != "void" and not self._same(
            np.array([expected], self._kind(self.spec.returns)),
            np.array([found], self._kind(self.spec.returns)),
            exact,
        ):
            return f"returns {found}, not {expected}"
        for param, at, count in places:
            if what := self._array(param, at, count, inputs[param.name], exact):
                return what
        return self._stray(places) if thorough else ""

    @staticmethod
    def _kind(name: str) -> Any:
        return {"u32": np.int64, "i32": np.int64}.get(name, DTYPES.get(name))

    def _same(self, a: Array, b: Array, exact: bool) -> bool:
        if a.dtype.kind != "f":
            return bool(np.array_equal(a, b))
        if exact:
            return bool(
                np.all((a.view(f"u{a.itemsize}") == b.view(f"u{a.itemsize}")) | (np.isnan(a) & np.isnan(b)))
            )
        if a.size == 0:
            return True
        spec = self.spec
        return bool(np.allclose(b, a, rtol=10 * spec.relative, atol=10 * spec.absolute, equal_nan=True))

    def _array(self, param: Param, at: int, count: int, given: Array, exact: bool) -> str:
        size = count * given.itemsize
        scalar, candidate = (side.bytes for side in self.sides)
        for frame in (slice(at - FRAME, at), slice(at + size, at + size + FRAME)):
            if not np.all(candidate[frame] == CANARY):
                return f"writes outside of {param.name}"
        after = candidate[at : at + size]
        if param.dir == "in":
            return "" if np.array_equal(after, given.view(np.uint8)) else f"changes its input {param.name}"
        if param.dir == "scratch":
            return ""
        expected = scalar[at : at + size].copy().view(given.dtype)
        found = after.copy().view(given.dtype)
        if self._same(expected, found, exact):
            return ""
        places = (k for k in range(count) if not self._same(expected[k : k + 1], found[k : k + 1], exact))
        place = next(places, 0)
        return f"{param.name}[{place}] is {found[place]}, not {expected[place]}"

    def spread(self, numbers: Numbers, runs: int, rng: np.random.Generator) -> float:
        """The largest absolute difference of a float result in `runs` calls on inputs from -1 to 1."""
        largest = 0.0
        for _ in range(runs):
            block = make_block(self.spec, numbers, rng, 1, style=PLAIN)
            inputs = {name: rows[0] for name, rows in block.items()}
            self.difference(numbers, inputs)
            pairs: list[tuple[tuple[Any, ...], str]] = [(self.returned, self.spec.returns)]
            for param, at, count in self.places(numbers):
                if param.dir in ("out", "inout"):
                    span = slice(at, at + count * WIDTHS[param.element] // 8)
                    views = tuple(side.bytes[span].view(DTYPES[param.element]) for side in self.sides)
                    pairs.append((views, param.element))
            for (scalar, candidate), kind in pairs:
                if kind.startswith("f") and np.size(scalar):
                    apart = np.abs(np.subtract(candidate, scalar, dtype=np.float64))
                    largest = max(largest, float(np.nanmax(apart, initial=0.0)))
        return largest

    def _stray(self, places: list[tuple[Param, int, int]]) -> str:
        candidate = self.sides[1]
        changed = candidate.bytes != candidate.pristine
        changed[:STACK_BYTES] = False
        for param, at, count in places:
            size = count * WIDTHS[param.type.removesuffix("[]")] // 8
            changed[at - FRAME : at + size + FRAME] = False
        wrong = np.flatnonzero(changed)
        return f"writes to address {wrong[0]}, which is no array's" if wrong.size else ""


SPECIALS: dict[Any, Array] = {
    np.float32: np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40], np.float32),
    np.float64: np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324], np.float64),
}


def make_inputs(spec: Spec, numbers: Numbers, rng: np.random.Generator) -> Inputs:
    """Arguments of one call, drawn anew: uniform, few different, extreme, constant; floats with specials."""
    return {name: rows[0] for name, rows in make_block(spec, numbers, rng, 1).items()}


def make_block(
    spec: Spec, numbers: Numbers, rng: np.random.Generator, rows: int, *, style: int | None = None
) -> Inputs:
    """`rows` calls of one style (drawn if None): each array as (rows, elements), each number as a list."""
    block: Inputs = {}
    style = int(rng.integers(5)) if style is None else style
    shared: Array | None = None
    for param in spec.params:
        dtype = DTYPES[param.element]
        if not param.is_array and param.name in numbers:
            block[param.name] = [numbers[param.name]] * rows
            continue
        count = spec.domain.length(param.name, numbers) if param.is_array else 1
        if param.name in spec.domain.values:
            maker = spec.domain.values[param.name]
            values = np.stack([maker(rng, count, numbers) for _ in range(rows)]).astype(dtype)
        elif param.name in spec.domain.limits:
            low, high = spec.domain.limits[param.name](numbers)
            values = rng.integers(low, high + 1, (rows, count)).astype(dtype)
        else:
            values = draw(dtype, rows * count, style, rng).reshape(rows, count)
        if param.is_array:
            block[param.name] = np.ascontiguousarray(values)
            shared = values if param.dir in ("in", "inout") else shared
            continue
        if shared is not None and shared.shape[1]:  # half of the numbers occur in the data
            there = shared[np.arange(rows), rng.integers(0, shared.shape[1], rows)].astype(dtype)
            values = np.where(rng.random(rows) < 0.5, there, values[:, 0])[:, None].astype(dtype)
        block[param.name] = values[:, 0].tolist()
    return block


def draw(dtype: Any, count: int, style: int, rng: np.random.Generator) -> Array:
    if np.dtype(dtype).kind == "f":
        values = rng.uniform(-1, 1, count).astype(dtype)
        if style == 1:  # ties
            values = (np.round(values * 4) / 4).astype(dtype)
        if style in (2, 3) and count:
            places = rng.random(count) < (0.1 if style == 2 else 0.5)
            values[places] = rng.choice(SPECIALS[dtype], int(places.sum()))
        return values
    info = np.iinfo(dtype)
    if style == 1:
        few = np.array([0, 1, info.max, info.min, info.max // 2 + 1], np.int64).astype(dtype)
        return rng.choice(few, count)
    if style == 2:
        return np.full(count, rng.integers(info.min, info.max, endpoint=True, dtype=dtype), dtype)
    if style == 3:
        return rng.integers(0, 4, count).astype(dtype)
    return rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)


def find_difference(
    pair: Pair, cases: list[Numbers], runs: int, seed: int, *, exact: bool = False
) -> Difference | None:
    """Try `runs` inputs in each case; the first that differs, after it differed a second time."""
    rng = np.random.default_rng(seed)
    for numbers in cases:
        for turn in range(runs):
            inputs = make_inputs(pair.spec, numbers, rng)
            what = pair.difference(numbers, inputs, exact=exact, thorough=turn < 2)
            if what and (again := pair.difference(numbers, inputs, exact=exact, thorough=True)):
                return Difference(dict(numbers), inputs, again)
    return None


def replays(
    spec: Spec, scalar: bytes, candidate: bytes, found: Mapping[str, Any], *, exact: bool = False
) -> str:
    """Run a difference that was stored as JSON again; what differs."""
    inputs = {
        name: np.frombuffer(base64.b64decode(value["base64"]), value["dtype"]).copy()
        if isinstance(value, Mapping)
        else value
        for name, value in found["inputs"].items()
    }
    return Pair(spec, scalar, candidate).difference(
        dict(found["numbers"]), inputs, exact=exact, thorough=True
    )
