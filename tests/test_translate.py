"""The translator by itself: what it needs, what it refuses, and that its JavaScript runs as the page runs it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from kernels_wasm.translate import description, source
from kernels_wasm.translate.module import MOST_CHARACTERS, translated
from tests import node

from fleetune_server.common.assets import PACKERS
from fleetune_server.http import wheel
from fleetune_server.http.pages import new_function
from fleetune_server.http.pages.new_function import WORDS

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples/forge").glob("*.py"))
HEAD = "def f(a: In[f32], out: InOut[i32], n: i32, step: i32) -> f32:"
BODY = """
    total = f32(0)
    for i in range(n):
        out[i] += step
        total += a[i]
    return total
"""
BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from kernels_wasm.translate.module import translated
print(json.dumps([json.loads(translated(text)) for text in json.load(sys.stdin)]))
assert not {"numpy", "wasmtime", "z3", "kernels_wasm.forge", "kernels_wasm.build"} & sys.modules.keys()
"""


def told(text: str) -> Any:
    return json.loads(translated(text))


def test_its_wheel_alone_translates_every_example_in_a_bare_python(tmp_path: Path) -> None:
    made = tmp_path / wheel.TRANSLATOR
    made.write_bytes(wheel.build_translator())
    assert made.read_bytes() == wheel.build_translator(), "the same sources give the same bytes"
    assert len(PACKERS["gzip"](made.read_bytes())) < 30_000
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "unpacked")
    texts = [new_function.EXAMPLE, *(path.read_text() for path in EXAMPLES)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", BARE, tmp_path / "unpacked"],
        input=json.dumps(texts), capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["problems"] for one in found] == [[]] * len(texts)
    assert [one["name"] for one in found] == [new_function.NAME, *(path.stem for path in EXAMPLES)]


def test_what_the_page_runs_gives_what_the_source_means_in_every_call() -> None:
    text = f"@kernel(values={{'step': 3}})\n{HEAD}{BODY}"
    script = f"""
    const written = {told(text)["runnable"]};
    const [a, out, n, step] = written.makeInput(5, "random", () => 0.75);
    const set = () => ({{ pristine: [a, out.slice(), n, step], args: [a, out.slice(), n, step] }});
    const sets = [set(), set()];
    const totals = Object.values(written.loops).map((loop) => loop(sets, 4));
    console.log(JSON.stringify({{ totals, before: [...out], after: [...sets[1].args[1]], a: [...a] }}));
    """
    found = node.evaluate(script)
    result, arrays = source.run(source.read(text), [found["a"], found["before"], 5, 3])
    assert found["after"] == arrays[1], "changed once, however often it was called"
    assert found["totals"] == [4 * result] * 2


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("values={'step': 'alert(1)'}", "values is not what it should be"),
        ("values={'step': 1e999}", "values is not what it should be"),
        ("values={'step': open('x')}", "values is computed"),
        ("sizes=5", "sizes is not"),
        ("sizes=['a', 3]", "sizes is not"),
        ("sizes=[0, 1]", "sizes must be 1 to"),
        ("ranges={'a': ('x', 1)}", "ranges is not"),
        ("ranges={'a': (2, 1)}", "ranges is not"),
        ("patterns={'random': {'step': 'x'}}", "patterns is not"),
        ("patterns=[]", "patterns is not"),
        ("lengths={'a': 'alert(1)'}", "the length of a must be a formula"),
        ("lengths={'a': 'n // 0'}", "the length of a must be a formula"),
        ("family=3", "family is not"),
        ("tolerance=3", "tolerance is not"),
        ("colour='red'", "kernel has no argument colour"),
        ("[16]", "kernel takes arguments by name"),
    ],
)
def test_a_description_holds_plain_values_only(said: str, place: str) -> None:
    problems = told(f"@kernel({said})\n{HEAD}{BODY}")["problems"]
    assert place in problems[0]
    assert re.match(r"line [12], column \d+: .*; ?.+|line 2, column 1: ", problems[0])


@pytest.mark.parametrize(
    "text", ["", "\0", "def f(:", "(" * 9000, "x" * 30_000, "import os", "\udc00", f"{HEAD}\n  return {'-' * 4000}a[0]"]
)  # fmt: skip
def test_whatever_is_no_function_gets_a_line_and_a_remedy(text: str) -> None:
    for problem in told(text)["problems"]:
        assert re.match(r"line \d+, column \d+: .+; .+", problem)
    assert told(text)["problems"]


def test_a_length_may_be_named_as_javascripts_words_are() -> None:
    text = "@kernel(size='new', lengths={'a': '2 * new # twice'})\ndef f(a: Out[u8], new: i32) -> None:\n    a[0] = 1\n"
    script = f"const {{ makeInput }} = {told(text)['runnable']}; console.log(makeInput(4, '', Math.random)[0].length)"
    assert node.evaluate(script) == 8


def test_the_pages_rules_are_the_translators() -> None:
    for language in ("en", "ru"):
        words = WORDS[language]
        named = {key: set(re.findall(r"\w+", " ".join(re.findall(r"<code>(.*?)</code>", html.unescape(words[key])))))
                 for key in ("write.calls.text", "write.parameters.text")}  # fmt: skip
        assert named["write.calls.text"] - {"kernel"} == set(description.KEYS)
        assert named["write.parameters.text"] == {"In", "Out", "InOut", "Scratch", "n"} | {
            "i8", "u8", "i16", "u16", "i32", "u32", "f32", "f64",
        }  # fmt: skip
    every = """
LIMIT = 200

def twice(x: i32) -> i32:
    return x * 2

@kernel(ranges={'u': (1, 9)})
def f(a: In[f32], u: InOut[i32], s: Scratch[u8], n: i32) -> f32:
    total = f32(0)
    k = 0
    while True if False else k < 2:
        k += 1
    for i in range(1, n, 2):
        if u[i] > LIMIT and not (u[i] == 3) or i < 0:
            continue
        x = u[i] // 2 % 7 & 3 | 4 ^ ~u[i] << 1 >> 2
        u[i] = twice(x) if x < 5 else min(x, max(3, abs(x))) + x.bit_count()
        total += sqrt(a[i]) - a[i] / f32(x) * a[i]
        if i > 100:
            break
    return total
"""
    assert told(every.replace("while True if False else k < 2", "while k < 2"))["problems"] == []
    assert told("x" * (MOST_CHARACTERS + 1))["problems"][0].endswith(f"the page takes {MOST_CHARACTERS}")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_page_says_everything_in_both_languages(language: str) -> None:
    text = new_function.render(language)
    assert f'<html lang="{language}">' in text
    for key in WORDS["en"]:
        words = WORDS[language][key]
        assert words in text or html.escape(words) in text, key
    assert WORDS["en"].keys() == WORDS["ru"].keys()
