"""The reader of lab measurements."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetune.context import Environment
from fleetune.manifest import Manifest
from fleetune_server.training.lab import LabError, LabRow, Versions, headers, load, read

ROOT = Path(__file__).parents[1]
SIGNATURE = "ab" * 16
HEADER = {
    "header": {
        "engine": "chromium",
        "browserVersion": "156.0.1",
        "flags": [],
        "environment": {
            "browser": "chromium",
            "version": 156,
            "os": "linux",
            "simd": True,
            "relaxedSimd": True,
            "threads": True,
            "cores": "2-3",
        },
        "machine": "2-core x86-64",
        "date": "2026-11-23",
        "protocol": {"batches": 15},
        "isolated": True,
    }
}


def manifest(*variants: str) -> Manifest:
    """One kernel, `dot`, with these variants."""
    entries = [
        {
            "name": name,
            "optimisations": [] if name == "scalar" else name.split("+"),
            "features": [],
            "bundle": "base",
            "offset": 0,
            "size": 1,
            "sha256": "",
            "profile": {},
        }
        for name in variants
    ]
    kernel = {
        "name": "dot",
        "family": "linear algebra",
        "summary": "",
        "dtype": "f32",
        "params": [],
        "returns": "f32",
        "sizes": [16, 256],
        "patterns": ["random"],
        "copied": False,
        "tolerance": {"relative": 0, "absolute": 0},
        "dataEnd": 0,
        "baselines": ["js"],
        "profile": {},
        "profileSignature": SIGNATURE,
        "variants": entries,
    }
    return Manifest.load({"schema": 1, "bundles": {}, "kernels": [kernel]})


def raw_row(**changes: Any) -> dict[str, Any]:
    row = {
        "repeat": 0,
        "kernel": "dot",
        "signature": SIGNATURE,
        "size": 16,
        "context": {"log2Size": 4, "dtype": "f32", "pattern": "random"},
        "times": {"js": 4.0, "scalar": 2.0},
        "spread": {"js": 0.01, "scalar": 0.02},
        "batches": {"js": 15, "scalar": 15},
        "wrong": [],
    }
    return {**row, **changes}


def write(folder: Path, *lines: Any, name: str = "chromium.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def one(folder: Path, **changes: Any) -> LabRow:
    header, rows = read(write(folder, HEADER, raw_row(**changes)))
    assert header.engine == "chromium"
    return rows[0]


def test_a_row_becomes_speedups_over_javascript(tmp_path: Path) -> None:
    row = one(tmp_path)
    assert row.environment.browser == "chromium"
    assert row.context.log2_size == 4
    assert row.log_speedups() == {"js": 0.0, "scalar": pytest.approx(math.log(2))}


def test_a_disturbed_series_is_left_out(tmp_path: Path) -> None:
    row = one(tmp_path, spread={"js": 0.01, "scalar": 0.21})
    assert row.log_speedups() == {"js": 0.0}


def test_a_disturbed_baseline_takes_the_row_with_it(tmp_path: Path) -> None:
    assert one(tmp_path, spread={"js": 0.5, "scalar": 0.0}).log_speedups() == {}


def test_rows_of_another_build_are_left_out_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, HEADER, raw_row(), raw_row(signature="00" * 16, kernel="gone"))
    rows = load(tmp_path, manifest("scalar"))
    assert [row.kernel for row in rows] == ["dot"]
    assert "1 rows of gone" in caplog.text


def test_candidates_that_the_catalogue_lost_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, HEADER, raw_row(times={"js": 1.0, "scalar": 1.0, "swar": 1.0}, wrong=["swar"]))
    (row,) = load(tmp_path, manifest("scalar"))
    assert set(row.times) == {"js", "scalar"}
    assert row.wrong == ()


def test_headers_say_how_each_file_was_made(tmp_path: Path) -> None:
    write(tmp_path, HEADER)
    assert [header.protocol for header in headers(tmp_path)] == [{"batches": 15}]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        ([raw_row()], ":1: KeyError 'header'"),
        ([HEADER, raw_row(times={"js": 0})], ":2: ValueError time of js"),
        ([HEADER, raw_row(), raw_row(times={"js": float("nan")})], ":3: ValueError time of js"),
        ([HEADER, {}], ":2: KeyError 'kernel'"),
        ([{"header": {**HEADER["header"], "schema": 9}}], "schema 9"),
    ],
    ids=["empty", "no header", "zero", "nan", "no kernel", "schema"],
)
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        read(write(tmp_path, *lines))


def test_a_torn_line_is_refused_by_number(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER)
    path.write_text(path.read_text() + '{"repeat": 0, "ker')
    with pytest.raises(LabError, match=r"chromium\.jsonl:2: not JSON"):
        read(path)


def test_versions_that_cannot_have_been_released_join_their_engine(tmp_path: Path) -> None:
    day = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    lab = ROOT / "kernels_wasm" / "lab"
    (newest,) = {one.environment.version for one in headers(lab) if one.engine == "firefox"}
    versions = Versions.of(lab)
    week = 7 * 86_400

    def kept(version: int, weeks: float, browser: str = "firefox") -> bool:
        environment = Environment(browser, version, "linux", True, True, False, "2-3")
        bounded = versions.bounded(environment, day + weeks * week)
        if bounded != environment:
            assert (bounded.browser, bounded.version, bounded.features) == (
                browser,
                0,
                frozenset({"simd", "relaxedSimd"}),
            )
        return bounded == environment

    assert kept(1, 0)
    assert kept(newest + 2, 0)
    assert not kept(newest + 3, 3.9)
    assert kept(newest + 3, 4.1)
    assert not kept(9999, 520)
    assert kept(newest + 2, -52), "a clock that is behind"
    assert kept(newest + 13 * 10, 521), "ten years later, every version up to then"
    assert not kept(7, 0, "other"), "of a browser that nobody knows, no version says anything"
    assert kept(0, 0, "other")
    nothing = Versions.of(tmp_path)
    assert (
        nothing.bounded(Environment("firefox", 9999, "linux", True, True, False, "2-3"), day).version == 9999
    )


def test_a_lab_file_without_a_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "firefox.jsonl").write_text("")
    with pytest.raises(LabError, match=r"firefox\.jsonl:1"):
        Versions.of(tmp_path)
