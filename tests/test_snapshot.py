"""Python starts from the memory snapshot, and plainly from one that is missing, damaged or another."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "browser" / "node_modules" / "pyodide" / "snapshot.bin.gz"
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each kind of snapshot, all started in one process of Node."""
    folder = tmp_path_factory.mktemp("snapshots")
    whole = SNAPSHOT.read_bytes()
    kinds = {
        "cut": whole[: len(whole) // 2],
        "other": gzip.compress(bytes(4 << 20)),
        "another build": gzip.compress(_other_build(gzip.decompress(whole)), compresslevel=1),
        "whole": whole,
        "whole again": whole,
    }
    named = [{"file": str(folder / "missing"), "sha256": ""}]
    for kind, content in kinds.items():
        (folder / kind).write_bytes(content)
        promised = content if kind == "another build" else whole
        named.append({"file": str(folder / kind), "sha256": hashlib.sha256(promised).hexdigest()})
    assert NODE
    done = subprocess.run(
        [NODE, str(ROOT / "tests" / "snapshot_in_node.mjs"), json.dumps(named)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return {Path(start["name"]).name: start for start in json.loads(done.stdout)}


def _other_build(snapshot: bytes) -> bytes:
    """The same with another build's identity in its header (the fifth word)."""
    return snapshot[:16] + bytes(32) + snapshot[48:]


def test_the_build_makes_one() -> None:
    assert SNAPSHOT.stat().st_size > 1 << 20


@pytest.mark.parametrize("kind", ["missing", "cut", "other", "another build"])
def test_a_snapshot_that_does_not_fit_is_named_and_python_starts_plainly(
    starts: dict[str, dict[str, Any]], kind: str
) -> None:
    assert starts[kind]["version"] == [3, 12]
    assert starts[kind]["sum"] == 45
    (warning,) = starts[kind]["warnings"]
    assert "without its snapshot" in warning


def test_a_whole_one_is_used_and_private_randomness_is_not_in_it(starts: dict[str, dict[str, Any]]) -> None:
    first, second = starts["whole"], starts["whole again"]
    assert first["warnings"] == second["warnings"] == []
    assert first["sum"] == 45
    assert first["secret"] != second["secret"]
    assert first["seconds"] < starts["missing"]["seconds"]
