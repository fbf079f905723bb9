"""Run kernels.js and the modules in Node, as a stand-in for a page without a browser."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests import node
from tests.kernel_reference import Outcome
from tests.kernel_runner import DIST, manifest

SCRIPT = Path(__file__).with_name("kernels_in_node.mjs")
TYPES = {
    "Int8Array": np.int8,
    "Uint8Array": np.uint8,
    "Int16Array": np.int16,
    "Uint16Array": np.uint16,
    "Int32Array": np.int32,
    "Uint32Array": np.uint32,
    "Float32Array": np.float32,
    "Float64Array": np.float64,
}


@dataclass(frozen=True)
class Case:
    size: int
    pattern: str
    arguments: list[Any]
    outcomes: dict[tuple[str, str], Outcome]  # (candidate, mode) → what it gave


def run_in_node(kernel: str, more_sizes: tuple[int, ...] = ()) -> list[Case]:
    """The smallest, a middle size and `more_sizes` of every pattern, through every candidate's own loops."""
    row = manifest().kernels[kernel]
    cases = [
        {"size": size, "pattern": pattern, "seed": seed}
        for seed, pattern in enumerate(row.patterns, 1)
        for size in (row.sizes[0], row.sizes[2], *more_sizes)
    ]
    printed = node.run(SCRIPT, input=json.dumps({"dist": str(DIST), "kernel": kernel, "cases": cases}))
    return [
        Case(
            answer["size"],
            answer["pattern"],
            [_value(argument) for argument in answer["arguments"]],
            {(o["candidate"], o["mode"]): _outcome(o) for o in answer["outcomes"]},
        )
        for answer in json.loads(printed)
    ]


def _outcome(found: dict[str, Any]) -> Outcome:
    result = found["result"]
    number = float(result.replace("Infinity", "inf")) if isinstance(result, str) else result
    return number, {name: _value(array) for name, array in found["outputs"].items()}


def _value(found: Any) -> Any:
    if isinstance(found, dict):
        return np.frombuffer(base64.b64decode(found["data"]), TYPES[found["type"]])
    return found
