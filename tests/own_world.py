"""A kernel of an operator's own for tests: the sum of a vector, with its memory imported or brought along."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import httpx
from wasmtime import wat2wasm

from fleetune.context import Context, Environment
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune.packet import build

SCRIPT = """
export function js(values, n) { let sum = 0; for (let i = 0; i < n; i++) sum += values[i]; return sum; }
export const adapters = {
  twice(exports) { return (values, n) => exports.sum(values, n); },
  own(exports, memory) {
    const view = new Float32Array(memory.buffer, 1024, 1024);
    return (values, n) => {
      let total = 0;
      for (let at = 0; at < n; at += 1024) {
        const part = values.subarray(at, Math.min(at + 1024, n));
        view.set(part);
        total += exports.sum(1024, part.length);
      }
      return total;
    };
  },
};
export function makeInput(size, pattern, random) {
  return [Float32Array.from({ length: size }, () => Math.floor(8 * random())), size];
}
"""
_BODY = """
  (func (export "sum") (param $at i32) (param $n i32) (result f32) (local $total f32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $n)))
      (local.set $total (f32.add (local.get $total) (f32.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $next)))
    %s
    (local.get $total))
"""
_SIMD = "(drop (f32x4.add (f32x4.splat (local.get $total)) (f32x4.splat (local.get $total))))"
_WRONG = "(local.set $total (f32.add (local.get $total) (f32.const 1)))"
_ALLOCATOR = """
  (global $top (mut i32) (i32.const 70000))
  (func (export "take") (param $bytes i32) (result i32) (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $bytes)))
    (drop (memory.grow (i32.div_u (i32.add (local.get $bytes) (i32.const 65535)) (i32.const 65536))))
    (local.get $at))
"""


def module(memory: str = "imported", *, simd: bool = False, wrong: bool = False, data: str = "") -> bytes:
    """One build; `memory` is imported, exported, fixed (exported, cannot grow) or allocated."""
    parts = {
        "imported": '(import "env" "memory" (memory 1))',
        "exported": '(memory (export "memory") 1)',
        "fixed": '(memory (export "memory") 1 1)',
        "allocated": '(memory (export "memory") 2)' + _ALLOCATOR,
    }
    body = _BODY % (_SIMD if simd else _WRONG if wrong else "")
    text = wat2wasm(f"(module {parts[memory]} {data} {body})")
    assert isinstance(text, (bytes, bytearray))
    return bytes(text)


def description(**changes: Any) -> dict[str, Any]:
    """The TOML's values; a change to None takes the field away."""
    raw: dict[str, Any] = {
        "name": "own_sum",
        "family": "reductions",
        "summary": "Sum of a vector",
        "dtype": "f32",
        "script": "sum.js",
        "params": ["values: in f32[]", "n: i32"],
        "returns": "f32",
        "size": "n",
        "sizes": [4, 16, 64, 256, 1024, 4096],
        "patterns": ["random"],
        "tolerance": {"relative": 1e-5, "absolute": 0},
        "variants": [
            {"module": "sum.wasm", "export": "sum"},
            {
                "module": "sum.simd.wasm",
                "export": "sum",
                "optimisations": ["vectorization"],
                "features": ["simd"],
            },
        ],
    }
    return {key: value for key, value in (raw | changes).items() if value is not None}


def modules(memory: str = "imported") -> dict[str, bytes]:
    """Both builds by file name."""
    return {"sum.wasm": module(memory), "sum.simd.wasm": module(memory, simd=True)}


ENVIRONMENT = Environment("firefox", 153, "linux", True, True, False, "2-3")
CONTEXT = Context.of(256, "f32", "random", copied=False)


def predictions(client: httpx.Client, listing: dict[str, Any]) -> tuple[Model, dict[str, float]]:
    """The newest model, and what it says of the kernel's modules here, ln speedup."""
    kernel = Manifest.load(listing).kernels["own_sum"]
    newest = client.get("/api/model/latest", params={"version": 0}).json()
    model = Model.from_bytes(client.get(newest["url"]).content)
    names = tuple(kernel.variants)
    return model, dict(
        zip(names, model.predict(kernel, CONTEXT, ENVIRONMENT, names).mean.tolist(), strict=True)
    )


def reports(
    client: httpx.Client, listing: dict[str, Any], residual: Callable[[str], float], each: int = 1
) -> list[dict[str, Any]]:
    """Reports as browsers make them: `each` of every module, with residuals as given."""
    kernel = Manifest.load(listing).kernels["own_sum"]
    model, base = predictions(client, listing)
    day = int(time.time() // 86_400)
    return [
        build(
            kernel,
            CONTEXT,
            ENVIRONMENT,
            name,
            base[name],
            base[name] + residual(name),
            model.clip_at(kernel, ENVIRONMENT),
            2.0,
            model.version,
            day,
            os.urandom,
        ).to_wire()
        for _ in range(each)
        for name in base
    ]
