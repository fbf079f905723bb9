"""The generated checks of a call's arguments (browser/EMBED.md, "What a call must keep to").

One short test in the entry covers calls whose arrays come from `alloc`, whole: their mark says element type and memory,
and two of them share elements only if they are the same. Everything else goes through the long form, which throws
(web/shared/arguments.js), fills in a count that was left out, and gives a candidate copies of inputs that
lie across what is written: every candidate reads its inputs as they were before the call.
"""

from __future__ import annotations

import json

from kernels_wasm.build.binder import arrays_of, marked
from kernels_wasm.build.catalogue import KernelRow
from kernels_wasm.build.params import FINITE, RANGES, Param, js_length, js_number

CONSTRUCTORS = {
    "i8": "Int8Array", "u8": "Uint8Array", "i16": "Int16Array", "u16": "Uint16Array", "i32": "Int32Array",
    "u32": "Uint32Array", "f32": "Float32Array", "f64": "Float64Array",
}  # fmt: skip


def _numbers(kernel: KernelRow) -> list[Param]:
    return [param for param in kernel.params if not param.is_array]


def number_test(param: Param) -> str:
    """Whether a number is of its type and in its range."""
    name = param.js
    least, most = RANGES.get(param.type, (-FINITE, FINITE))
    if param.type in RANGES:
        parts = [f"({name} {'|' if param.type == 'i32' else '>>>'} 0) === {name}"]
    else:
        parts = [_is_number(param)]
        if param.low is not None and (param.low, param.high) == (least, most):
            return f"{parts[0]} && {name} - {name} === 0"
    if param.low is not None and param.low > least:
        parts.append(f"{name} >= {js_number(param.low)}")
    if param.high is not None and param.high < most:
        parts.append(f"{name} <= {js_number(param.high)}")
    return " && ".join(parts)


def _is_number(param: Param) -> str:
    """Before it is rounded, which would make a number of a text."""
    return f'typeof {param.js} === "number"'


def rounded(kernel: KernelRow) -> str:
    """Numbers as a module takes them, so that JavaScript computes with the same."""
    rounding = {"f32": "Math.fround({0})", "f64": "+{0}"}
    return "".join(
        f"{p.js} = {rounding[p.type].format(p.js)}; " for p in _numbers(kernel) if p.type in rounding
    )


def fast_test(kernel: KernelRow) -> str:
    """Whether a call is all right at first sight: marked arrays, long enough, none twice, numbers in range."""
    arrays = arrays_of(kernel)
    parts = [marked(param) for param in arrays]
    lengths = {param.length for param in arrays}
    # A range of single precision holds for the rounded number: the long form decides at its ends.
    parts += [_fast_number_test(p, p.name in lengths) for p in _numbers(kernel)]
    parts += [f"{js_length(p)} <= {p.js}.length" for p in arrays if p.length]
    parts += [
        f"{one.js} !== {other.js}"
        for one, other in _pairs(kernel)
        if one.element == other.element and not kernel.in_place
    ]
    return " && ".join(parts)


def _fast_number_test(param: Param, bounded: bool) -> str:
    """`bounded`: no more than the elements of an array of `alloc`, of which a GiB has fewer than 2³¹. Then one
    comparison says that a count is whole and not negative; the shorter entry saved Firefox up to 3 ns a call."""
    if bounded and param.type == "i32" and (param.low, param.high) == (0, RANGES["i32"][1]):
        return f"({param.js} >>> 0) === {param.js}"
    return number_test(param)


def _pairs(kernel: KernelRow) -> list[tuple[Param, Param]]:
    """Every two arrays of which one is written, that one second."""
    arrays = arrays_of(kernel)
    found = []
    for k, other in enumerate(arrays):
        for one in arrays[:k]:
            if one.written or other.written:
                found.append((one, other) if other.written else (other, one))
    return found


def slow_checks(kernel: KernelRow) -> list[str]:
    """The statements of the long form."""
    arrays, last = arrays_of(kernel), kernel.params[-1]
    lines = []
    for param in arrays:
        words = f"{param.js}, {json.dumps(param.name)}, {json.dumps(param.element)}"
        # A Proxy shows a constructor too.
        test = f"!ArrayBuffer.isView({param.js}) || {param.js}.constructor !== {CONSTRUCTORS[param.element]}"
        lines.append(f"if ({test}) {param.js} = $rules.plainArray({words});")
    if last.name == kernel.size and not last.is_array:
        lines.append(f"if ({last.js} === undefined) {last.js} = {arrays[0].js}.length;")
    floats = [param for param in _numbers(kernel) if param.type not in RANGES]
    lines += [f"if (!({_is_number(param)})) {_refusal(param)}" for param in floats]
    lines += [text for text in (rounded(kernel).strip(),) if text]
    bounded = [p for p in _numbers(kernel) if p not in floats or p.low is not None or p.high is not None]
    lines += [f"if (!({number_test(param)})) {_refusal(param)}" for param in bounded]
    for param in (p for p in arrays if p.length):
        lines.append(
            f"if (!({js_length(param)} <= {param.js}.length)) "
            f"$rules.checkLength({param.js}, {json.dumps(param.name)}, {js_length(param)});"
        )
    return lines + _apart(kernel)


def _refusal(param: Param) -> str:
    """Throws, and says why a number is none or outside its range."""
    least, most = RANGES.get(param.type, (-FINITE, FINITE))
    low, high = (js_number(x if x is not None else y) for x, y in ((param.low, least), (param.high, most)))
    whole = "true" if param.type in RANGES else "false"
    return f"$rules.checkNumber({param.js}, {json.dumps(param.name)}, {whole}, {low}, {high});"


def _apart(kernel: KernelRow) -> list[str]:
    pairs = _pairs(kernel)
    involved = {param.name: param for pair in pairs for param in pair}.values()
    lines = [f"const {', '.join(f'in_{p.name} = {p.js}.buffer' for p in involved)};"] if pairs else []
    copied: dict[str, str] = {}
    for one, other in pairs:
        spans = f"{one.js}, {js_length(one)}, {other.js}, {js_length(other)}"
        test = f"in_{one.name} === in_{other.name} && $rules.across({spans})"
        if one.written:
            words = f"{json.dumps(one.name)}, {json.dumps(other.name)}"
            lines.append(f"if ({test}) $rules.refuseShared({words});")
            continue
        if kernel.in_place and one.element == other.element:
            test = f"{one.js} !== {other.js} && {one.js}.byteOffset !== {other.js}.byteOffset && {test}"
        copied[one.js] = f"{copied[one.js]} || {test}" if one.js in copied else test  # "&&" binds first
    # After every refusal: nothing is copied for a call that throws.
    return lines + [f"if ({test}) {name} = {name}.slice();" for name, test in copied.items()]
