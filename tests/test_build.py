"""The catalogue's build: what it refuses, the same bytes every time, quick when nothing changed."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import time
from pathlib import Path

import pytest
from kernels_wasm.build import builder as build
from kernels_wasm.build import scripts
from kernels_wasm.build.catalogue import CatalogueError, load
from kernels_wasm.build.compiler import BuildError
from tests import node

VARIANTS = re.compile(r"variants = \[.*?\]", re.DOTALL)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A catalogue of one kernel, dot, with three variants."""
    for name in ("src/fleetune.h", "src/dot.c", "js/util.js", "js/dot.js"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(build.ROOT / name, tmp_path / name)
    text = (build.ROOT / "variants.toml").read_text()
    head = text[: text.index("[kernels.")]
    start = text.index("[kernels.dot]")
    table = text[start : text.index("\n\n", start)] + "\n"
    (tmp_path / "variants.toml").write_text(head + table)
    change_variants(tmp_path, "scalar", "inlining", "inlining+vectorization")
    return tmp_path


def change_variants(root: Path, *names: str) -> None:
    path = root / "variants.toml"
    path.write_text(VARIANTS.sub(f"variants = {json.dumps(names)}", path.read_text()))


def dist(root: Path) -> dict[str, bytes]:
    folder = root / "dist"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_files_are_what_the_manifest_says(tiny: Path) -> None:
    build.build(tiny, update=True)
    files = dist(tiny)
    manifest = json.loads(files["manifest.json"])
    for entry in (*manifest["bundles"].values(), manifest["scripts"]):
        data = files[entry["path"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"])
    [kernel] = manifest["kernels"]
    assert [v["bundle"] for v in kernel["variants"]] == ["base", "base", "simd"]
    for variant in kernel["variants"]:
        start = variant["offset"]
        module = files[f"{variant['bundle']}.bin"][start : start + variant["size"]]
        assert module.startswith(b"\0asm")
        assert hashlib.sha256(module).hexdigest() == variant["sha256"]
    assert kernel["dataEnd"] % 64 == 0
    assert kernel["dataEnd"] >= 16384  # the stack lies below


def test_two_builds_from_nothing_give_the_same_bytes(tiny: Path) -> None:
    build.build(tiny, update=True)
    first, listed = dist(tiny), (tiny / "checksums.txt").read_text()
    for name in ("dist", ".cache"):
        shutil.rmtree(tiny / name)
    build.build(tiny)
    assert dist(tiny) == first
    assert (tiny / "checksums.txt").read_text() == listed


def test_different_bytes_fail_with_the_names_until_updated(tiny: Path) -> None:
    build.build(tiny, update=True)
    source = tiny / "src/dot.c"
    source.write_text(source.read_text().replace("sum + a * b", "sum - a * b"))
    with pytest.raises(BuildError, match=r"dot/scalar: bytes differ") as failure:
        build.build(tiny)
    assert "dot/inlining:" in str(failure.value)
    assert "--update" in str(failure.value)
    build.build(tiny, update=True)
    build.build(tiny)


def test_a_header_or_flag_change_is_not_served_from_the_cache(tiny: Path) -> None:
    build.build(tiny, update=True)
    table = tiny / "variants.toml"
    table.write_text(table.read_text().replace('"-O3"', '"-O0"'))
    with pytest.raises(BuildError, match="bytes differ"):
        build.build(tiny)


def test_modules_and_checksums_must_be_the_same_set(tiny: Path) -> None:
    build.build(tiny, update=True)
    change_variants(tiny, "scalar", "loopUnrolling")
    with pytest.raises(BuildError) as failure:
        build.build(tiny)
    assert "dot/loopUnrolling: not in checksums.txt" in str(failure.value)
    assert "dot/inlining: listed but not built" in str(failure.value)


def test_check_compiles_afresh_and_writes_nothing(tiny: Path) -> None:
    build.build(tiny, update=True)
    shutil.rmtree(tiny / "dist")
    for kept in (tiny / ".cache").glob("*.built"):
        kept.write_bytes(b"stale")
    build.build(tiny, check=True)
    assert not (tiny / "dist").exists()


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("teleport", r"dot/teleport: no optimisation is called 'teleport'"),
        ("vectorization+inlining", r"write it as inlining\+vectorization"),
        ("relaxedSimd", r"dot/relaxedSimd: relaxedSimd needs vectorization"),
        ("inlining+inlining", r"dot/inlining\+inlining: write it as inlining"),
    ],
)
def test_an_impossible_variant_is_refused_by_name(tiny: Path, variant: str, message: str) -> None:
    change_variants(tiny, "scalar", variant)
    with pytest.raises(CatalogueError, match=message):
        load(tiny / "variants.toml")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"a: in f32[n]"', '"a: sideways f32[n]"', "neither 'name: dir type"),
        ('"n: i32"', '"n: i64"', "neither 'name: dir type"),
        ('returns = "f32"', 'returns = "i64"', "cannot return i64"),
        ("sizes = [8, 64,", "sizes = [64, 64,", "six different numbers"),
        ('family = "linear algebra"', "", "family is missing"),
        ('dtype = "f32"', 'dtype = "f32"\ncolour = 1', "unknown key colour"),
        ('"scalar", ', "", "no scalar variant"),
    ],
)
def test_a_wrong_kernel_table_is_refused(tiny: Path, before: str, after: str, message: str) -> None:
    path = tiny / "variants.toml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(CatalogueError, match=message):
        load(path)


def test_twins_are_refused_with_both_names(tiny: Path) -> None:
    change_variants(tiny, "scalar", "swar")  # dot has nothing behind FT_SWAR
    with pytest.raises(BuildError, match=r"dot/swar is the same module as dot/scalar"):
        build.build(tiny, update=True)


def test_a_compile_error_names_every_module_it_hits(tiny: Path) -> None:
    (tiny / "src/dot.c").write_text('#include "fleetune.h"\nEXPORT f32 run(void) { return nothing; }\n')
    with pytest.raises(BuildError) as failure:
        build.build(tiny, update=True)
    assert "dot/scalar: src/dot.c:2" in str(failure.value)
    assert "dot/inlining+vectorization: " in str(failure.value)
    assert not (tiny / "dist").exists()


def test_a_mutable_static_is_refused(tiny: Path) -> None:
    source = tiny / "src/dot.c"
    source.write_text(
        source.read_text()
        .replace("INLINE f32 block", "static f32 kept[64];\nINLINE f32 block", 1)
        .replace("return sum;\n}\n", "kept[n & 63] += sum;\n  return kept[(n + 1) & 63];\n}\n")
    )
    with pytest.raises(BuildError, match="dot/scalar: a mutable static"):
        build.build(tiny, update=True)


def test_a_script_of_the_wrong_shape_is_refused(tiny: Path) -> None:
    script = tiny / "js/dot.js"
    good = script.read_text()
    script.write_text(good.replace("export function makeInput", "function makeInput"))
    with pytest.raises(scripts.ScriptError, match=r"js/dot\.js: export function makeInput is missing"):
        build.build(tiny, update=True)
    script.write_text(good.replace('"./util.js"', '"./other.js"'))
    with pytest.raises(scripts.ScriptError, match=r"js/dot\.js: import only util\.js"):
        build.build(tiny, update=True)


def test_every_loop_has_a_source_text_of_its_own() -> None:
    text = (build.ROOT / "dist/kernels.js").read_text()
    names = re.findall(r"function (loop_\w+)\(", text)
    manifest = json.loads((build.ROOT / "dist/manifest.json").read_text())
    candidates = sum(len(k["baselines"]) + len(k["variants"]) for k in manifest["kernels"])
    assert len(names) == len(set(names)) == 2 * candidates
    assert "f(..." not in text  # arguments are spelled out
    assert "eval(" not in text
    assert "new Function" not in text


def test_the_script_passes_nodes_syntax_check() -> None:
    node.run("--check", build.ROOT / "dist/kernels.js")


def test_the_whole_catalogue_is_small_and_rebuilds_in_a_second_when_nothing_changed() -> None:
    build.build()
    started = time.process_time()  # not wall time: other tests may keep the machine busy
    counts = build.build()
    assert time.process_time() - started < 1.5  # about half a second on the machine it was written on
    files = dist(build.ROOT)
    fetched = [data for name, data in files.items() if not name.startswith("embed/")]
    assert sum(len(gzip.compress(data)) for data in fetched) <= build.GZIP_LIMIT
    assert counts["modules"] >= 120


def test_the_command_reports_failure_with_a_status(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.build, "__defaults__", (tiny,))
    assert build.main(["--update"]) == 0
    change_variants(tiny, "scalar", "teleport")
    assert build.main([]) == 1
