"""What the dashboard makes of metrics: the simulation that is committed, and tables as files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests import node

from fleetune_server.http import endpoints as api

WEB = Path(__file__).parents[1] / "browser" / "web"


def table(panel: str, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """A panel's table, and the files that its buttons save."""
    script = f"""
      import * as panels from "./dashboard/tables.js";
      const table = panels.{panel}({json.dumps(metrics)});
      const files = table && {{ csv: panels.csv(table), json: panels.json(table) }};
      console.log(JSON.stringify(table ? {{ ...table, files }} : null));"""
    answer: dict[str, Any] | None = node.evaluate(script, cwd=WEB)
    return answer


def test_a_recorded_simulation_becomes_a_curve_a_table_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = tmp_path / "simulation.json"
    curve = [
        {"reports": 0.0, "mae": 0.06, "accuracy": 0.94},
        {"reports": 1000.0, "mae": 0.05, "accuracy": 0.95},
    ]
    recorded.write_text(json.dumps({"command": "python -m fleetune_research simulate", "curve": curve}))
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


def test_without_reports_there_is_no_figure_to_draw() -> None:
    """A panel whose lines and bars have no figure says so instead."""
    learned = {"count": 50, "mae": 0.05, "maeLow": 0.04, "maeHigh": 0.06}
    for figures, mae in (({}, None), ({"reports": {"count": 5}}, None), ({"reports": learned}, 0.05)):
        version = {"version": 2, "metadata": {"trainedOn": {"reports": 7}, "metrics": figures}}
        shown = table("recorded", {"versions": [version]})
        assert shown is not None
        assert [row[shown["columns"].index("mae")] for row in shown["rows"]] == [mae]
    none = table("latency", {"telemetryToModel": {"bounds": [60], "counts": [0, 0]}})
    assert none is not None
    assert [row[1] for row in none["rows"]] == [0, 0]
    empty = table("packets", {"hours": []})
    assert empty is not None
    assert empty["rows"] == []
