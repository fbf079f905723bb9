"""The generator: from a seed, calls and what each must do."""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from tests.calls import arguments
from tests.calls.arguments import TYPED, ArraySpec, Call
from tests.calls.rules import (
    EXTENTS,
    REFERENCES,
    RELATIVE,
    SIZE_OF,
    Outcome,
    bound_of,
    magnitudes,
    number_problem,
)
from tests.kernel_reference import Array, Rng
from tests.kernel_runner import DTYPES

from fleetune.manifest import Kernel

# What is wrong or unusual about a call; several have two turns, one even and one odd.
SCENARIOS = (
    "plain", "overlap", "short", "number", "buffers", "plain", "type", "overlap", "number", "short", "plain",
    "left out", "buffers", "plain",
)  # fmt: skip
BAD_NUMBERS: tuple[Any, ...] = (-1, -(2**31), 0.5, math.nan, "3", None)
ENDLESS: tuple[Any, ...] = (math.inf, 2**31, 2**40)  # calls that unchecked code would never end


def cases(kernels: list[Kernel], seed: int, endless: bool = True) -> Iterator[dict[str, Any]]:
    """Without end; every kernel in turn, and for each the scenarios in turn, so that any share has them all.
    `endless`: with counts that unchecked code would not come back from."""
    return (case(kernels, seed, number, endless) for number in itertools.count())


def case(kernels: list[Kernel], seed: int, number: int, endless: bool = True) -> dict[str, Any]:
    """The case of this number in `cases`."""
    bad = BAD_NUMBERS + (ENDLESS if endless else ())
    turn, at = divmod(number, len(kernels))
    return to_wire(_call(kernels[at], turn, np.random.default_rng([seed, number]), bad), number)


def _call(kernel: Kernel, turn: int, rng: Rng, bad: tuple[Any, ...]) -> Call:
    call = arguments.plain(kernel, rng)
    again, which = divmod(turn, len(SCENARIOS))
    if rng.random() < 0.5:
        arguments.longer(call, rng)
    if rng.random() < 0.3:
        arguments.shorter_count(call, rng)
    scenario = SCENARIOS[which]
    if scenario == "buffers":
        arguments.unusual_buffers(call, rng)
    elif scenario == "overlap":
        _overlap(call, rng)
    elif scenario == "type":
        _wrong_type(call, again, rng)
    elif scenario == "number":
        _bad_number(call, 2 * again + which % 2, rng, bad)
    elif scenario == "short":
        _too_short(call, 2 * again + which % 2, rng)
    elif scenario == "left out":
        _left_out(call)
    if kernel.dtype == "u8":
        arguments.clamped(call, rng)
    return call


def _overlap(call: Call, rng: Rng) -> None:
    """An argument that is another one, or lies across it."""
    arrays = list(call.arrays().items())
    written = [name for name, _ in arrays if _param(call, name).dir in ("out", "inout")]
    if not written:
        return
    name = str(rng.choice(written))
    others = [
        (at, other)
        for at, (p, other) in enumerate(zip(call.kernel.params, call.arguments, strict=True))
        if isinstance(other, ArraySpec) and p.name != name and p.type == _param(call, name).type
    ]
    if not others:
        return
    at, other = others[int(rng.integers(len(others)))]
    target = call.arrays()[name]
    if rng.random() < 0.5:
        size = max(other.values.size, target.values.size)
        other.values = _grown(other.values, size, rng)
        target.values, target.buffer, target.same = other.values, other.buffer, at
        call.tags.append(f"{name} is {_param_at(call, at)}")
    else:
        shift = int(rng.integers(0, max(other.values.size, 1) + 2))
        base = _grown(other.values, shift + target.values.size, rng)
        other.values, target.values = (
            base[: max(other.values.size, 1)],
            base[shift : shift + target.values.size],
        )
        target.buffer, target.at = other.buffer, other.at + shift * base.itemsize
        call.tags.append(f"{name} lies across {_param_at(call, at)}")
        arguments.classes(call, rng)


def _grown(values: Array, size: int, rng: Rng) -> Array:
    more = max(size - values.size, 0)
    return np.concatenate([values, np.resize(values, more) if values.size else np.ones(more, values.dtype)])


def _wrong_type(call: Call, turn: int, rng: Rng) -> None:
    names = list(call.arrays())
    name = names[turn % len(names)]
    spec = call.arrays()[name]
    kinds = [kind for kind in TYPED if TYPED[kind] != spec.type]
    kind = str(rng.choice(kinds))
    how = rng.random()
    if how < 0.15:
        spec.type = "Array"
    elif how > 0.85:
        spec.proxied = True
    else:
        size = spec.values.size
        spec.values, spec.type = np.resize(np.arange(7), size).astype(DTYPES[f"{kind}[]"]), TYPED[kind]
    call.tags.append(f"wrong type of {name}")


def _bad_number(call: Call, turn: int, rng: Rng, bad: tuple[Any, ...]) -> None:
    names = list(call.numbers())
    name = names[turn % len(names)]
    at = next(i for i, p in enumerate(call.kernel.params) if p.name == name)
    if call.kernel.name == "memchr" and name == "wanted":
        call.arguments[at] = (-1, 256, 300, 1.5)[int(rng.integers(4))]
    elif call.kernel.params[at].type in ("f32", "f64"):
        far = (-5.0, 1e9) if call.kernel.name == "black_scholes" else (math.inf, -math.inf)
        values: tuple[Any, ...] = ("0.5", None) if turn // len(names) % 2 else (math.nan, *far)
        call.arguments[at] = values[int(rng.integers(len(values)))]
    else:
        call.arguments[at] = bad[turn // len(names) % len(bad)]
        if call.arguments[at] is None and at == len(call.kernel.params) - 1:
            call.arguments[at] = -1
    call.tags.append(f"{name} is {call.arguments[at]}")


def _too_short(call: Call, turn: int, rng: Rng) -> None:
    """One array has fewer elements than the call needs: none, or one too few."""
    needs = {n: f(call.numbers()) for n, f in EXTENTS[call.kernel.name].items() if n in call.arrays()}
    able = [name for name, need in needs.items() if need > 0]
    if not able:
        return
    name = able[turn % len(able)]
    spec = call.arrays()[name]
    spec.values = spec.values[: 0 if rng.random() < 0.4 else needs[name] - 1]
    call.tags.append(f"{name} is too short")


def _left_out(call: Call) -> None:
    """The last count, where it is the first array's length."""
    last, first = call.kernel.params[-1], next(p for p in call.kernel.params if p.is_array)
    size = call.arrays()[first.name].values.size
    tables = EXTENTS[call.kernel.name].get("cosines")
    if tables and tables(call.numbers()) != tables({**call.numbers(), last.name: size}):
        return  # they were made for another count
    if last.name == SIZE_OF.get(call.kernel.name, "n") and all(
        spec.values.size >= EXTENTS[call.kernel.name][name]({**call.numbers(), last.name: size})
        for name, spec in call.arrays().items()
    ):
        call.arguments[-1] = size
        call.tags.append("left out")


def _param(call: Call, name: str) -> Any:
    return next(p for p in call.kernel.params if p.name == name)


def _param_at(call: Call, at: int) -> str:
    return call.kernel.params[at].name


def expected(call: Call) -> Outcome:
    """What the contract says: an error before anything is touched, or the reference's answer."""
    kernel, numbers = call.kernel, dict(call.numbers())
    errors = set()
    for param, value in zip(kernel.params, call.arguments, strict=True):
        if param.is_array:
            fits = value.type == TYPED[param.type.removesuffix("[]")]
            clamped = param.type == "u8[]" and value.type == "Uint8ClampedArray"
            if value.proxied or not (fits or clamped):
                errors.add("TypeError")
        elif problem := number_problem(kernel.name, param.name, param.type, value):
            errors.add(problem)
        elif kernel.name == "black_scholes" and param.type == "f32":
            low, high = (-1, 16) if param.name == "rate" else (0.001, 16)
            if not low <= np.float32(value) <= high:
                errors.add("RangeError")
    if errors:
        return Outcome("TypeError" if "TypeError" in errors else "RangeError")
    numbers = {name: int(v) if not isinstance(v, float) else v for name, v in numbers.items()}
    needs = {name: extent(numbers) for name, extent in EXTENTS[kernel.name].items()}
    if any(call.arrays()[name].values.size < need for name, need in needs.items()) or _tangled(call, needs):
        return Outcome("RangeError")
    return _answer(call, numbers, needs)


def _tangled(call: Call, needs: dict[str, int]) -> bool:
    """Two arrays that are both written may not share elements."""
    spans = [
        (spec.buffer, spec.at, spec.at + needs[name] * spec.values.itemsize)
        for name, spec in call.arrays().items()
        if _param(call, name).dir != "in"
    ]
    return any(
        a[0] == b[0] and max(a[1], b[1]) < min(a[2], b[2]) for i, a in enumerate(spans) for b in spans[:i]
    )


def _answer(call: Call, numbers: dict[str, Any], needs: dict[str, int]) -> Outcome:
    kernel, values = call.kernel, dict[str, Any](numbers)
    for name, spec in call.arrays().items():
        values[name] = spec.values[: needs[name]].copy()
    for param in kernel.params:
        if param.type == "f32":
            values[param.name] = float(np.float32(values[param.name]))
    ordered = {p.name: values[p.name] for p in kernel.params}
    with np.errstate(all="ignore"):
        result, outputs = REFERENCES[kernel.name].compute(*_inside_domain(kernel.name, ordered).values())
        if kernel.name == "black_scholes":
            outputs = {"call": np.where(priced(ordered), outputs["call"], np.nan)}
        if kernel.name not in RELATIVE:
            return Outcome(None, result, 0.0, {name: (array, 0.0) for name, array in outputs.items()})
        scale = magnitudes(kernel.name, ordered)
        if kernel.name == "black_scholes":
            deviation = values["volatility"] * np.sqrt(np.maximum(values["years"].astype(float), 1e-30))
            bounds: dict[str, Any] = {"call": (1e-4 + 4e-7 / deviation) * scale["call"] + 1e-20}
        else:
            bounds = {name: bound_of(kernel.name, scale[name]) for name in scale}
        if result is not None:
            return Outcome(None, result, float(bounds[""]), {})
        return Outcome(
            None, None, 0.0, {n: (a, np.broadcast_to(bounds[n], a.shape)) for n, a in outputs.items()}
        )


def priced(values: dict[str, Any]) -> Array:
    """Where an option has a price (EMBED.md): positive prices and years within bounds."""
    spot, strike, years = (values[name] for name in ("spot", "strike", "years"))
    rate = values["rate"]
    longest = np.float32(1000 if rate >= 0 else min(1000, 80 / -rate))
    ok = (years >= 2.0**-20) & (years <= longest)
    for price in (spot, strike):
        ok &= (price >= 2.0**-60) & (price <= 2.0**60)
    return np.asarray(ok)


def _inside_domain(kernel: str, values: dict[str, Any]) -> dict[str, Any]:
    """Arguments that the plain references can take: what lies outside is put right again in `_answer`."""
    if kernel == "black_scholes":
        ok = priced(values)
        return values | {name: np.where(ok, values[name], 1) for name in ("spot", "strike", "years")}
    if kernel == "gather":
        index, table = values["index"], values["table"]
        outside = (index < 0) | (index >= values["entries"])
        return values | {
            "table": np.append(table, np.float32(np.nan)),
            "index": np.where(outside, table.size, index),
        }
    return values


def to_wire(call: Call, number: int) -> dict[str, Any]:
    """One case as JSON: doubles and their bounds as base64 of f64."""
    outcome = expected(call)
    outputs = {
        name: {"values": _f64(values), "bound": _f64(np.broadcast_to(bound, np.shape(values)))}
        for name, (values, bound) in outcome.outputs.items()
    }
    return {
        "id": number,
        "kernel": call.kernel.name,
        "tags": call.tags,
        "args": [a.to_wire() if isinstance(a, ArraySpec) else {"number": _number(a)} for a in call.arguments],
        "leftOut": "left out" in call.tags,
        "error": outcome.error,
        "result": None if outcome.result is None else _number(outcome.result),
        "bound": _number(outcome.result_bound),
        "outputs": outputs,
        "needs": {} if outcome.error else {
            name: int(extent(call.numbers())) for name, extent in EXTENTS[call.kernel.name].items()
        },
    }  # fmt: skip


def _f64(values: Array) -> str:
    return base64.b64encode(np.asarray(values, dtype=np.float64).tobytes()).decode()


def _number(value: Any) -> Any:
    """JSON has no NaN, infinities or −0; a text is given as {"text"}, one left out as null."""
    if isinstance(value, str):
        return {"text": value}
    if value is None:
        return None
    value = float(value)
    if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
        return {"special": str(value).replace("inf", "Infinity").replace("nan", "NaN")}
    return value
