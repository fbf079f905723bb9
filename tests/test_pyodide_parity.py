"""The shared modules give the same answers in CPython and in Pyodide, on the same inputs."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests import node, parity_cases, releases, synthetic, tiny

from fleetune_server.publish.diff import diff

ROOT = Path(__file__).parents[1]
DIST = ROOT / "kernels_wasm" / "dist"
TOLERANCE = 1e-9  # relative; the two builds of numpy may sum in another order


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _inputs() -> dict[str, Any]:
    """The input of every case, by its name in parity_cases.CASES."""
    world = {"manifest": tiny.raw_manifest(), "environment": tiny.ENVIRONMENT.to_wire()}
    old = releases.first()
    new = releases.changed(old, 2, seed=1)
    return {
        "contexts": {
            "sizes": [0, 1, 2, 3, 5, 11, 12, 1000, 4096, 5792, 5793, 2**30],
            "environments": [environment.to_wire() for environment in synthetic.ENGINES],
        },
        "mechanisms": {"epsilons": [1, 2, 4]},
        "packets": world,
        "answers": [1.0, 0.5, 2.0],
        "timing": {"js": [1.0, 1.1, 1.05], "scalar": [0.5, 0.52, 0.51], "swar": [0.49, 0.7, 0.6]},
        "predictions": {**world, "artefact": _text(old)},
        "work": {"challenge": "c0ffee", "nonce": "0" * 32, "bits": 8},
        "deltas": {"old": _text(old), "new": _text(new), "delta": _text(diff(old, new))},
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """All cases from CPython and from Pyodide."""
    inputs = tmp_path_factory.mktemp("parity") / "inputs.json"
    inputs.write_text(json.dumps(_inputs()))
    printed = node.run(ROOT / "tests" / "pyodide_parity.mjs", inputs, cwd=ROOT)
    return json.loads(parity_cases.run(inputs.read_text())), json.loads(printed)


def differences(here: Any, there: Any, path: str = "") -> list[str]:
    """Where two JSON values differ; numbers by TOLERANCE, everything else exactly."""
    if isinstance(here, dict) and isinstance(there, dict):
        if here.keys() != there.keys():
            return [f"{path}: keys {sorted(here.keys() ^ there.keys())}"]
        return [line for key in here for line in differences(here[key], there[key], f"{path}.{key}")]
    if isinstance(here, list) and isinstance(there, list):
        if len(here) != len(there):
            return [f"{path}: {len(here)} items and {len(there)}"]
        pairs = enumerate(zip(here, there, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    if isinstance(here, float) and isinstance(there, float):
        same = math.isclose(here, there, rel_tol=TOLERANCE, abs_tol=1e-12)
    else:
        same = type(here) is type(there) and here == there
    return [] if same else [f"{path}: CPython {here!r}, Pyodide {there!r}"]


@pytest.mark.parametrize("case", parity_cases.CASES)
def test_pyodide_gives_what_cpython_gives(case: str, answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    here, there = answers
    assert here[case], "the case gives nothing to compare"
    assert differences(here[case], there[case]) == []


def test_the_comparison_finds_a_difference() -> None:
    assert differences({"a": [1.0, "x"]}, {"a": [1.0 + 1e-6, "x"]})
    assert differences([1], [True])
    assert differences({"a": 1}, {"b": 1})
    assert not differences({"a": [1.0, "x"]}, {"a": [1.0 + 1e-12, "x"]})


def test_deltas_give_the_same_bytes_on_both_sides(
    answers: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    assert all(side["deltas"] == {"applied": True} for side in answers)
