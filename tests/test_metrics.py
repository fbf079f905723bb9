"""`/metrics`: documented to the letter, and it counts what happens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests import tiny
from tests.load import Round
from tests.running import server

from fleetune import __version__
from fleetune_server.common.metrics import Histogram

README = Path(__file__).parents[1] / "server" / "README.md"
SERIES = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([^"]*)"\})? (\S+)')
SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("metrics")
    with (
        server(folder, kernels=tiny.write(folder / "dist"), lab=folder) as running,
        httpx.Client(base_url=running.url) as opened,
    ):
        yield opened


def exposition(text: str) -> tuple[set[tuple[str, str, str]], dict[str, float]]:
    """({(name, kind, meaning)}, {series: value}); every line is understood."""
    meanings: dict[str, str] = {}
    kinds: dict[str, str] = {}
    values: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, meaning = line.removeprefix("# HELP ").split(" ", 1)
            meanings[name] = meaning
        elif line.startswith("# TYPE "):
            name, kinds[name] = line.removeprefix("# TYPE ").split(" ")
        else:
            match = SERIES.fullmatch(line)
            assert match, line
            stem = match[1] if match[1] in kinds else SUFFIX.sub("", match[1])
            assert stem in kinds, f"{line}: not declared above"
            values[line.rsplit(" ", 1)[0]] = float(match[4])
    assert meanings.keys() == kinds.keys()
    return {(name, kinds[name], meaning) for name, meaning in meanings.items()}, values


def documented() -> dict[str, tuple[str, str, str]]:
    """name → (kind, label or "", meaning), from the table in server/README.md."""
    section = README.read_text().split("\n## Metrics", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(fleetune_\w+)` \| (\w+)(?: by `(\w+)`)? \| (.+) \|$", section, re.MULTILINE)
    assert len(rows) == sum(line.startswith("| `") for line in section.splitlines()), "a row of another form"
    return {name: (kind, label, meaning) for name, kind, label, meaning in rows}


def test_the_table_and_what_is_served_agree(client: httpx.Client) -> None:
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    served, _values = exposition(response.text)
    assert {(name, kind, meaning) for name, (kind, _label, meaning) in documented().items()} == served


JSON = {"content-type": "application/json"}


def test_what_happens_is_counted_under_documented_labels(client: httpx.Client) -> None:
    packets = Round.fetch(str(client.base_url)).packets(3, tiny.ENVIRONMENT)
    assert client.post("/api/telemetry", json=packets).json()["accepted"] == 3
    client.post("/api/telemetry", json=packets[0])
    client.post("/api/telemetry", content=b"{", headers=JSON)
    client.post("/api/telemetry", json=packets[0] | {"modelVersion": 999})
    client.post("/api/feedback", content=b"{", headers=JSON)
    client.request("DELETE", "/api/telemetry", json={"nonces": [packets[0]["nonce"]]})
    _served, values = exposition(client.get("/metrics").text)
    expected = {
        'fleetune_packets_total{outcome="accepted"}': 3,
        'fleetune_packets_total{outcome="duplicate"}': 1,
        'fleetune_rejected_total{code="bad-json"}': 2,
        'fleetune_rejected_total{code="unknown-model"}': 1,
        "fleetune_withdrawn_total": 1,
        "fleetune_ingest_seconds_count": 2,
        'fleetune_ingest_seconds_bucket{le="+Inf"}': 2,
        "fleetune_store_waiting_packets": 0,
        "fleetune_model_version": 1,
        "fleetune_sockets": 0,
        "fleetune_sockets_dropped_total": 0,
    }
    assert {series: values.get(series) for series in expected} == expected
    labels = {SUFFIX.sub("", m[1]): m[2] for m in map(SERIES.fullmatch, _lines(values)) if m and m[2]}
    del labels["fleetune_ingest_seconds"]
    table = documented()
    assert {name: label for name, label in labels.items() if label != "le"} == {
        name: label for name, (_kind, label, _meaning) in table.items() if label and name in labels
    }


def _lines(values: dict[str, float]) -> list[str]:
    return [f"{series} {value}" for series, value in values.items()]


def test_a_histogram_is_cumulative_and_its_bounds_belong_to_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 2.0):
        histogram.observe(seconds)
    assert list(histogram.lines("x")) == [
        'x_bucket{le="0.1"} 2',
        'x_bucket{le="1.0"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 2.650000",
        "x_count 4",
    ]


def test_readiness_build_and_waiting_reports_are_told(client: httpx.Client, tmp_path: Path) -> None:
    version = httpx.get(f"{client.base_url}api/model/latest").json()["version"]
    _served, values = exposition(client.get("/metrics").text)
    assert values[f'fleetune_build_info{{version="{__version__}"}}'] == 1
    assert values["fleetune_problems"] == len(client.get("/readyz").json()["problems"])
    assert values["fleetune_model_version"] == version
    assert 0 <= values["fleetune_model_age_seconds"] < 600
    assert values["fleetune_store_bytes"] > 1_000_000, "the page's files are in it"
    assert values["fleetune_free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert (values["fleetune_suspicious_places"], values["fleetune_held_back_cells"]) == (0, 0)
    before = values["fleetune_pending_packets"], values["fleetune_fresh_reports"]
    packets = Round.fetch(str(client.base_url)).packets(4, tiny.ENVIRONMENT)
    assert client.post("/api/telemetry", json=packets).json()["accepted"] == 4
    _served, values = exposition(client.get("/metrics").text)
    assert (values["fleetune_pending_packets"], values["fleetune_fresh_reports"]) == tuple(
        count + 4 for count in before
    )
