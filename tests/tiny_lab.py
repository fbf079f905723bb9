"""Lab files of the tiny catalogue."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tests import synthetic, tiny

BASE_MS = 0.01


def write_lab(folder: Path) -> Path:
    """Write them from the synthetic truth; one engine is lab-only."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, environment in enumerate((*synthetic.ENGINES[:2], None)):
        wire = (environment or synthetic.ENGINES[0]).to_wire()
        truth_of = environment or synthetic.ENGINES[0]
        if environment is None:
            wire = wire | {"browser": "chromium-baseline"}
        lines: list[dict[str, Any]] = [
            {
                "header": {
                    "engine": f"engine{number}",
                    "browserVersion": "1",
                    "flags": [],
                    "environment": wire,
                    "machine": "test",
                    "date": "2026-11-23",
                    "protocol": {},
                    "isolated": True,
                }
            }
        ]
        for kernel in tiny.manifest().kernels.values():
            for size, _pattern, _copied, context in kernel.contexts():
                names = kernel.candidates(truth_of.features)
                speed = {name: synthetic.truth(kernel, context, truth_of, name) for name in names}
                lines.append(
                    {
                        "repeat": 0,
                        "kernel": kernel.name,
                        "signature": kernel.signature,
                        "size": size,
                        "context": context.to_wire(),
                        "times": {name: BASE_MS * math.exp(-value) for name, value in speed.items()},
                        "spread": dict.fromkeys(names, 0.01),
                        "batches": dict.fromkeys(names, 15),
                        "wrong": [],
                    }
                )
        (folder / f"engine{number}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder
