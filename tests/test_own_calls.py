"""Calls of operators' kernels: modules that trap, grow their memory, write only a part, or bring any memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kernels_wasm.build.compiler import compiler
from tests import node
from tests.own_world import description
from wasmtime import wat2wasm

from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.spec import SpecError, read_spec

SCRIPT = """
export function js(data, out, n) { %s }
export function makeInput(size) {
  return [Float32Array.from({ length: size }, (_, i) => i %% 7), new Float32Array(size), size];
}
"""
DOUBLE = "for (let i = 0; i < n; i++) out[i] = 2 * data[i];"
EVENS = "for (let i = 0; i < n; i += 2) out[i] = 2 * data[i];"
MEMORIES = {
    "imported": '(import "env" "memory" (memory 1))',
    "bounded": '(import "env" "memory" (memory 1 256))',
    "large": '(import "env" "memory" (memory 17))',
    "exported": '(memory (export "memory") 1)',
    "empty": '(memory (export "memory") 0)',
}
BODY = """
(global $calls (mut i32) (i32.const 0))
(func (export "run") (param $in i32) (param $out i32) (param $n i32) %(result)s (local $i i32)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (block $done (loop $next
    (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
    (f32.store (i32.add (local.get $out) (i32.shl (local.get $i) (i32.const 2)))
      (f32.mul (f32.const 2) (f32.load (i32.add (local.get $in) (i32.shl (local.get $i) (i32.const 2))))))
    (local.set $i (i32.add (local.get $i) (i32.const %(step)d)))
    (br $next)))
  %(end)s)
"""
TRAP = "(if (i32.ge_s (global.get $calls) (i32.const 8)) (then unreachable))"
GROW = "(if (i32.ge_s (global.get $calls) (i32.const 8)) (then (drop (memory.grow (i32.const 1)))))"


def module(
    memory: str = "imported", *, step: int = 1, end: str = "", result: str = "", more: str = ""
) -> bytes:
    body = BODY % {"step": step, "end": end, "result": result}
    data = wat2wasm(f"(module {MEMORIES[memory]} {more} {body})")
    assert isinstance(data, (bytes, bytearray))
    return bytes(data)


def package(data: bytes, source: str = DOUBLE, **changes: Any) -> Package:
    raw = description(
        name="own_double",
        params=["data: in f32[n]", "out: out f32[n]", "n: i32"],
        returns="void",
        script="double.js",
        variants=[{"module": "double.wasm", "export": "run"}],
    )
    return build(read_spec(raw | changes, SCRIPT % source, {"double.wasm": data}))


def problems(data: bytes, **changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        package(data, **changes)
    return caught.value.problems


def calls(built: Package, folder: Path, given: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    for path, data in built.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "package.json").write_text('{"type": "module"}')
    request = {"root": str(folder), "entry": built.entry, "candidate": "scalar", "calls": given, **options}
    script = Path(__file__).parent / "calls" / "own.mjs"
    answer: dict[str, Any] = json.loads(node.run(script, input=json.dumps(request)))
    return answer


def f32(values: list[float]) -> dict[str, Any]:
    return {"type": "Float32Array", "values": values}


def call(data: list[float], out: list[float], n: int, inside: bool = False) -> dict[str, Any]:
    return {"args": [f32(data), f32(out), n], "inside": inside}


@pytest.mark.parametrize(
    ("end", "inside", "says"), [(TRAP, False, "unreachable"), (TRAP, True, "unreachable"), (GROW, False, "")]
)
def test_a_module_that_fails_late_is_set_aside_and_javascript_makes_the_call(
    tmp_path: Path, end: str, inside: bool, says: str
) -> None:
    memory = "exported" if end == GROW else "imported"
    options: dict[str, Any] = {"memory": {"scratch": 4096}} if memory == "exported" else {}
    given = [call([1, 2, 3, 4], [9, 9, 9, 9], 3, inside) for _ in range(20)]
    found = calls(package(module(memory, end=end), **options), tmp_path, given)
    assert all(answer["arrays"][1] == [2, 4, 6, 9] for answer in found["answers"])
    assert all(answer["arrays"][0] == [1, 2, 3, 4] for answer in found["answers"])
    assert [name for name, _ in found["events"]] == ["scalar"]
    assert found["events"][0][1].startswith("a call failed: ")
    assert says in found["events"][0][1]
    ran = [answer["last"]["variant"] for answer in found["answers"]]
    assert ran[0] == "scalar"
    assert ran[-1] == "js"
    failed = next(answer["last"] for answer in found["answers"] if answer["last"]["variant"] == "js")
    assert "so JavaScript made the call" in failed["why"]


def test_a_module_is_initialised_once_before_it_is_called(tmp_path: Path) -> None:
    """As compilers give it to modules whose globals have constructors."""
    ready = """(global $ready (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $ready (i32.add (global.get $ready) (i32.const 1))))"""
    check = "(if (i32.ne (global.get $ready) (i32.const 1)) (then unreachable))"
    options: dict[str, dict[str, Any]] = {"imported": {}, "exported": {"memory": {}}}
    for memory, given in options.items():
        built = package(module(memory, more=ready, end=check), **given)
        found = calls(built, tmp_path, [call([1, 2], [0, 0], 2)] * 3)
        assert found["events"] == []
        assert [answer["last"]["variant"] for answer in found["answers"]] == ["scalar"] * 3


def test_no_argument_is_a_null_pointer(tmp_path: Path) -> None:
    """Not in a module without a page of memory of its own either."""
    data = module("empty", end="(if (i32.eqz (local.get $in)) (then unreachable))")
    found = calls(package(data, memory={}), tmp_path, [call([1, 2], [0, 0], 2)])
    assert found["events"] == []
    assert found["answers"][0]["arrays"][1] == [2, 4]


def test_arrays_changed_in_place_are_put_back_before_javascript_repeats(tmp_path: Path) -> None:
    source = "for (let i = 0; i < n; i++) data[i] = 2 * data[i];"
    # The adapter writes where it reads, as a kernel that works in place does.
    text = (
        SCRIPT % source
        + "export const adapters = { same: (exports) => (data, out, n) => exports.run(data, data, n) };"
    )
    raw = description(
        name="own_double", params=["data: inout f32[n]", "out: scratch f32[n]", "n: i32"], returns="void",
        script="double.js", variants=[{"module": "double.wasm", "export": "run", "adapter": "same"}],
    )  # fmt: skip
    built = build(read_spec(raw, text, {"double.wasm": module(end=TRAP)}))
    for inside in (False, True):
        found = calls(built, tmp_path, [call([1, 2, 3], [0, 0, 0], 3, inside) for _ in range(12)])
        assert [answer["arrays"][0] for answer in found["answers"]] == [[2, 4, 6]] * 12
        assert len(found["events"]) == 1


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_a_kernel_has_one_to_twelve_sizes_each_with_a_choice_of_its_own(tmp_path: Path, count: int) -> None:
    built = package(module(), DOUBLE, sizes=[1 << k for k in range(count)])
    resident = [{"choice": ("scalar", "js")[k % 2], "log2Size": k} for k in range(count)]
    copied = [{"choice": ("js", "scalar")[k % 2], "log2Size": k} for k in range(count)]
    given = [
        call([1.0 + k] * (1 << k), [0.0] * (1 << k), 1 << k, inside)
        for _again in range(2)
        for k in range(count)
        for inside in (False, True)
    ]
    found = calls(built, tmp_path, given, rows=resident, copied=copied)
    assert found["events"] == []
    for asked, answer in zip(given, found["answers"], strict=True):
        assert answer["arrays"][1] == [2 * value for value in asked["args"][0]["values"]]
        rows = resident if asked["inside"] else copied
        choice = rows[asked["args"][2].bit_length() - 1]["choice"]
        assert answer["last"]["variant"] == choice, asked["args"][2]


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_module_leaves_of_an_output_stays_the_callers(tmp_path: Path, inside: bool) -> None:
    built = package(module(step=2), EVENS)
    found = calls(built, tmp_path, [call([1, 1, 1, 1], [k, k, k, k], 4, inside) for k in (5, 6, 7)])
    assert found["events"] == []
    assert [answer["arrays"][1] for answer in found["answers"]] == [[2, k, 2, k] for k in (5, 6, 7)]


def test_a_number_from_a_kernel_that_returns_nothing_is_dropped(tmp_path: Path) -> None:
    built = package(module(), DOUBLE + " return n;")
    found = calls(built, tmp_path, [call([1, 2], [0, 0], 2)])
    assert found["events"] == []
    assert (found["answers"][0]["result"], found["answers"][0]["last"]["variant"]) == (None, "scalar")
    found = calls(built, tmp_path, [call([1, 2], [0, 0], 2)], candidate="js")
    assert found["answers"][0]["result"] is None


def test_without_memory_javascript_runs_and_the_reason_is_said(tmp_path: Path) -> None:
    found = calls(package(module()), tmp_path, [call([1, 2], [0, 0], 2)], refuse=True)
    assert found["answers"][0]["arrays"][1] == [2, 4]
    assert found["events"] == [["scalar", "no WebAssembly memory: could not allocate memory"]]


@pytest.mark.parametrize("memory", ["imported", "bounded", "large"])
def test_modules_get_a_memory_of_the_size_that_they_declare(tmp_path: Path, memory: str) -> None:
    built = package(module(memory))
    for memory_bytes in (0, 1 << 20, 1 << 25):
        found = calls(built, tmp_path, [call([1, 2], [0, 0], 2)], memoryBytes=memory_bytes)
        assert (found["events"], found["answers"][0]["arrays"][1]) == ([], [2, 4]), memory_bytes


def test_a_call_larger_than_the_memory_makes_it_grow_or_says_why_javascript_ran(tmp_path: Path) -> None:
    n = 400_000  # 3.2 MB of arrays for a memory of 1 MiB
    given = [call([1.0] * n, [0.0] * n, n)]
    grown = calls(package(module()), tmp_path, given)["answers"][0]
    assert (grown["arrays"][1][-1], grown["last"]["variant"]) == (2, "scalar")
    bounded = wat2wasm(
        f'(module (import "env" "memory" (memory 1 2)) {BODY % {"step": 1, "end": "", "result": ""}})'
    )
    refused = calls(package(bytes(bounded)), tmp_path, given)["answers"][0]
    assert (refused["arrays"][1][-1], refused["last"]["variant"]) == (2, "js")
    assert "no room to copy" in refused["last"]["why"]


def test_arguments_lie_behind_what_the_linker_says_or_the_module_declares() -> None:
    assert package(module()).entry["dataEnd"] == 65536
    assert package(module("large")).entry["dataEnd"] == 17 * 65536
    base = '(global (export "__heap_base") i32 (i32.const 5000))'
    assert package(module(more=base)).entry["dataEnd"] == 5056
    assert package(module(), dataEnd=2000).entry["dataEnd"] == 2048
    assert "uses memory up to 5000" in problems(module(more=base), dataEnd=2000)[0]


def test_a_module_with_an_allocator_of_its_own_is_refused_with_a_remedy() -> None:
    assert "dataEnd" in problems(module(end="(drop (memory.grow (i32.const 0)))"))[0]
    asks = problems(module("exported", end=GROW), memory={})[0]
    assert "memory.allocator" in asks
    assert "memory.scratch" in asks
    shared = '(module (import "env" "memory" (memory 1 2 shared)) (func (export "run") (param i32 i32 i32)))'
    assert "shared memory" in problems(bytes(wat2wasm(shared)))[0]


# A kernel with zeroed statics, a table and a stack: whoever puts arguments on any of them gets another result.
C_SOURCE = """
static float zeros[3000];
static const float table[4] = {2, 2, 2, 2};
__attribute__((noinline)) static float twice(const float *values, int i) {
  volatile float local[600];
  for (int k = 0; k < 600; k++) local[k] = k == 7 ? table[i & 3] : 0;
  return values[i] * local[7] + local[(i & 255) + 8];
}
void run(const float *data, float *out, int n) {
  for (int i = 0; i < n; i++) out[i] = twice(data, i) + zeros[i % 3000];
  for (int i = 0; i < 3000; i++) zeros[i] *= n < 0;
}
"""
LAYOUTS = {
    "stack first": ["--stack-first"],
    "stack behind the data (LLVM up to 21)": ["--no-stack-first"],
    "stack first, heap base said": ["--stack-first", "--export=__heap_base"],
    "stack behind, heap base said": ["--no-stack-first", "--export=__heap_base"],
    "data at 4 MiB": ["--no-stack-first", "--global-base=4194304"],
}


def linked(folder: Path, flags: list[str]) -> bytes:
    """The C kernel as a module, linked in one of the ways that toolchains link."""
    zig, (source, unit, out) = compiler()[0], (folder / name for name in ("k.c", "k.o", "k.wasm"))
    source.write_text(C_SOURCE)
    compile_it: list[str | Path] = [
        "cc",
        "-target",
        "wasm32-freestanding",
        "-O1",
        "-ffreestanding",
        "-c",
        source,
        "-o",
        unit,
    ]
    link_it: list[str | Path] = [
        "wasm-ld",
        "--no-entry",
        "--import-memory",
        "--export=run",
        *flags,
        unit,
        "-o",
        out,
    ]
    for command in (compile_it, link_it):
        subprocess.run([zig, *command], check=True, capture_output=True, cwd=folder)
    return out.read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_never_lie_on_a_modules_stack_or_statics(tmp_path: Path, layout: str) -> None:
    built = package(linked(tmp_path, LAYOUTS[layout]))
    n = 5000
    data = [float(i % 100) for i in range(n)]
    for inside in (False, True):
        found = calls(built, tmp_path, [call(data, [0.0] * n, n, inside) for _ in range(3)])
        assert found["events"] == []
        for answer in found["answers"]:
            assert answer["last"]["variant"] == "scalar"
            assert answer["arrays"] == [data, [2 * value for value in data]]
