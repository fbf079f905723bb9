"""The lab report, on worlds small enough to work out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.test_lab import SIGNATURE, manifest

from fleetune.context import Context, Environment
from fleetune.manifest import Kernel
from fleetune_research.lab_report import cells, differs, policies, repeatability, report
from fleetune_server.training.lab import LabRow

ROOT = Path(__file__).parents[1]

MANIFEST = manifest("scalar", "vectorization")


def row(times: Mapping[str, float], *, engine: str = "chromium", repeat: int = 0, size: int = 16) -> LabRow:
    environment = Environment(engine, 1, "linux", True, False, False, "2-3")
    still = dict.fromkeys(times, 0.0)
    counts = dict.fromkeys(times, 15)
    context = Context.of(size, "f32", "random")
    return LabRow(engine, environment, repeat, "dot", SIGNATURE, size, context, times, still, counts, ())


def always_scalar(kernel: Kernel, features: frozenset[str]) -> str:
    return "scalar"


# JavaScript 8 ms; scalar 4 then 2; vectorization 2 then 4: each best once, so hindsight cannot have both.
TWO_SIZES = [
    row({"js": 8, "scalar": 4, "vectorization": 2}),
    row({"js": 8, "scalar": 1, "vectorization": 4}, size=256),
]


def test_policies_are_geometric_means_over_cells() -> None:
    found = policies(cells(TWO_SIZES, MANIFEST), always_scalar)
    assert found["js"] == 1
    assert found["capability"] == pytest.approx(math.sqrt(2 * 8))
    assert found["best_fixed"] == pytest.approx(math.sqrt(2 * 8))
    assert found["oracle"] == pytest.approx(math.sqrt(4 * 8))
    assert found["fixed"]["vectorization"]["speedup"] == pytest.approx(math.sqrt(4 * 2))
    assert found["ofOracle"]["capability"] == pytest.approx((2 / 4 + 8 / 8) / 2)


def test_speedups_against_the_better_javascript_stand_beside() -> None:
    found = policies(cells([row({"js": 8, "js-tuned": 4, "scalar": 2})], MANIFEST), always_scalar)
    assert found["oracle"] == pytest.approx(4)
    assert found["againstTuned"]["oracle"] == pytest.approx(2)


def test_a_variant_that_a_kernel_lacks_falls_back_to_javascript() -> None:
    found = policies(cells([row({"js": 8, "vectorization": 2})], MANIFEST), always_scalar)
    assert found["capability"] == 1


def test_repeats_are_combined_as_geometric_means() -> None:
    (cell,) = cells([row({"js": 8, "scalar": 4}), row({"js": 8, "scalar": 1}, repeat=1)], MANIFEST)
    assert cell.speedups["scalar"] == pytest.approx(math.log(4))


def test_where_the_best_differs() -> None:
    firefox = [row({"js": 8, "scalar": 1, "vectorization": 2}, engine="firefox")]
    found = differs(cells(TWO_SIZES + firefox, MANIFEST))
    assert found["sizes"] == 1.0  # the only group of several sizes is Chromium's
    assert found["engines"] == 1.0
    assert found["enginesOver3pct"] == 1.0


def test_near_ties_do_not_count_as_a_material_difference() -> None:
    rows = [
        row({"js": 8, "scalar": 2.00, "vectorization": 2.01}),
        row({"js": 8, "scalar": 2.01, "vectorization": 2.00}, size=256),
    ]
    found = differs(cells(rows, MANIFEST))
    assert found["sizes"] == 1.0
    assert found["sizesOver3pct"] == 0.0


def test_repeatability_judges_one_run_by_the_other() -> None:
    # Run 0 prefers scalar, run 1 vectorization by 10 %; seen from run 0 vectorization loses 2 %.
    rows = [
        row({"js": 10, "scalar": 1.00, "vectorization": 1.02}),
        row({"js": 10, "scalar": 1.10, "vectorization": 1.00}, repeat=1),
    ]
    found = repeatability(rows)
    assert found["pairs"] == 2
    assert found["same_best"] == 0
    assert found["within_3pct"] == 0.5
    assert found["regret"] == pytest.approx(((1 - 1 / 1.1) + (1 - 1 / 1.02)) / 2)
    assert found["mean_abs_dlog"] == pytest.approx((math.log(1.1) + math.log(1.02)) / 2)


def test_identical_runs_repeat_perfectly() -> None:
    found = repeatability([row({"js": 8, "scalar": 4}, repeat=repeat) for repeat in range(3)])
    assert (found["same_best"], found["regret"], found["mean_abs_dlog"], found["pairs"]) == (1, 0, 0, 6)


def test_the_report_has_its_promised_keys() -> None:
    again = [row({"js": 8, "scalar": 4, "vectorization": 2}, repeat=1)]
    found = report(TWO_SIZES + again, MANIFEST, always_scalar)
    assert (found["kernels"], found["variants"], found["environments"]) == (1, 2, 1)
    assert {"js", "capability", "best_fixed", "oracle"} <= found["policies"]["chromium"].keys()
    promised = {"same_best", "within_3pct", "within_5pct", "mean_abs_dlog", "regret"}
    assert promised <= found["repeatability"].keys()
    assert found["best"][0]["engines"]["chromium"] == {"best": "vectorization", "speedup": pytest.approx(4)}


def test_no_measurements_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make lab"):
        report([], MANIFEST, always_scalar)


def reversed_by(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether each has a best of its own that costs the other more than 5 %."""
    both = one.keys() & other.keys()
    here, there = min(both, key=one.__getitem__), min(both, key=other.__getitem__)
    return one[there] > 1.05 * one[here] and other[here] > 1.05 * other[there]


@pytest.mark.parametrize("part", ["engine", "size", "pattern"])
def test_the_committed_lab_shows_what_the_fastest_variant_depends_on(part: str) -> None:
    """In more than one group in ten of cells that differ in nothing else: why reports name these."""
    alike: dict[tuple[object, ...], list[dict[str, float]]] = {}
    for engine in ("chromium", "firefox", "webkit"):
        lines = (ROOT / "kernels_wasm" / "lab" / f"{engine}.jsonl").read_text().splitlines()
        header, *rows = map(json.loads, lines)
        for row in rows:
            names = header["header"]["kernels"][row["kernel"]]["candidates"]
            place = {"engine": engine, **{key: row[key] for key in ("repeat", "kernel", "size", "pattern")}}
            rest = tuple(value for key, value in place.items() if key != part)
            timed = zip(names, row["times"], strict=True)
            alike.setdefault(rest, []).append({name: ms for name, ms in timed if ms})
    several = [cells for cells in alike.values() if len(cells) > 1]
    assert sum(any(reversed_by(one, other) for one in cells for other in cells) for cells in several) > (
        0.1 * len(several)
    )
