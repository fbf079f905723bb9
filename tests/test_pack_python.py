"""Python for the page: what `browser/pack_python.mjs` makes of Pyodide's release."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zipfile
from pathlib import Path

import brotli
import pytest
from tests import node

from fleetune_server.common.assets import LARGE

BROWSER = Path(__file__).parents[1] / "browser"
SCRIPT, DIST = BROWSER / "pack_python.mjs", BROWSER / "dist" / "pyodide"
RELEASE, VENDOR = BROWSER / "node_modules" / "pyodide", BROWSER / "vendor"
ARCHIVES = [RELEASE / "python_stdlib.zip", *VENDOR.glob("*.whl")]
UNCHECKED = b"\xcb\r\r\n\x01\0\0\0"  # bytecode of Python 3.12, valid whatever its source is (PEP 552)
# Everything of ours that pages run, and everything of numpy and of the standard library that this imports.
IMPORTS = """
import { loadPyodide } from "%s/pyodide.mjs";
import { readFileSync } from "node:fs";
const [dist, wheel, ...folders] = process.argv.slice(1);
const python = await loadPyodide({ indexURL: dist });
python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel");
python.FS.mkdirTree("/src/kernels_wasm");
for (const folder of folders) {
  const place = `/src/${folder.split("/").slice(folder.endsWith("translate") ? -2 : -1).join("/")}`;
  python.FS.mkdirTree(place);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, place);
}
const failed = python.runPython(`
import importlib, pkgutil, sys, traceback
sys.dont_write_bytecode = True
sys.path.insert(0, "/src")
import fleetune
names = [m.name for m in pkgutil.walk_packages(fleetune.__path__, "fleetune.")]
names += ["kernels_wasm.translate." + m.name for m in pkgutil.walk_packages(["/src/kernels_wasm/translate"])]
failed = []
for name in names:
    try:
        importlib.import_module(name)
    except Exception:
        failed.append(traceback.format_exc())
import json
json.dumps([len(names), failed])
`);
process.stdout.write(failed, () => process.exit(0));
"""


def left_out() -> tuple[str, ...]:
    """What the script leaves out, by the beginning of its path."""
    (listed,) = re.findall(r"const LEFT_OUT = (\[.*?\]);", SCRIPT.read_text(), re.DOTALL)
    return tuple(re.findall(r'"(.+?)"', listed))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name.split("-")[0])
def test_an_archive_holds_all_that_it_should_compiled_and_unpacked(path: Path) -> None:
    old, new = zipfile.ZipFile(path), zipfile.ZipFile(DIST / path.name)
    dropped = [name for name in old.namelist() if name.startswith(left_out())]
    dropped += [name for name in old.namelist() if name.endswith((".a", ".h", ".c", ".pxd", ".pyi"))]
    kept = [name for name in old.namelist() if name not in dropped]
    assert new.namelist() == [name + "c" * name.endswith(".py") for name in kept]
    assert {member.compress_type for member in new.infolist()} == {zipfile.ZIP_STORED}
    for name in kept:
        if name.endswith(".py"):
            assert new.read(f"{name}c").startswith(UNCHECKED)
        else:
            assert new.read(name) == old.read(name)


def test_everything_that_pages_run_imports_without_what_is_left_out() -> None:
    wheel = next(DIST.glob("*.whl"))
    folders = (BROWSER / "fleetune", BROWSER.parent / "kernels_wasm" / "translate")
    count, failed = node.evaluate(IMPORTS % DIST.as_uri(), f"{DIST}/", str(wheel), *map(str, folders))
    assert count > 40
    assert failed == []


def test_the_lock_file_names_the_one_wheel_that_is_there() -> None:
    (wheel,) = DIST.glob("*.whl")
    (package,) = json.loads((DIST / "pyodide-lock.json").read_text())["packages"].values()
    assert (package["file_name"], package["sha256"]) == (
        wheel.name,
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
    )


def test_the_licences_are_with_it() -> None:
    names = {path.name for path in (VENDOR / "licences").iterdir()}
    assert {path.name for path in (DIST / "licences").iterdir()} == names | {"pyodide-0.27.8.txt"}
    assert "MPL-2.0" in (DIST / "licences" / "pyodide-0.27.8.txt").read_text()


def test_what_is_large_lies_there_packed_too() -> None:
    unpackers = {".br": brotli.decompress, ".gz": gzip.decompress}
    packed = [path for path in DIST.iterdir() if path.suffix in unpackers]
    large = [path for path in DIST.iterdir() if path.is_file() and path.stat().st_size >= LARGE]
    assert {path.with_suffix("") for path in packed} == {*large} - {*packed}
    assert all(
        unpackers[path.suffix](path.read_bytes()) == path.with_suffix("").read_bytes() for path in packed
    )


def test_a_changed_wheel_is_not_packed_and_what_was_there_stays(tmp_path: Path) -> None:
    for name in ("node_modules", "dist"):
        (tmp_path / name).mkdir()
    (tmp_path / "node_modules" / "pyodide").symlink_to(RELEASE)
    (tmp_path / "dist" / "pyodide").mkdir()
    (tmp_path / "dist" / "pyodide" / "old").touch()
    (tmp_path / SCRIPT.name).write_text(SCRIPT.read_text())
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / ARCHIVES[1].name).write_bytes(ARCHIVES[1].read_bytes()[:-1] + b"x")
    with pytest.raises(AssertionError, match="is not the wheel that Pyodide's release names"):
        node.run(tmp_path / SCRIPT.name)
    assert [path.name for path in (tmp_path / "dist").rglob("*")] == ["pyodide", "old"]
