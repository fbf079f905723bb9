"""A function means the same in CPython, in JavaScript and in WebAssembly, or ends with an error in all three."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from hypothesis import HealthCheck, Phase, given, settings
from kernels_wasm.forge import cases, running, to_c
from kernels_wasm.forge.compiling import Compiler, a_compiler
from kernels_wasm.forge.rewrites import FIXED
from kernels_wasm.translate import to_js
from kernels_wasm.translate.expressions import SourceError
from kernels_wasm.translate.source import Source, read, run
from tests.forge_programs import programs

SCRIPT = Path(__file__).with_name("forge_node.mjs")
FAILED = "failed"


class Node:
    """A Node process that runs one generated function after another."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("node"), SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, source: Source, arguments: list[Any]) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        given: list[Any] = []
        for param, value in zip(source.params, arguments, strict=True):
            if param.dir:
                data = running.array(param.element, value).tobytes()
                kind = to_js.ARRAYS[param.element]
                given.append({"type": kind, "data": base64.b64encode(data).decode()})
            else:
                given.append(
                    {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(value), repr(value))
                )
        request = {"code": to_js.program(source.program), "arguments": given}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            assert answer["error"] == "RangeError: division by 0", answer["error"]
            return FAILED
        result = answer["result"] if answer["result"] is None else float(answer["result"])
        params = [p for p in source.params if p.dir]
        arrays = [
            np.frombuffer(base64.b64decode(data), cases.DTYPES[p.element])
            for p, data in zip(params, answer["arrays"], strict=True)
            if p.dir in ("out", "inout")
        ]
        return result, arrays

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    process = Node()
    yield process
    process.close()


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with a_compiler() as made:
        yield made


def in_python(source: Source, arguments: list[Any]) -> Any:
    try:
        result, arrays = run(source, arguments)
    except ZeroDivisionError:
        return FAILED
    changed = [
        running.array(p.element, a or [])
        for p, a in zip(source.params, arrays, strict=True)
        if p.dir in ("out", "inout")
    ]
    return result, changed


def in_wasm(source: Source, module: bytes, arguments: list[Any]) -> Any:
    instance = running.Module(module, source.params, source.program.main.returns, 16384)
    try:
        return instance.run(arguments)
    except wasmtime.Trap:
        return FAILED


def agree(source: Source, node: Node, compiler: Compiler, sizes: tuple[int, ...], *, extreme: bool) -> None:
    module = compiler.link(compiler.compile(to_c.program(source.program), FIXED))
    for size in sizes:
        arguments = cases.arguments(source, size, next(iter(source.patterns)), size, extreme=extreme)
        expected = in_python(source, arguments)
        for found in (node.run(source, arguments), in_wasm(source, module, arguments)):
            if FAILED in (expected, found):
                assert found == expected, source.text
            else:
                assert running.difference(found, expected) is None, f"{source.text}\n{found}\n{expected}"


@settings(max_examples=40, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
@given(text=programs())
def test_random_programs_mean_the_same_in_python_javascript_and_webassembly(
    node: Node, compiler: Compiler, text: str
) -> None:
    source = read(text)
    agree(source, node, compiler, (0, 5, 16), extreme=True)


FILES = sorted(
    [*Path("examples/forge").glob("*.py"), *Path("tests/benchmarks/forge_sources").glob("*.py")],
    key=lambda path: path.name,
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_example_functions_mean_the_same_everywhere(path: Path, node: Node, compiler: Compiler) -> None:
    source = read(path.read_text(), str(path), path.stem)
    agree(source, node, compiler, (0, 1, 17, 40), extreme=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_example_functions_are_short(path: Path) -> None:
    lines = [line for line in path.read_text().split("def ", 1)[1].splitlines() if line.strip()]
    assert len(lines) <= 15


REFUSED = {
    "x = [1, 2]": ("line 2, column 9", "array parameter"),
    "for x in a:\n        out[0] = 1.0": ("line 2, column 14", "range"),
    "total = 0\n    total += a[0]": ("line 3", "i32 and f32", "f32(x)"),
    "out[0] = a[0] ** 2": ("line 2, column 14", "Pow", "multiply"),
    "out[0] = a[-1]": ("negative", "a[n - 1]"),
    "out[0] = a[0:2]": ("slices",),
    "out[0] = n / 2": ("/ of integers", "//"),
    "out[0] = len(a)": ("len()", "n: i32"),
    "a[0] = 1.0": ("only read", "InOut"),
    "while n:\n        n -= 1": ("condition", "compare"),
    "for i in range(n):\n        i = 3": ("i counts", "another variable"),
    "if n > 0:\n        x = 1\n    n = x": ("may have no value", "before the loop"),
    "x = a[0] + n": ("f32 and i32", "f32(x)"),
    "n = n << 40": ("shift by 40",),
    "n = 3000000000": ("does not fit",),
    "n = n // 0": ("division by 0",),
    "with n:\n        pass": ("With is not supported",),
    "import os": ("Import is not supported",),
    "n = missing(n)": ("cannot be called",),
    "return 3": ("result without a type",),
    "out[0] = b[0]": ("only array parameters",),
    "x, y = 1, 2": ("only one name",),
    "n = n @ 2": ("MatMult", "loops"),
    "del n": ("Delete is not supported",),
    "n = i32(a)": ("i32() of f32[]",),
    "n = n if a[0] else 1": ("condition",),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_the_language_does_not_have_is_refused_with_place_and_remedy(body: str) -> None:
    text = f"def program(a: In[f32], out: Out[f32], n: i32) -> None:\n    {body}\n"
    with pytest.raises(SourceError) as caught:
        read(text)
    message = str(caught.value)
    assert "line " in message
    assert "column " in message
    for part in REFUSED[body]:
        assert part in message, message


def test_every_problem_of_a_file_is_told_at_once() -> None:
    text = "def program(a: In[f32], n: i32) -> None:\n    x = n ** 2\n    y = a[-1]\n    z = len(a)\n"
    with pytest.raises(SourceError) as caught:
        read(text)
    assert [line.split(",")[0] for line in caught.value.problems] == ["line 2", "line 3", "line 4"]
