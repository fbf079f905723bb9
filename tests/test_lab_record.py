"""The lab recorder's own work: which cells, in which parts, and what is written of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from e2e.engines import ENGINES, LAB_ENGINES, chosen_engines
from hypothesis import given
from hypothesis import strategies as st
from kernels_wasm.lab.record import kernel_table, row, shares, significant, workloads_of, write
from tests.test_lab import HEADER, SIGNATURE, manifest

from fleetune.context import Context
from fleetune_server.training.lab import read

MANIFEST = manifest("scalar", "vectorization")
RESULT: dict[str, Any] = {
    "kernel": "dot",
    "size": 256,
    "pattern": "random",
    "copied": True,
    "candidates": {
        "js": {"ok": True, "ms": 0.0123456, "spread": 0.01234, "batches": 15},
        "scalar": {"ok": True, "ms": 0.0061728, "spread": 0.2, "batches": 5},
        "vectorization": {"ok": False, "error": "the result is 1, JavaScript gives 2"},
    },
}


def test_every_context_of_a_kernel_is_measured() -> None:
    cells = workloads_of(MANIFEST.kernels["dot"])
    assert [(cell["size"], cell["copied"]) for cell in cells] == [(16, False), (256, False)]


@given(st.integers(1, 200), st.integers(1, 7))
def test_launches_share_the_cells_without_loss(count: int, launches: int) -> None:
    cells = [{"size": size} for size in range(count)]
    parts = list(shares(cells, launches))
    assert [cell for part in parts for cell in part] == cells
    assert len(parts) <= launches
    assert all(parts)


def test_a_result_is_written_with_four_digits_and_without_what_was_wrong() -> None:
    line = row(RESULT, 2, MANIFEST)
    assert line["times"] == [0.01235, 0.006173, None]
    assert line["wrong"] == ["vectorization"]
    assert (line["repeat"], line["pattern"]) == (2, "random+copied")


@given(st.floats(1e-7, 1e6))
def test_rounding_keeps_four_significant_digits(value: float) -> None:
    assert significant(value) == pytest.approx(value, rel=5.1e-4)
    assert len(f"{significant(value):.12e}".split("e")[0].replace(".", "").rstrip("0")) <= 4


def test_what_is_written_is_what_the_reader_reads(tmp_path: Path) -> None:
    path = tmp_path / "chromium.jsonl"
    lines = [row(RESULT, repeat, MANIFEST) for repeat in (1, 0)]
    write(path, HEADER["header"] | {"kernels": kernel_table(lines, MANIFEST)}, lines)
    header, rows = read(path)
    assert header.engine == "chromium"
    assert [one.repeat for one in rows] == [0, 1]
    assert rows[0].wrong == ("vectorization",)
    assert not list(tmp_path.glob("*.part"))
    assert len(path.read_text().splitlines()) == 1 + 2
    assert rows[0].signature == SIGNATURE
    assert rows[0].context == Context(8, "f32", "random+copied")
    assert rows[0].times == {"js": 0.01235, "scalar": 0.006173}
    assert rows[0].batches == {"js": 15, "scalar": 5}


def test_a_baseline_tier_is_a_browser_of_its_own_only_in_the_lab() -> None:
    browsers = {name: ENGINES[name].wire_browser for name in LAB_ENGINES}
    assert browsers["firefox-baseline"] == "firefox-baseline"
    assert browsers["chromium-nosimd"] == "chromium"
    assert set(browsers.values()) == {
        "chromium",
        "firefox",
        "webkit",
        "chromium-baseline",
        "firefox-baseline",
        "webkit-baseline",
    }


def test_a_subset_of_engines_can_be_named_and_a_wrong_name_is_refused() -> None:
    assert chosen_engines("") == ("chromium", "firefox", "webkit")
    assert chosen_engines("webkit, chromium") == ("webkit", "chromium")
    with pytest.raises(ValueError, match="opera not among"):
        chosen_engines("opera")
