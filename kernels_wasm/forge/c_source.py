"""A function in C with a kernel's description and JavaScript beside it, as `fleetune kernels init` writes them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from kernels_wasm.build.params import Param, ParamError, complete, read_param
from kernels_wasm.build.scripts import read_text
from kernels_wasm.translate import ir
from kernels_wasm.translate.expressions import SourceError
from kernels_wasm.translate.source import Source, evaluated

NEEDED = ("name", "family", "summary", "params", "returns", "size", "sizes", "tolerance")


def load(path: Path) -> Source:
    """`sum.c` with `sum.toml` and `sum.js`; SourceError says what is missing or cannot be used."""
    description, script = path.with_suffix(".toml"), path.with_suffix(".js")
    missing = [f"there is no {p.name} beside it; fleetune kernels init writes one" for p in (description, script)
               if not p.is_file()]  # fmt: skip
    if missing:
        raise SourceError(missing)
    try:
        table = tomllib.loads(read_text(description))
    except tomllib.TOMLDecodeError as error:
        raise SourceError([f"{description.name}: {error}"]) from None
    if absent := [key for key in NEEDED if key not in table]:
        raise SourceError([f"{description.name}: {key} is missing" for key in absent])
    try:
        params = complete([read_param(text) for text in table["params"]], table["size"])
    except ParamError as error:
        raise SourceError([f"{description.name}: {error}"]) from None
    return _source(path, table, params, read_text(script))


def _source(path: Path, table: dict[str, Any], params: tuple[Param, ...], script: str) -> Source:
    function = ir.Function(
        table["name"], tuple(ir.Param(p.name, p.type, p.dir) for p in params), table["returns"], ()
    )
    factors = table["size"].split(" * ")
    problems = []
    ranges: dict[str, tuple[float, float]] = {}
    for param in params:
        if param.is_array:
            try:
                evaluated(param.length or table["size"], dict.fromkeys((p.name for p in params), 1))
            except (ValueError, SyntaxError):
                problems.append(f"the length of {param.name} must be made of numbers, + - * and parentheses")
        elif param.name not in factors and param.low is not None and param.high is not None:
            if param.type in ir.INTEGERS and param.high - param.low > 1 << 30:
                problems.append(
                    f"say which values {param.name} takes, such as '{param.name}: {param.type} 1..16'"
                )
            ranges[param.name] = param.low, param.high
    if problems:
        raise SourceError(problems)
    rows = table.get("variants", [{}])
    return Source(
        str(path), read_text(path), ir.Program((), function), table["summary"], table["family"], table["size"],
        tuple(table["sizes"]), {p.name: p.length for p in params if p.length}, ranges,
        patterns={name: {} for name in table.get("patterns", ["random"])},
        tolerance=(float(table["tolerance"]["relative"]), float(table["tolerance"]["absolute"])),
        script=script, export=rows[0].get("export", table["name"]), in_c=True,
    )  # fmt: skip
