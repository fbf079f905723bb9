"""Very many differential runs: a small WebAssembly loop makes the calls, memories are compared whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import wasmtime
from kernels_wasm.forge.proof.cases import FIRST_ARRAY, MEMORY, SPACING, WIDTHS, Spec
from kernels_wasm.forge.proof.domains import Numbers
from kernels_wasm.forge.proof.replay import (
    CANARY,
    DTYPES,
    FRAME,
    FUEL,
    Difference,
    Instance,
    Pair,
    make_block,
)

CALLS = 50  # in one loop
ARGUMENTS, ROW = MEMORY - 65536, 128  # a row of eight bytes for each argument, of each call
RESULTS = MEMORY - 32768
TYPES = {"i32": "i32", "u32": "i32", "f32": "f32", "f64": "f64"}


def driver_text(spec: Spec) -> str:
    """A module whose `calls` runs `run` for each row of arguments and stores the results."""
    kinds = ["i32" if p.is_array else TYPES[p.type] for p in spec.params]
    result = "" if spec.returns == "void" else f"(result {TYPES[spec.returns]})"
    loads = " ".join(
        f"({kind}.load offset={ARGUMENTS + 8 * k} (local.get $row))" for k, kind in enumerate(kinds)
    )
    call = f"(call $run {loads})"
    if result:
        call = f"({TYPES[spec.returns]}.store offset={RESULTS} (local.get $place) {call})"
    return f"""(module
      (import "m" "memory" (memory 1))
      (import "m" "run" (func $run (param {" ".join(kinds)}) {result}))
      (func (export "calls") (param $count i32) (local $row i32) (local $place i32)
        (loop $next
          {call}
          (local.set $row (i32.add (local.get $row) (i32.const {ROW})))
          (local.set $place (i32.add (local.get $place) (i32.const 8)))
          (local.set $count (i32.sub (local.get $count) (i32.const 1)))
          (br_if $next (local.get $count)))))"""


class Sweep:
    """Two modules and their loops."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.spec = pair, pair.spec
        self.loops = [self._loop(side) for side in pair.sides]

    def _loop(self, side: Instance) -> wasmtime.Func:
        module = wasmtime.Module(side.engine, bytes(wasmtime.wat2wasm(driver_text(self.spec))))
        side.store.set_fuel(FUEL)
        loop = wasmtime.Instance(side.store, module, [side.memory, side.function]).exports(side.store)[
            "calls"
        ]
        assert isinstance(loop, wasmtime.Func)
        return loop

    def run(self, numbers: Numbers, runs: int, rng: np.random.Generator, *, exact: bool) -> Difference | None:
        """The first inputs on which the modules differ."""
        for first in range(0, runs, CALLS):
            count = min(CALLS, runs - first)
            drawn = make_block(self.spec, numbers, rng, count)
            if not self._same(drawn, count, exact):
                for turn in range(count):
                    inputs = {name: rows[turn] for name, rows in drawn.items()}
                    if what := self.pair.difference(numbers, inputs, exact=exact, thorough=turn == 0):
                        return Difference(dict(numbers), inputs, what)
        return None

    def _same(self, drawn: dict[str, Any], count: int, exact: bool) -> bool:
        """Whether all calls returned and left the same, and none trapped; floats may be rounded unless `exact`."""
        table = np.zeros((count, ROW), np.uint8)
        images = []
        for k, param in enumerate(self.spec.params):
            column = table[:, 8 * k : 8 * k + 8]
            if not param.is_array:
                values = np.array(drawn[param.name], DTYPES[param.type])
                column[:, : values.itemsize] = values.view(np.uint8).reshape(count, -1)
                continue
            start = FIRST_ARRAY + SPACING * sum(p.is_array for p in self.spec.params[:k])
            rows = drawn[param.name]
            data = rows.view(np.uint8).reshape(count, -1) if rows.size else np.zeros((count, 0), np.uint8)
            slot = -(-(data.shape[1] + 2 * FRAME) // 16) * 16
            if slot * count > SPACING:
                return False
            odd = int(WIDTHS[param.element] == 8)
            image = np.full((count, slot), CANARY, np.uint8)
            image[:, FRAME + odd : FRAME + odd + data.shape[1]] = data
            images.append(
                (slice(start, start + image.size), image.ravel(), param.element if param.written else "u8")
            )
            places = (start + FRAME + odd + slot * np.arange(count)).astype(np.int32)
            column[:, :4] = places.view(np.uint8).reshape(count, 4)
        for side, loop in zip(self.pair.sides, self.loops, strict=True):
            side.bytes[ARGUMENTS : ARGUMENTS + table.size] = table.ravel()
            for span, image, _ in images:
                side.bytes[span] = image
            side.store.set_fuel(FUEL)
            try:
                loop(side.store, count)
            except (wasmtime.Trap, wasmtime.WasmtimeError):
                return False
        result = slice(RESULTS, RESULTS + 8 * count)
        spans = [*((span, kind) for span, _, kind in images), (result, self.spec.returns)]
        return all(self._close(span, kind, exact) for span, kind in spans)

    def _close(self, span: slice, kind: str, exact: bool) -> bool:
        a, b = (side.bytes[span] for side in self.pair.sides)
        if exact or not kind.startswith("f") or np.array_equal(a, b):
            return bool(np.array_equal(a, b))
        scalar, candidate = (x.view(DTYPES[kind]) for x in (a, b))
        spec = self.spec
        with np.errstate(invalid="ignore"):
            return bool(
                np.allclose(
                    candidate, scalar, rtol=10 * spec.relative, atol=10 * spec.absolute, equal_nan=True
                )
            )
