"""Runs generated cases in Node, over every candidate of every kernel by every way."""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tests import node
from tests.calls.generate import cases
from tests.calls.own import Own, entries, write
from tests.kernel_runner import DIST, manifest

from fleetune.manifest import Kernel

TUNED = Path(__file__).parents[2] / "browser" / "web" / "embed" / "tuned_kernel.js"
BATCH = 700  # cases a process


def run_in_node(batch: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """What Node says of these cases: calls, kernels, candidates, ways, wrong."""
    request = {"dist": str(DIST), "tuned": str(TUNED), **options, "cases": batch}
    script = Path(__file__).with_name("node.mjs")
    answer: dict[str, Any] = json.loads(node.run(script, input=json.dumps(request), timeout=600))
    return answer


def kernels(only: list[str] | None = None) -> list[Kernel]:
    """The catalogue's kernels, or those named."""
    return [k for k in manifest().kernels.values() if not only or k.name in only]


def attack(
    seed: int = 1,
    count: int | None = None,
    seconds: float | None = None,
    given: Iterable[Kernel] = (),
    own: Sequence[Own] = (),
    endless: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """So many cases, or as many as fit into the time, of the catalogue's and of operators' kernels in turn: totals and
    what was wrong."""
    sets: dict[str, set[str]] = {"kernels": set(), "candidates": set(), "ways": set()}
    total: dict[str, Any] = {"cases": 0, "calls": 0, **sets, "wrong": []}
    with tempfile.TemporaryDirectory() as folder:
        write(own, Path(folder))
        sources: list[tuple[Sequence[Kernel], dict[str, Any]]] = [
            (list(given), {}),
            ([one.kernel for one in own], {"own": {"root": folder, "entries": entries(own)}}),
        ]
        streams = [(cases(list(some), seed, endless), more) for some, more in sources if some]
        until = None if seconds is None else time.monotonic() + seconds
        for stream, more in itertools.cycle(streams):
            if total["cases"] == count or (until is not None and time.monotonic() >= until):
                break
            batch = list(islice(stream, BATCH if count is None else min(BATCH, count - total["cases"])))
            answer = run_in_node(batch, **options, **more)
            total["cases"] += len(batch)
            total["calls"] += answer["calls"]
            for key, values in sets.items():
                values.update(answer[key])
            total["wrong"] += answer["wrong"]
    return total
