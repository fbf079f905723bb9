"""What the dashboard makes of metrics: the simulation that is committed, and tables as files."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleetune_server import api

WEB = Path(__file__).parents[1] / "browser" / "web"


def table(panel: str, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """A panel's table, and the files that its buttons save."""
    script = f"""
      import * as panels from "./dashboard_panels.js";
      const table = panels.{panel}({json.dumps(metrics)});
      const files = table && {{ csv: panels.csv(table), json: panels.json(table) }};
      console.log(JSON.stringify(table ? {{ ...table, files }} : null));"""
    node = shutil.which("node")
    assert node, "node is needed to test the JavaScript side"
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=WEB, capture_output=True, check=True, text=True)
    answer: dict[str, Any] | None = json.loads(done.stdout)
    return answer


def test_a_recorded_simulation_becomes_a_curve_a_table_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = tmp_path / "simulation.json"
    curve = [
        {"reports": 0.0, "mae": 0.06, "accuracy": 0.94},
        {"reports": 1000.0, "mae": 0.05, "accuracy": 0.95},
    ]
    recorded.write_text(json.dumps({"command": "fleetune simulate", "curve": curve}))
    monkeypatch.setattr(api, "SIMULATION", recorded)
    api._simulation.cache_clear()
    try:
        shown = table("simulated", {"simulation": api._simulation()})
    finally:
        api._simulation.cache_clear()
    assert shown is not None
    assert shown["x"] == "reports"
    assert shown["lines"] == [{"column": "accuracy"}]
    rows = list(csv.DictReader(io.StringIO(shown["files"]["csv"])))
    assert [float(row["accuracy"]) for row in rows] == [0.94, 0.95]
    assert json.loads(shown["files"]["json"])[1]["reports"] == 1000


def test_without_a_simulation_there_is_nothing_to_draw() -> None:
    assert table("simulated", {"simulation": None}) is None
