"""Faults to plant: each must be found by the share of the generated calls that `make test` makes."""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels_wasm.build.builder import ROOT
from kernels_wasm.build.catalogue import load
from kernels_wasm.build.compiler import compile_variant, compiler
from tests.calls.attack import TUNED, run_in_node
from tests.calls.own import Own, entries, write
from tests.kernel_runner import DIST

WEB = TUNED.parents[1]


@dataclass(frozen=True)
class Fault:
    """One of faults.toml; a change of a C source is compiled as `variant`."""

    name: str
    kernel: str
    file: str
    old: str
    new: str
    variant: str = "inlining"


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
FAULTS = [Fault(**row) for row in _TABLE["fault"]]
OWN_FAULTS = [Fault(kernel="", **row) for row in _TABLE["own"]]


def found_by(fault: Fault, cases: list[dict[str, Any]], every: int) -> dict[str, Any] | None:
    """What the first wrong call was with the fault planted; None if no call was."""
    mine = [case for case in cases if case["kernel"] == fault.kernel]
    with tempfile.TemporaryDirectory() as folder:
        dist, tuned = _planted(fault, Path(folder))
        return _first(run_in_node(mine, dist=str(dist), tuned=str(tuned), every=every, stop=True))


def found_in_own(fault: Fault, cases: list[dict[str, Any]], own: Sequence[Own]) -> dict[str, Any] | None:
    """The same for operators' kernels: "script" is each one's."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "own"
        write(own, root)
        tuned = TUNED
        if fault.file == "script":
            scripts = [path for path in root.glob("embed/*.js") if fault.old in path.read_text()]
            assert scripts, f"{fault.name}: {fault.old!r} is in no script any more"
            for path in scripts:
                path.write_text(changed(fault, path.read_text()))
        else:
            _dist, tuned = _planted(fault, Path(folder))
        given = {"root": str(root), "entries": entries(own)}
        return _first(run_in_node(cases, tuned=str(tuned), own=given, stop=True))


def _first(answer: dict[str, Any]) -> dict[str, Any] | None:
    return answer["wrong"][0] if answer["wrong"] else None


def _planted(fault: Fault, folder: Path) -> tuple[Path, Path]:
    dist, web = folder / "dist", folder / "web"
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    if fault.file == "script":
        _linked(DIST, dist, f"embed/{fault.kernel}.js", fault)
        return dist, TUNED
    if fault.file == "src":
        _compiled(fault, folder, dist)
        return dist, TUNED
    for part in ("embed", "shared"):
        shutil.copytree(WEB / part, web / part)
    shutil.copy(WEB / "package.json", web)
    target = web / fault.file
    target.write_text("const ANY = {};\n" + changed(fault, target.read_text()))
    return DIST, web / "embed/tuned_kernel.js"


def changed(fault: Fault, text: str) -> str:
    """The text with the fault; AssertionError if there is no place for it."""
    assert fault.old in text, f"{fault.name}: {fault.old!r} is not in the file any more"
    return text.replace(fault.old, fault.new)


def _linked(source: Path, dist: Path, path: str, fault: Fault) -> None:
    shutil.copytree(source, dist)
    (dist / path).write_text(changed(fault, (dist / path).read_text()))


def _compiled(fault: Fault, folder: Path, dist: Path) -> None:
    """The kernel's one variant from its changed source, in a bundle of its own."""
    root = folder / "root"
    (root / "src").mkdir(parents=True)
    shutil.copy(ROOT / "src/fleetune.h", root / "src")
    source = (ROOT / f"src/{fault.kernel}.c").read_text()
    (root / f"src/{fault.kernel}.c").write_text(changed(fault, source))
    catalogue = load(ROOT / "variants.toml")
    kernel = next(k for k in catalogue.kernels if k.name == fault.kernel)
    row = next(v for v in kernel.variants if v.name == fault.variant)
    module = compile_variant(compiler()[0], catalogue, row, root, ROOT / ".cache/zig").data
    shutil.copytree(DIST, dist)
    (dist / "planted.bin").write_bytes(module)
    manifest = json.loads((dist / "manifest.json").read_text())
    manifest["bundles"]["planted"] = {"path": "planted.bin"}
    entry = next(k for k in manifest["kernels"] if k["name"] == fault.kernel)
    for variant in entry["variants"]:
        if variant["name"] == fault.variant:
            variant.update(bundle="planted", offset=0, size=len(module))
    (dist / "manifest.json").write_text(json.dumps(manifest))
