"""Modules as toolchains make them: accepted and right, or refused with the remedy (toolchains/modules.toml)."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.test_own_calls import call, calls, package, problems

HERE = Path(__file__).parent / "toolchains"
MODULES: list[dict[str, Any]] = tomllib.loads((HERE / "modules.toml").read_text())["module"]
README = HERE.parents[1] / "kernels_wasm" / "README.md"

NAMES = [f"{row['file']} {row.get('memory', 'shared')}" for row in MODULES]


def options(row: dict[str, Any]) -> dict[str, Any]:
    return {"memory": row["memory"]} if "memory" in row else {}


@pytest.mark.parametrize("row", MODULES, ids=NAMES)
def test_a_module_is_right_or_refused_with_the_remedy(row: dict[str, Any], tmp_path: Path) -> None:
    data = (HERE / row["file"]).read_bytes()
    if "says" in row:
        found = problems(data, **options(row))
        assert len(found) == 1
        assert row["says"] in found[0]
        return
    given = [call([1, 2, 3, 4], [9, 9, 9, 9], 3), call([5] * 3000, [9] * 3001, 3000)]
    if "memory" not in row:
        given += [call([1, 2, 3, 4], [9, 9, 9, 9], 3, inside=True)]
    ran = calls(package(data, **options(row)), tmp_path, given)
    assert ran["events"] == []
    assert {answer["last"]["variant"] for answer in ran["answers"]} == {"scalar"}
    small = [answer["arrays"] for answer in ran["answers"] if len(answer["arrays"][0]) == 4]
    assert small == [[[1, 2, 3, 4], [2, 4, 6, 9]]] * (len(given) - 1)
    assert ran["answers"][1]["arrays"][1] == [10] * 3000 + [9]


@pytest.mark.parametrize(
    "file", [row["file"] for row in MODULES if row.get("memory") == {} and "says" not in row]
)
def test_a_module_that_brings_its_memory_is_refused_without_a_word_about_it(file: str) -> None:
    assert problems((HERE / file).read_bytes()) == [
        "variants[1].module: double.wasm does not import env.memory; if it exports a memory, add [memory]"
    ]


@pytest.mark.parametrize("file", [row["file"] for row in MODULES if "memory" not in row])
def test_a_module_that_imports_its_memory_brings_none(file: str) -> None:
    assert problems((HERE / file).read_bytes(), memory={}) == [
        "variants[1].module: double.wasm imports env.memory: leave [memory] out"
    ]


@pytest.mark.parametrize(
    "row", [row for row in MODULES if row["tool"].lower().startswith("zig")], ids=lambda row: row["file"]
)
def test_the_command_makes_the_module(row: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / row["file"]
    flag = f"-femit-bin={out}" if "build-exe" in row["command"] else f"-o{out}"
    command = [sys.executable, "-m", "ziglang", *row["command"].split()[1:], flag]
    subprocess.run(command, cwd=HERE, check=True, timeout=120)
    assert out.read_bytes() == (HERE / row["file"]).read_bytes()


def test_the_readme_shows_the_table() -> None:
    lines = ["| toolchain | options | `[memory]` | |", "| --- | --- | --- | --- |"]
    for row in MODULES:
        words = row["command"].split()
        used = " ".join(word for word in words[1:] if not word.endswith((".c", ".rs", ".zig"))).replace(
            "|", ""
        )
        memory = row.get("memory")
        given = (
            "none" if memory is None else ", ".join(f'`{k} = "{v}"`' for k, v in memory.items()) or "empty"
        )
        verdict = (
            f"refused: {row['says']}"
            if "says" in row
            else "accepted" + (", zero copy" if memory is None else "")
        )
        lines.append(f"| {row['tool']} | `{used}` | {given} | {verdict} |")
    table = "\n".join(lines)
    assert table in README.read_text(), table
