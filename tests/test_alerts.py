"""The alert rules and the dashboard: checked by `promtool`, and fired by a real Prometheus on a real server."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from tests import tiny
from tests.load import Round
from tests.proxies import free_port
from tests.running import Running, server

from fleetune_server.pipeline import TRAINED
from fleetune_server.training.trainer import STUCK

SERVER = Path(__file__).parents[1] / "server"
PATIENCE = 60.0  # seconds
DAY = 86_400
INSTANCE = 'instance="fleetune-1:8000", job="fleetune"'
# Alert → series that fire it, series that just do not, minutes until it must fire, what it then says.
CASES: dict[str, tuple[dict[str, str], dict[str, str], int, str]] = {
    "FleetuneUnreachable": ({"up": "0x99"}, {"up": "0 1 0x99"}, 3, "fleetune-1:8000 does not answer"),
    "FleetuneNotReady": (
        {"fleetune_problems": "2x99"},
        {"fleetune_problems": "2x4 0 2x99"},
        6,
        "fleetune-1:8000: /readyz names 2 problems",
    ),
    "FleetuneLearningStuck": (
        {"fleetune_refused_in_a_row": f"{STUCK}x99"},
        {"fleetune_refused_in_a_row": f"{STUCK - 1}x99"},
        1,
        "the gate refused the last 3 trainings: run `fleetune doctor`",
    ),
    "FleetunePlacePoisoned": (
        {"fleetune_suspicious_places": "1x99"},
        {"fleetune_suspicious_places": "0x99"},
        1,
        "training does not believe the reports of 1 places: run `fleetune doctor`",
    ),
    "FleetunePlaceHeld": (
        {"fleetune_held_places": "2x99"},
        {"fleetune_held_places": "2x59 0x99"},
        61,
        "the reports of 2 places are not believed: run `fleetune doctor`",
    ),
    "FleetunePlaceFlooded": (
        {"fleetune_flooded_places": "2x99"},
        {"fleetune_flooded_places": "2x59 0x99"},
        61,
        "fleetune-1:8000: floods of reports in 2 places",
    ),
    "FleetuneDiskFull": (
        {"fleetune_free_bytes": "999999999x99"},
        {"fleetune_free_bytes": "1000000000x99"},
        11,
        "fleetune-1:8000: less than 1 GB is free for keys and database",
    ),
    "FleetuneModelOld": (
        {"fleetune_model_age_seconds": f"{DAY + 1}+60x99", "fleetune_fresh_reports": "1x99"},
        {"fleetune_model_age_seconds": f"{DAY + 1}+60x99", "fleetune_fresh_reports": "0x99"},
        61,
        "reports wait, and no version was published for a day",
    ),
}


def prometheus_tool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], input=text, capture_output=True, text=True, check=False, cwd=SERVER
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("alerts")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as started:
        yield started


def test_promtool_finds_nothing_wrong_with_metrics_rules_and_configuration(running: Running) -> None:
    exposition = httpx.get(f"{running.url}metrics").text
    for arguments, text in (
        (("check", "metrics"), exposition),
        (("check", "rules", "rules.yml"), ""),
        (("check", "config", "prometheus.yml"), ""),
    ):
        done = prometheus_tool(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "not even advice"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((SERVER / "rules.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_each_alert_fires_when_it_should_and_not_just_before(tmp_path: Path) -> None:
    assert {rule["alert"] for rule in rules()} == CASES.keys()
    tests = []
    for alert, (fires, quiet, minutes, summary) in CASES.items():
        for series, expected in (
            (fires, [{"exp_labels": labels(), "exp_annotations": {"summary": summary}}]),
            (quiet, []),
        ):
            values = [{"series": f"{name}{{{INSTANCE}}}", "values": value} for name, value in series.items()]
            asked = {"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}
            tests.append({"interval": "1m", "input_series": values, "alert_rule_test": [asked]})
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(SERVER / "rules.yml")], "tests": tests}))
    done = prometheus_tool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def labels() -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', INSTANCE))


def names(expression: str) -> set[str]:
    return set(re.findall(r"fleetune_\w+", expression))


def test_the_dashboard_and_the_rules_ask_for_metrics_and_labels_that_are_served(running: Running) -> None:
    exposition = httpx.get(f"{running.url}metrics").text
    series = {line.split(" ")[0] for line in exposition.splitlines() if not line.startswith("#")}
    served = {name.split("{")[0] for name in series}
    of_server = set(re.findall(r'[{,](\w+)="', " ".join(series))) | {"instance"}
    dashboard = json.loads((SERVER / "dashboard.json").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(panels) > 20
    for expression in (*panels, *(rule["expr"] for rule in rules())):
        assert names(expression) <= served
        assert names(expression) or expression.startswith("up{")
        assert set(re.findall(r"by \((\w+)\)", expression)) <= of_server
    legends = {target["legendFormat"] for panel in dashboard["panels"] for target in panel["targets"]}
    assert set(re.findall(r"{{(\w+)}}", " ".join(legends))) <= of_server
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for text in panels for name in names(text)}
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name in served}
    assert {name for name in told - shown if not name.endswith(("_low", "_high"))} == set(), (
        "a metric that nobody would see"
    )


@contextlib.contextmanager
def prometheus(folder: Path, targets: list[str], text: str) -> Iterator[str]:
    """A Prometheus with these rules and the shipped configuration, its targets and intervals replaced."""
    configuration = yaml.safe_load((SERVER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = targets
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (folder / "rules.yml").write_text(text)
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}",
             f"--storage.tsdb.path={folder / 'data'}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://{address}/api/v1/"
    finally:
        process.terminate()
        process.wait(30)


def alerts(api: str) -> set[str]:
    """The alerts that fire now; none while it starts."""
    with contextlib.suppress(httpx.TransportError):
        answer = httpx.get(f"{api}alerts")
        found = answer.json()["data"]["alerts"] if answer.status_code == 200 else []
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}
    return set()


def scraped(api: str) -> bool:
    """Whether the server was scraped and the rules were looked at since."""
    with contextlib.suppress(httpx.TransportError):
        answer = httpx.get(f"{api}query", params={"query": "count_over_time(fleetune_problems[1m]) > 3"})
        return answer.status_code == 200 and bool(answer.json()["data"]["result"])
    return False


def until(api: str, wanted: set[str]) -> set[str]:
    """What fires once all of `wanted` do, or at the end of our patience."""
    end = time.monotonic() + PATIENCE
    while not wanted <= (firing := alerts(api)) and time.monotonic() < end:
        time.sleep(0.3)
    return firing


def test_a_real_prometheus_fires_every_alert_on_a_broken_server_and_none_on_a_sound_one(
    tmp_path: Path,
) -> None:
    """Without the rules' patience, and with more free space asked for than any disk has."""
    settings = {"kernels": tiny.write(tmp_path / "dist"), "lab": tmp_path}
    text = re.sub(r"for: \w+", "for: 0s", (SERVER / "rules.yml").read_text())
    with server(tmp_path, **settings) as sound:
        host = sound.url.removeprefix("http://").rstrip("/")
        with prometheus(tmp_path / "sound", [host], text) as api:
            end = time.monotonic() + PATIENCE
            while not scraped(api):
                assert time.monotonic() < end, (tmp_path / "sound" / "log").read_text()
                time.sleep(0.3)
            assert alerts(api) == set()
    with closing(sqlite3.connect(tmp_path / "data" / "fleetune.db")) as database:
        database.execute("UPDATE versions SET created = ?", (int(time.time()) - 2 * DAY,))
        held = "json_set(document, '$.metadata.trainedOn.heldPlaces', 1)"
        database.execute(f"UPDATE versions SET document = {held}")
        place = {
            "signature": "s",
            "environment": "firefox *",
            "candidate": "c",
            "reports": 40,
            "why": "crowd",
        }
        seen = {"reports": 0, "at": time.time(), "refused": STUCK, "suspicions": [place]}
        database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (TRAINED, json.dumps(seen)))
        database.commit()
    assert "free_bytes < 1e9" in text
    with server(tmp_path, trusted_proxy="127.0.0.1", **settings) as broken:
        packets = Round.fetch(broken.url).packets(120, tiny.ENVIRONMENT)
        statuses = [
            httpx.post(
                f"{broken.url}api/telemetry",
                json=packets[start : start + 10],
                headers={"x-forwarded-for": f"192.0.{start}.1"},
            ).status_code
            for start in range(0, 120, 10)
        ]
        assert (statuses[0], statuses[-1]) == (202, 428), "a flood"
        targets = [broken.url.removeprefix("http://").rstrip("/"), f"127.0.0.1:{free_port()}"]
        text = text.replace("free_bytes < 1e9", "free_bytes < 1e18")
        with prometheus(tmp_path / "broken", targets, text) as api:
            assert until(api, set(CASES)) == set(CASES)
