"""Kernels of operators' own, made from a number: every memory layout, names that mean something to JavaScript, modules
that write only a part, and JavaScript that returns what it should not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tests.calls.arguments import TYPED
from tests.calls.rules import EXTENTS, REFERENCES, SIZE_OF
from tests.kernel_reference import Array, Outcome, Reference, Rng
from tests.kernel_runner import DTYPES
from wasmtime import wat2wasm

from fleetune.manifest import Kernel, Manifest
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.spec import read_spec

PAGE = 65536
FACTOR_AT = 16  # where a module keeps the 2 that it multiplies by


@dataclass(frozen=True)
class Layout:
    """A module's memory: it uses the bytes below `used` itself, as stacks and statics are used, in every call."""

    text: str
    used: int
    description: dict[str, Any]
    body: str = ""
    first: str = ""  # what a call begins with


ALLOCATOR = """(global $top (mut i32) (i32.const 70000))
  (func (export "take") (param $bytes i32) (result i32) (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $bytes)))
    (drop (memory.grow (i32.div_u (i32.add (local.get $bytes) (i32.const 65535)) (i32.const 65536))))
    (local.get $at))"""
INITIALISED = """(global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.add (global.get $ready) (i32.const 1))))"""
ONCE = "(if (i32.ne (global.get $ready) (i32.const 1)) (then unreachable))"
LAYOUTS = {
    "imported": Layout('(import "env" "memory" (memory 1))', PAGE, {}),
    "imported, bounded": Layout('(import "env" "memory" (memory 1 256))', PAGE, {}),
    "imported, large": Layout('(import "env" "memory" (memory 17))', 17 * PAGE, {}),
    "imported, heap base": Layout(
        '(import "env" "memory" (memory 1)) (global (export "__heap_base") i32 (i32.const 5000))', 5000, {}
    ),
    "imported, dataEnd": Layout('(import "env" "memory" (memory 1))', 2000, {"dataEnd": 2000}),
    "exported": Layout('(memory (export "memory") 1)', PAGE, {"memory": {}}),
    "exported, empty": Layout('(memory (export "memory") 0)', 0, {"memory": {}}),
    "exported, scratch": Layout('(memory (export "memory") 1)', 4096, {"memory": {"scratch": 4096}}),
    "exported, allocator": Layout(
        '(memory (export "memory") 2)', 70000, {"memory": {"allocator": "take"}}, ALLOCATOR
    ),
    "exported, fixed": Layout('(memory (export "memory") 2 2)', 4096, {"memory": {"scratch": 4096}}),
    "exported, initialised": Layout('(memory (export "memory") 1)', PAGE, {"memory": {}}, INITIALISED, ONCE),
    "given arrays": Layout('(memory (export "memory") 2)', 4096, {"memory": {"arrays": True}}),
}
FORMS = ("doubled", "in place", "counted", "partly", "talkative")
RETURNS = ("f32", "i32", "u32", "f64")
# Words and objects of JavaScript, and what the generated code calls its own.
NAMES = (
    "scratch", "constructor", "js", "await", "class", "arguments", "eval", "at_n", "run", "arena", "hooks", "buffer",
    "result", "size", "p_n", "undefined", "NaN", "Math", "heaps", "call", "yield", "let", "static", "length",
    "fleetune", "prototype", "toString", "valueOf", "this", "new", "Infinity", "globalThis", "error", "heap",
)  # fmt: skip
KERNEL_NAMES = (
    "await",
    "class",
    "then",
    "default",
    "js",
    "arena",
    "eval",
    "arguments",
    "kernels",
    "own",
    "bind",
    "let",
)
OPTIMISATIONS = (
    "run",
    "default",
    "then",
    "await",
    "class",
    "arena",
    "jsTuned",
    "resident",
    "call",
    "undefined",
)
# By element type: load and store, type of the value, shift of an index.
ELEMENTS = {
    "i8": ("i32.load8_s", "i32.store8", "i32", 0), "u8": ("i32.load8_u", "i32.store8", "i32", 0),
    "i16": ("i32.load16_s", "i32.store16", "i32", 1), "u16": ("i32.load16_u", "i32.store16", "i32", 1),
    "i32": ("i32.load", "i32.store", "i32", 2), "u32": ("i32.load", "i32.store", "i32", 2),
    "f32": ("f32.load", "f32.store", "f32", 2), "f64": ("f64.load", "f64.store", "f64", 3),
}  # fmt: skip
COUNT = len(LAYOUTS) * len(FORMS)


@dataclass(frozen=True)
class Own:
    """One kernel: its package, and what it is for the generator."""

    layout: str
    form: str
    package: Package
    kernel: Kernel


@cache
def own_kernels() -> tuple[Own, ...]:
    """Every layout with every form; EXTENTS, REFERENCES and SIZE_OF know them from now on."""
    return tuple(_own(number) for number in range(COUNT))


def entries(kernels: Iterable[Own]) -> list[dict[str, Any]]:
    """As the server's manifest has them."""
    return [own.package.entry for own in kernels]


def write(kernels: Iterable[Own], root: Path) -> None:
    """What the server serves of them, below `root`."""
    for own in kernels:
        for path, data in own.package.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
    (root / "package.json").write_text('{"type": "module"}')


def _own(number: int) -> Own:
    rng = np.random.default_rng([20261130, number])
    layout, form = list(LAYOUTS)[number % len(LAYOUTS)], FORMS[number // len(LAYOUTS)]
    element = list(ELEMENTS)[number % len(ELEMENTS)]
    out, data, count = (str(name) for name in rng.permutation(NAMES)[:3])
    name = f"{KERNEL_NAMES[number % len(KERNEL_NAMES)]}{number // len(KERNEL_NAMES) or ''}"
    returns = RETURNS[number % len(RETURNS)] if form == "counted" else "void"
    arrays = {
        "in place": [f"{data}: inout {element}[{count}]"],
        "counted": [f"{data}: in {element}[{count}]"],
    }.get(form, [f"{data}: in {element}[{count}]", f"{out}: out {element}[{count}]"])
    shared = LAYOUTS[layout].description.get("memory") is None
    modules = {f"{k}.wasm": _module(layout, form, element, returns, k) for k in range(1 if shared else 2)}
    adapter = {"adapter": "copying"} if layout == "given arrays" else {}
    more = {"module": "1.wasm", "optimisations": [OPTIMISATIONS[number % len(OPTIMISATIONS)]], **adapter}
    raw = {
        "name": name, "family": "own", "summary": f"{form}, {layout}", "dtype": element, "script": "own.js",
        "params": [*arrays, f"{count}: i32"], "returns": returns, "size": count, "sizes": [1, 4, 16, 64, 256, 1024],
        "patterns": ["random"], "tolerance": {"relative": 1e-6, "absolute": 0},
        "variants": [{"module": "0.wasm", **adapter}, *([] if shared else [more])],
        **LAYOUTS[layout].description,
    }  # fmt: skip
    package = build(read_spec(raw, _script(form, element, len(arrays)), modules))
    loaded = Manifest.load({"schema": 1, "bundles": package.bundles, "kernels": [package.entry]})
    REFERENCES[name] = _reference(form, element, data, out)
    EXTENTS[name] = {param.split(":")[0]: lambda v: v[count] for param in arrays}
    SIZE_OF[name] = count
    return Own(layout, form, package, loaded.kernels[name])


def _module(layout: str, form: str, element: str, returns: str, number: int) -> bytes:
    """Overwrites what it uses, then works; `number` tells the variants' instructions apart."""
    load, store, value, shift = ELEMENTS[element]
    place = LAYOUTS[layout]
    at = f"(i32.shl (local.get $i) (i32.const {shift}))"
    given = f"({load} (i32.add (local.get $data) {at}))"
    two = f"({value}.load (i32.const {FACTOR_AT}))" if place.used else f"({value}.const 2)"
    target = "$data" if form == "in place" else "$out"
    work = f"({store} (i32.add (local.get {target}) {at}) ({value}.mul {two} {given}))"
    counted = returns != "void"
    if counted:
        one = f"(i32.add (local.get $count) ({value}.ne {given} ({value}.const 0)))"
        work = f"(local.set $count {one})"
    convert = {"f32": "f32.convert_i32_u", "f64": "f64.convert_i32_u"}.get(returns)
    result = {"u32": "i32"}.get(returns, returns)
    end = f"({convert} (local.get $count))" if convert else "(local.get $count)"
    out = "" if form in ("in place", "counted") else "(param $out i32)"
    stamp = f"""
      (loop $stamp (i32.store (local.get $i) (i32.const 0xA5A5A5A5))
        (local.set $i (i32.add (local.get $i) (i32.const 64)))
        (br_if $stamp (i32.lt_u (local.get $i) (i32.const {place.used - 4}))))
      ({value}.store (i32.const {FACTOR_AT}) ({value}.const 2))
      (local.set $i (i32.const 0))"""
    text = f"""(module {place.text} {place.body}
      (func (export "run") (param $data i32) {out} (param $n i32) {f"(result {result})" if counted else ""}
          (local $i i32) (local $count i32)
        {place.first} {"(drop (i32.const 0))" * number} {stamp if place.used else ""}
        (block $done (loop $next (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
          {work} (local.set $i (i32.add (local.get $i) (i32.const {1 + (form == "partly")}))) (br $next)))
        {end if counted else ""}))"""
    data = wat2wasm(text)
    assert isinstance(data, (bytes, bytearray))
    return bytes(data)


def _script(form: str, element: str, arrays: int) -> str:
    """JavaScript, inputs, and an adapter for modules that are given JavaScript's arrays."""
    array = TYPED[element]
    work = {
        "in place": "data[i] = 2 * data[i]", "counted": "count += data[i] !== 0 ? 1 : 0",
    }.get(form, "out[i] = 2 * data[i]")  # fmt: skip
    step = 2 if form == "partly" else 1
    end = {"counted": "return count;", "talkative": "return n;"}.get(form, "")
    both = ["data", "out"][:arrays]
    bytes_each = np.dtype(DTYPES[f"{element}[]"]).itemsize
    at = {name: f"8192 + {k} * n * {bytes_each}" for k, name in enumerate(both)}
    views = [f"const at_{name} = (({place}) + 63) & -64;" for name, place in at.items()]
    views += [f"new {array}(memory.buffer, at_{name}, n).set({name}.subarray(0, n));" for name in both]
    back = [f"{name}.set(new {array}(memory.buffer, at_{name}, n));" for name in both if form != "counted"]
    return f"""
export function js({", ".join(both)}, n) {{
  let count = 0;
  for (let i = 0; i < n; i += {step}) {work};
  {end}
}}
export function makeInput(size, pattern, random) {{
  const values = {array}.from({{ length: size }}, () => Math.floor(8 * random()));
  return [values, {f"new {array}(size), " * (arrays - 1)}size];
}}
export const adapters = {{
  copying: (exports, memory) => ({", ".join(both)}, n) => {{
    {" ".join(views)}
    const result = exports.run({", ".join(f"at_{name}" for name in both)}, n);
    {" ".join(back)}
    return result;
  }},
}};
"""


def _reference(form: str, element: str, data: str, out: str) -> Reference:
    dtype = DTYPES[f"{element}[]"]

    def make(size: int, rng: Rng, special: bool) -> list[Any]:
        values = rng.integers(-100, 100, size).astype(dtype)
        return [
            values,
            *([np.zeros(size, dtype)] if form in ("doubled", "partly", "talkative") else []),
            size,
        ]

    def compute(*given: Any) -> Outcome:
        values: Array = given[0]
        if form == "counted":
            return int(np.count_nonzero(values)), {}
        doubled = (values + values).astype(dtype)
        if form == "in place":
            return None, {data: doubled}
        step = slice(None, None, 2 if form == "partly" else 1)
        written: Array = given[1].copy()
        written[step] = doubled[step]
        return None, {out: written}

    return Reference(make, compute)
