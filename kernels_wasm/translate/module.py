"""A function's JavaScript as modules: what the forge writes, and what the page runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePath

from kernels_wasm.translate import inputs, to_js
from kernels_wasm.translate.expressions import SourceError
from kernels_wasm.translate.source import Source, read

MOST_CHARACTERS = 20_000
TOO_DEEP = "line 1, column 1: this is nested too deeply; use variables for parts of it"


def script(source: Source) -> str:
    """The kernel's JavaScript: the baseline and the maker of inputs, as exports."""
    if source.script:
        return source.script
    origin = f"// From {PurePath(source.path).name} by `fleetune forge`.\n"
    return f"// @ts-check\n{origin}{to_js.program(source.program)}\n{inputs.make_input(source)}"


def candidates(code: str) -> list[str]:
    """What a script exports beside `makeInput`: `js`, perhaps `jsTuned`."""
    return re.findall(r"^export function (js|jsTuned)\(", code, re.MULTILINE)


def runnable(source: Source) -> str:
    """An expression of JavaScript: `makeInput`, and for each candidate a loop `(sets, iterations) => total`.

    The loops have source text of their own, as the benchmark's have (build/scripts.py), and set back what is changed in
    place before each call. In a function of its own no name of the source can meet one of the page's.
    """
    code = script(source)
    names = candidates(code)
    loops = "\n".join(_loop(source, name) for name in names)
    body = re.sub(r"^export (?=function )", "", code, flags=re.MULTILINE)
    table = ", ".join(f"{name}: $loop_{name}" for name in names)
    return f"(() => {{\n{body}\n{loops}\nreturn {{ makeInput, loops: {{ {table} }} }};\n}})()"


def _loop(source: Source, name: str) -> str:
    changed = [at for at, param in enumerate(source.params) if param.dir == "inout"]
    resets = " ".join(f"set.args[{at}].set(set.pristine[{at}]);" for at in changed)
    given = ", ".join(f"set.args[{at}]" for at in range(len(source.params)))
    call = f"{name}({given})"
    count = f"{call}; total += 1;" if source.program.main.returns == "void" else f"total += {call};"
    return (
        f"function $loop_{name}(sets, iterations) {{\n"
        "  let total = 0;\n"
        "  for (let i = 0, at = 0; i < iterations; i++) {\n"
        f"    const set = sets[at];\n    {resets}\n    {count}\n"
        "    at = at + 1 === sets.length ? 0 : at + 1;\n  }\n  return total;\n}"
    )


def translated(text: str) -> str:
    """What the page shows of a source, as JSON: `{problems}`, or the function's name, script and what runs it."""
    try:
        source = _read(text)
    except SourceError as error:
        return json.dumps({"problems": error.problems})
    return json.dumps(
        {
            "problems": [],
            "name": source.name,
            "script": script(source),
            "runnable": runnable(source),
            "sizes": source.sizes,
            "pattern": next(iter(source.patterns)),
        }
    )


def _read(text: str) -> Source:
    if len(text) > MOST_CHARACTERS:
        raise SourceError([f"line 1, column 1: {len(text)} characters; the page takes {MOST_CHARACTERS}"])
    try:
        source = read(text)
    except (RecursionError, MemoryError):
        raise SourceError([TOO_DEEP]) from None
    except ValueError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError([f"line 1, column 1: {error}; correct it"]) from None
    return replace(source, path=f"{source.name}.py")
