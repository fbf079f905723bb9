"""The generated function that calls one module: pointers for arrays in its memory, copies of the others.

Arrays that `alloc` marked take a few comparisons and no more text than engines inline. All that copies lies in a
function of its own. When a module traps, or its memory was detached, JavaScript makes the call (`hooks.failed`) with
the arrays as they were: results are copied out only after the module returned, and the arrays that an operator's
module writes in shared memory are kept first. Modules of the catalogue cannot trap: tests/test_attack.py looks for
instructions that could, and every address follows from lengths that the dispatcher has checked.
"""

from __future__ import annotations

import re

from kernels_wasm.build.catalogue import KernelRow
from kernels_wasm.build.params import ARRAYS, Param, js_length

POWER = "const $power = (n) => (n > 0 ? 2 ** (31 - Math.clz32(n)) : 0);"
_RETURNS = {"void": "", "u32": ">>> 0", "i32": "| 0"}


def tag(kernel: KernelRow, name: str) -> str:
    """An identifier of a candidate's own, for functions and stack traces."""
    return re.sub(r"\W", "_", f"{kernel.name}_{name}")


def names(kernel: KernelRow) -> str:
    """The parameters as generated code calls them."""
    return ", ".join(param.js for param in kernel.params)


def arrays_of(kernel: KernelRow) -> list[Param]:
    """The array parameters, in order."""
    return [param for param in kernel.params if param.is_array]


def marks(kernel: KernelRow, source: str) -> str:
    """The marks of this kernel's element types (web/shared/arena.js). `var`: each read of a closure's `const` would be
    checked, which costs SpiderMonkey time and bytecode."""
    kinds = sorted({param.element for param in arrays_of(kernel)})
    return f"var {', '.join(f'${kind} = {source}.{kind}' for kind in kinds)};"


def marked(param: Param) -> str:
    """Whether `alloc` gave an array: of this type, in this memory."""
    return f"{param.js}.fleetune === ${param.element}"


def given(kernel: KernelRow, variant: str) -> str:
    """For an adapter that takes JavaScript's arrays and copies as it likes."""
    written = [p for p in arrays_of(kernel) if p.written]
    keep = " ".join(f"const kept_{p.name} = {p.js}.slice();" for p in written)
    restore = " ".join(f"{p.js}.set(kept_{p.name});" for p in written)
    return (
        f"function bind_{tag(kernel, variant)}(run, arena, hooks) {{\n"
        f"  return function {tag(kernel, variant)}({names(kernel)}) {{\n    {keep}\n    try {{\n"
        f"      {_returned(kernel, f'run({names(kernel)})')}\n    }} catch (error) {{\n"
        f"      {restore}\n      return hooks.failed(error, {names(kernel)});\n    }}\n  }};\n}}"
    )


def _returned(kernel: KernelRow, call: str) -> str:
    """What a module's call gives, as the declared type. A module that returns nothing gives V8 something unknown."""
    if kernel.returns == "void":
        return f"{call};\n      return;"
    return f"return {call} {_RETURNS.get(kernel.returns, '')};".replace(" ;", ";")


def binder(kernel: KernelRow, variant: str, *, own: bool) -> str:
    """`(run, arena, hooks, $outside) => call`, with the argument order of the kernel's JavaScript. A call whose first
    array lies outside the kernel's memory goes to `$outside`, if given. `call.resident` takes marked arrays only, and
    does not look again."""
    name, arrays = tag(kernel, variant), arrays_of(kernel)
    pointers = ", ".join(f"{p.js}.byteOffset" if p.is_array else p.js for p in kernel.params)
    inside = " && ".join(marked(p) for p in arrays)
    return (
        f"function bind_{name}(run, arena, hooks, $outside) {{\n"
        f"  {marks(kernel, 'arena.marks')}\n"
        f"  function $copying({names(kernel)}) {{\n    {_lines(_copying(kernel, own))}\n  }}\n"
        f"  function {name}({names(kernel)}) {{\n    {_lines(_resident(kernel, pointers, own))}\n  }}\n"
        f"  const $call = ({names(kernel)}) => {inside} ? {name}({names(kernel)}) : $copying({names(kernel)});\n"
        f"  $call.resident = {name};\n  return $call;\n}}"
    )


def _lines(lines: list[str]) -> str:
    return "\n    ".join(lines)


def _resident(kernel: KernelRow, pointers: str, own: bool) -> list[str]:
    """All arrays lie in the memory. Only an operator's module may trap."""
    call = _call(kernel, f"run({pointers})")
    if not own:
        return call
    written = [p for p in arrays_of(kernel) if p.dir in ("out", "inout")]
    return [
        *(f"const kept_{p.name} = {p.js}.slice();" for p in written),
        "try {",
        *call,
        "} catch (error) {",
        *(f"{p.js}.set(kept_{p.name});" for p in written),
        f"return hooks.failed(error, {names(kernel)});",
        "}",
    ]


def _call(kernel: KernelRow, call: str, after: tuple[str, ...] = ()) -> list[str]:
    """The call, what comes after it, and its result; JavaScript repeats it where single precision overflowed."""
    repeat = f"return hooks.repeated({names(kernel)});"
    if kernel.returns != "void":
        suffix = f" {_RETURNS[kernel.returns]}" if kernel.returns in _RETURNS else ""
        last = f"return result - result === 0 ? result : hooks.repeated({names(kernel)});"
        return [f"const result = {call}{suffix};", *after, last if kernel.recounted else "return result;"]
    lines = [f"{call};", *after]
    if kernel.recounted:
        outs = [p for p in arrays_of(kernel) if p.dir == "out"]
        lines.append("let finite = 0;")
        for p in outs:
            value = f"{p.js}[i]"
            lines.append(f"for (let i = 0, end = {js_length(p)}; i < end; i++) finite += {value} - {value};")
        lines.append(f"if (finite !== 0) {repeat}")
    return [*lines, "return;"]


def _copying(kernel: KernelRow, own: bool) -> list[str]:
    """A call with some arrays outside the kernel's memory."""
    arrays, first = arrays_of(kernel), arrays_of(kernel)[0]
    lines = ["let buffer = arena.buffer, at = arena.scratch;"]
    for param in arrays:
        name, bytes_each = param.name, ARRAYS[param.element]
        lines.append(
            f"const size_{name} = {js_length(param)}, in_{name} = {param.js}.buffer === buffer; "
            f"let at_{name} = in_{name} ? {param.js}.byteOffset : 0;"
        )
        if param is first:
            lines.append(f"if ($outside && !in_{name}) return $outside({names(kernel)});")
        end = f"at + size_{name} * {bytes_each}"
        lines.append(
            f"if (!in_{name}) {{ if ({end} > arena.end && !arena.reach({end})) return hooks.large({names(kernel)}); "
            f"at_{name} = at; at = ({end} + 63) & -64; }}"
        )
    lines.append("const heaps = arena.heaps;")
    # An operator's module may write only part of an array: what it leaves must be the caller's.
    taken = [p for p in arrays if p.dir in ("in", "inout") or (own and p.dir == "out")]
    # A detached array has no elements, but `set` would throw.
    copies = [
        f"if (!in_{p.name} && size_{p.name}) heaps.{p.element}.set({_part(p)}, {_index(p)});" for p in taken
    ]
    back = [
        f"if (!in_{p.name} && size_{p.name}) {p.js}.set("
        f"heaps.{p.element}.subarray({_index(p)}, ({_index(p)}) + size_{p.name}));"
        for p in arrays
        if p.dir in ("out", "inout")
    ]
    call = _call(
        kernel,
        f"run({', '.join(f'at_{p.name}' if p.is_array else p.js for p in kernel.params)})",
        tuple(back),
    )
    kept = [p for p in arrays if own and p.dir in ("out", "inout")]
    keep = [f"const kept_{p.name} = in_{p.name} && {p.js}.slice();" for p in kept]
    restore = [f"if (kept_{p.name}) {p.js}.set(kept_{p.name});" for p in kept]
    failed = f"return hooks.failed(error, {names(kernel)});"
    return [*lines, *keep, "try {", *copies, *call, "} catch (error) {", *restore, failed, "}"]


def _part(param: Param) -> str:
    """As many elements of an array as the call is about."""
    size = f"size_{param.name}"
    if not param.length:
        return param.js
    return f"{size} === {param.js}.length ? {param.js} : {param.js}.subarray(0, {size})"


def _index(param: Param) -> str:
    """Of an address, in elements."""
    return f"at_{param.name} >> {ARRAYS[param.element].bit_length() - 1}"
