"""From a source file to files that `fleetune kernels check` and `add` take; what is wrong on the way is told."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kernels_wasm.forge import candidates, command, compiling, ranges, rewrites, shuffles, to_c, tune, write
from kernels_wasm.forge.candidates import Candidate
from kernels_wasm.forge.compiling import Compiler, a_compiler
from kernels_wasm.forge.rewrites import Form
from kernels_wasm.forge.tune import Timing
from kernels_wasm.profile import reader
from kernels_wasm.translate.ir import Binary, Const, Load, Var
from kernels_wasm.translate.source import Source, read

from fleetune_server import cli

CLIPPED = """\
@kernel(family="signal", lengths={"out": "n"}, patterns=["random", "sorted"])
def clipped(values: In[i16], out: Out[u8], n: i32) -> i32:
    \"\"\"Samples as bytes, and how many did not fit.\"\"\"
    count = 0
    for i in range(n):
        value = values[i] >> 4
        if value > 255:
            count += 1
        out[i] = min(max(value, 0), 255)
    return count
"""


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    with a_compiler() as made:
        yield made


def forged(folder: Path, text: str = CLIPPED, name: str = "clipped") -> list[Path]:
    """The files that the command writes, without browsers and proofs."""
    source = folder / f"{name}.py"
    source.write_text(text)
    assert command.main([str(source), "--engines", "", "--proof", "0"]) == 0
    return sorted((folder / f"{name}.kernel").iterdir())


def test_the_written_kernel_is_what_a_server_takes(tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in forged(tmp_path)}
    package = tune.package(files)
    assert package.entry["name"] == "clipped"
    assert package.entry["patterns"] == ["random", "sorted"]
    names = [variant["name"] for variant in package.entry["variants"]]
    assert "scalar" in names
    assert any("vectorization" in name for name in names)
    assert (
        cli.main(["kernels", "check", str(tmp_path / "clipped.kernel/clipped.toml"), "--browser", "none"])
        == 0
    )


def test_a_source_that_is_wrong_is_told_with_its_places_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def wrong(a: In[f32], n: i32) -> f32:\n    return a[0] ** 2\n")
    assert command.main([str(path), "--engines", ""]) == 1
    assert re.search(r"wrong\.py: line 2, column 12: .*multiply", capsys.readouterr().err)
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.py"]


def test_a_function_that_reads_outside_its_arrays_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.py"
    path.write_text(
        "def pairs(a: In[f32], out: Out[f32], n: i32) -> None:\n"
        "    for i in range(n):\n        out[i] = a[i] + a[i + 1]\n"
    )
    assert command.main([str(path), "--engines", "", "--proof", "0"]) == 1
    assert re.search("no meaning at size 1.*index 1 of an array of 1.*lengths", capsys.readouterr().err)


def test_a_formula_of_one_byte_becomes_a_table(compiler: Compiler) -> None:
    source = read(
        "def gamma(a: In[u8], out: Out[u8], n: i32) -> None:\n    for i in range(n):\n"
        "        x = f32(a[i]) / 255.0\n        out[i] = i32(sqrt(x) * 255.0 + 0.5) if a[i] > 3 else 0\n"
    )
    [form] = rewrites.lookup_tables(source.program)
    [(_, element, values)] = form.program.tables
    assert (element, len(values)) == ("u8", 256)
    assert list(values[4:]) == [int((k / 255) ** 0.5 * 255 + 0.5) for k in range(4, 256)]
    plain = compiled(next(rewrites.plain(source.program)), compiler)
    assert candidates.check(source, candidates.expectations(source, plain), compiled(form, compiler))[1] == ""


def test_a_c_function_is_taken_with_its_description(tmp_path: Path) -> None:
    assert cli.main(["kernels", "init", str(tmp_path / "own")]) == 0
    assert command.main([str(tmp_path / "own/sum.c"), "--engines", "", "--proof", "0"]) == 0
    package = tune.package({p.name: p.read_bytes() for p in (tmp_path / "own/sum.kernel").iterdir()})
    names = {variant["name"]: variant["export"] for variant in package.entry["variants"]}
    assert names["scalar"] == "sum"
    assert any("vectorization" in name for name in names)


def test_a_c_function_alone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sum.c").write_text("float sum(const float *values, int n);")
    assert command.main([str(tmp_path / "sum.c"), "--engines", ""]) == 1
    assert "there is no sum.toml" in (error := capsys.readouterr().err)
    assert "there is no sum.js" in error


def test_without_the_forge_the_server_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'wasmtime'", name="wasmtime")

    monkeypatch.setattr("fleetune_server.commands.kernels.import_module", missing)
    assert cli.main(["forge", "sum.py", "--engines", "chromium"]) == 1
    assert "wasmtime is not installed" in (error := capsys.readouterr().err)
    assert "pip install -e '.[forge]'" in error


def compiled(form: Form, compiler: Compiler) -> Candidate:
    text = to_c.program(form.program)
    unit = compiler.compile(text, form.flags)
    return Candidate(form, unit, compiler.link(unit), text)


# Each changes one thing of the vectorised C; the tests must see all of them.
FAULTS: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "a block too many": (r">= (\d+)\)", lambda m: f">= {int(m[1]) - 1})"),
    "a store beside its place": (r"store\(out \+ i_at0 \+ 0,", "store(out + i_at0 + 1,"),
    "another limit": (r"\(255\)", "(254)"),
    "a block twice": (r"i_at0 \+= (\d+);", lambda m: f"i_at0 += {int(m[1]) // 2};"),
    "a dropped store": (r"wasm_v128_store\(out \+ i_at0 \+ 0, w\d+_\);", ""),
    "a signed narrowing": ("wasm_u8x16_narrow", "wasm_i8x16_narrow"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_refuted(fault: str, compiler: Compiler) -> None:
    source = read(CLIPPED)
    plain = compiled(next(rewrites.plain(source.program)), compiler)
    known = candidates.expectations(source, plain)
    form = next(rewrites.vectors(source.program))
    right = compiled(form, compiler)
    assert candidates.check(source, known, right)[1] == ""
    pattern, change = FAULTS[fault]
    text = re.sub(pattern, change, right.source, count=1)
    assert text != right.source
    unit = compiler.compile(text, form.flags)
    _, problem = candidates.check(source, known, replace(right, module=compiler.link(unit)))
    assert problem.startswith("refuted"), problem


def test_a_plain_module_that_differs_from_python_stops_the_forge(compiler: Compiler) -> None:
    source = read(CLIPPED)
    wrong = read(CLIPPED.replace(">> 4", ">> 3"))
    with pytest.raises(candidates.WrongModuleError, match="differ"):
        candidates.check_meaning(source, compiled(next(rewrites.plain(wrong.program)), compiler))


def test_tables_of_two_variants_lie_apart(compiler: Compiler) -> None:
    unit = compiler.compile(
        "static const int t[4] = {1, 5, 2, 7};\n"
        '__attribute__((export_name("run"))) int run(int i) { return t[i & 3]; }',
        (),
    )
    first, second = (reader.parse(compiler.link(unit, place)) for place in (0, 1))
    assert first.data_end <= second.data_start


def test_the_compilers_own_words_are_in_the_error(compiler: Compiler) -> None:
    with pytest.raises(compiling.CompileError, match="expected"):
        compiler.compile("int run(", ())


VECTORISED = {
    "alpha_blend", "bitset_count", "box_blur", "bilinear_resize", "clamp", "copy", "delta_decode", "dot", "hamming",
    "l2_distance", "min_max", "moving_average", "prefix_sum", "rgb_to_grey", "rgb_to_yuv", "saturating_add", "saxpy",
    "strided_sum", "sum",
}  # fmt: skip
FOLDERS = ("examples/forge", "tests/benchmarks/forge_sources")
SOURCES = {path.stem: path for folder in FOLDERS for path in Path(folder).glob("*.py")}


@pytest.mark.parametrize("name", sorted(VECTORISED))
def test_the_examples_loops_become_vectors(name: str) -> None:
    source: Source = read(SOURCES[name].read_text(), stem=name)
    assert rewrites.reasons(source.program) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("out[i + 1] = out[i]", "rounds may meet in out"),
        ("out[a[i] & 7] += 1", "rounds may meet in out"),
        ("t = t * 3 + a[i]\n        out[i] = t", "depends on what the last round left"),
        ("if a[i] > 0:\n            out[i] = b[i]", "under a condition"),
        ("while t > 0:\n            t -= 1", "counted or no loop"),
    ],
)
def test_loops_that_depend_on_themselves_stay_scalar(body: str, reason: str) -> None:
    source = read(
        "def program(a: In[i32], b: In[i32], out: InOut[i32], n: i32) -> i32:\n    t = 5\n"
        f"    for i in range(n):\n        {body}\n    return t\n"
    )
    found = rewrites.reasons(source.program)
    assert not list(rewrites.vectors(source.program))
    if reason != "counted or no loop":
        assert any(reason in why for why in found), found


def test_few_variants_are_kept_and_each_place_has_one_within_three_per_cent() -> None:
    names = [f"v{k}" for k in range(12)]
    timings = [
        Timing("chromium", size, "random", name, 1.0 if (k + size) % 5 == 0 else 1.4 + k / 100)
        for size, (k, name) in itertools.product(range(1, 7), enumerate(names))
    ]
    timings += [Timing("chromium", size, "random", "scalar", 3.0) for size in range(1, 7)]
    timings += [Timing("chromium", size, "random", "js", 0.5) for size in range(1, 7)]
    kept = tune.chosen(timings)
    assert kept[0] == "scalar"
    assert len(kept) <= tune.KEPT
    for times in tune.by_place(timings).values():
        best = min(ms for name, ms in times.items() if name != "js")
        assert min(times[name] for name in kept) <= 1.03 * best


def test_one_variant_is_enough_where_it_wins_everywhere() -> None:
    timings = [Timing("firefox", size, "random", name, ms) for size in (1, 2) for name, ms in
               (("scalar", 3.0), ("vectorization", 1.0), ("loopUnrolling", 1.02))]  # fmt: skip
    assert tune.chosen(timings) == ["scalar", "vectorization"]


def test_the_sizes_that_are_timed_are_spread_and_hold_the_largest() -> None:
    assert write.spread((1, 2, 3, 4, 5, 6), 3) == [2, 4, 6]
    assert write.spread((1, 2, 3, 4, 5, 6), 1) == [6]


def evaluated(node: object, x: int) -> int:
    """An independent reading of the few operators that a division becomes."""
    match node:
        case Const(value=value):
            return int(value)
        case Load() | Var():
            return x
        case Binary(op=op):
            left, right = evaluated(node.left, x), evaluated(node.right, x)
            found = {"add": left + right, "mul": left * right, "shr": left >> right, "sub": left - right}[op]
            assert 0 <= found < 1 << 32
            return found
    return evaluated(node.value, x)  # type: ignore[attr-defined]  # a conversion


@pytest.mark.parametrize("element", ["u8", "u16"])
def test_divisions_become_shifts_that_are_exact(element: str) -> None:
    x = Load("i32", "a", element, Var("i32", "i"))
    high = {"u8": 255, "u16": 65535}[element]
    for divisor in [*range(1, 300), 999, 1000, 4095, 30000]:
        found = ranges.simplified(Binary("i32", "floordiv", x, Const("i32", divisor)))
        if isinstance(found, Binary) and found.op == "floordiv":
            continue
        for value in {*range(0, high + 1, 7), *range(0, high + 1, divisor), high, high - 1, divisor - 1} & {
            *range(high + 1)
        }:
            assert evaluated(found, value) == value // divisor, (divisor, value)


class Registers:
    """Runs shuffles on lists of bytes."""

    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}

    def put(self, text: str) -> str:
        match = re.fullmatch(r"wasm_i(\d+)x\d+_shuffle\((\w+), (\w+), ([\d, ]+)\)", text)
        assert match, text
        width = int(match[1]) // 8
        both = self.held[match[2]] + self.held[match[3]]
        word = f"r{len(self.held)}"
        self.held[word] = [b for lane in match[4].split(", ") for b in both[int(lane) * width :][:width]]
        return word


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("groups", [1, 2])
def test_elements_are_taken_apart_and_put_back_in_order(width: int, stride: int, groups: int) -> None:
    registers = Registers()
    names = [f"source{k}" for k in range(stride * groups)]
    registers.held |= {name: list(range(16 * k, 16 * k + 16)) for k, name in enumerate(names)}
    total = len(names) * 16 // width
    parts = [shuffles.every(registers.put, width, names, stride, c) for c in range(stride)]
    for component, part in enumerate(parts):
        wanted = [e * width + b for e in range(component, total, stride) for b in range(width)]
        assert [b for name in part for b in registers.held[name]] == wanted
    back = shuffles.woven(registers.put, width, parts)
    assert [b for name in back for b in registers.held[name]] == list(range(16 * len(names)))
