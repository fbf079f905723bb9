"""What `explain` says is what happened: the candidate that made the last call, by which way, and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests import node
from tests.kernel_runner import DIST

from fleetune_server.kernels.catalogue import Catalogue

HERE = Path(__file__).parent


def row(choice: str, log2_size: int, why: str) -> dict[str, Any]:
    return {
        "size": 2**log2_size, "log2Size": log2_size, "choice": choice, "speedup": 2, "low": 1.5, "high": 3,
        "source": "predicted", "why": why, "candidates": {},
    }  # fmt: skip


RESIDENT = [row("js", 3, "small and resident"), row("inlining", 9, "large and resident")]
COPIED = [row("js-tuned", 3, "small and copied"), row("nosuch", 9, "missing"), row("inlining", 16, "copied")]


def said(folder: Path, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for path, file in Catalogue.load(DIST).files.items():
        if path.startswith("embed/saxpy"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(file.body)
    (folder / "package.json").write_text('{"type": "module"}')
    kernels = {"saxpy": {"random": RESIDENT, "random+copied": COPIED}}
    request = {
        "root": str(folder),
        "steps": steps,
        "decisions": {"version": 1, "root": "", "kernels": kernels},
    }
    answer: list[dict[str, Any]] = json.loads(
        node.run(HERE / "explain_in_node.mjs", input=json.dumps(request))
    )
    return answer


def test_the_last_call_is_explained(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        [
            {"n": 8},
            {"n": 500},
            {"n": 60_000},
            {"n": 8, "inside": True},
            {"n": 500, "inside": True},
            {"n": 500},
            {"n": 300_000},
            {"explain": {"size": 400_000, "copied": True}},
            {"explain": {"size": 500}},
        ],
    )
    assert [(one["variant"], one["way"]) for one in found] == [
        ("js-tuned", "javascript"),
        ("js", "javascript"),
        ("inlining", "copied"),
        ("js", "javascript"),
        ("inlining", "resident"),
        ("js", "javascript"),
        ("js", "javascript"),
        ("js", "javascript"),
        ("inlining", "resident"),
    ]
    whys = [one["why"] for one in found]
    assert whys[0] == "small and copied"
    assert "nosuch was chosen but set aside" in whys[1]
    assert whys[2:5] == ["copied", "small and resident", "large and resident"]
    assert "no room to copy" in whys[6], "after the first alloc the memory cannot grow"
    assert "no room to copy" in whys[7]
    assert (found[6]["speedup"], found[6]["source"]) == (1, "default")
    proofs = [one.get("proof") for one in found]
    assert proofs[2] == proofs[4] == proofs[8], "the same module"
    assert re.match(
        r"Equal to the plain module for every n up to \d+, bit for bit\. Assumed: arrays do not overlap; .*NaN",
        str(proofs[2]),
    )
    assert [bool(proof) for proof in proofs] == [one["way"] != "javascript" for one in found]
