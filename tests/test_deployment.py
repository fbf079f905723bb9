"""The documented deployment names services, settings, files and ports that exist."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fleetune_server.cli import COMMANDS
from fleetune_server.commands.serve import MAX_HEAD
from fleetune_server.kernels.shelf import MAX_BYTES
from fleetune_server.settings import ROOT, Settings
from fleetune_server.store.opening import is_postgres

SERVER = ROOT / "server"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((SERVER / "compose.yaml").read_text())
    return document


@pytest.fixture(scope="module")
def replicas(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if "build" in service}


def settings(service: dict[str, Any]) -> Settings:
    password = re.compile(r"\$\{POSTGRES_PASSWORD:\?[^}]*\}")
    image = re.search(r"^ENV (.*)$", (SERVER / "Dockerfile").read_text(), re.MULTILINE)
    assert image
    variables = dict(item.split("=", 1) for item in image[1].split())
    variables |= {key: password.sub("secret", text) for key, text in service["environment"].items()}
    return Settings.from_env(variables)


def test_every_setting_of_every_replica_exists_and_they_are_the_same(
    replicas: dict[str, dict[str, Any]], compose: dict[str, Any]
) -> None:
    assert len(replicas) == 2
    first, second = map(settings, replicas.values())
    assert first == second, "replicas differ in nothing"
    assert is_postgres(first.store_url)
    database = compose["services"]["postgres"]["environment"]
    expected = f"postgresql://{database['POSTGRES_USER']}:secret@postgres/{database['POSTGRES_DB']}"
    assert first.store_url == expected
    for service in replicas.values():
        assert service["volumes"] == [f"data:{first.data}"], "keys are shared and outlast the container"
        assert f":{first.port}/readyz" in service["healthcheck"]["test"][-1]


def test_the_image_installs_what_the_lock_names_and_the_lock_fits_the_project() -> None:
    lock = (SERVER / "requirements.lock").read_text()
    dockerfile = (SERVER / "Dockerfile").read_text()
    assert "--require-hashes --only-binary=:all: -r server/requirements.lock" in dockerfile
    assert "--no-deps --no-index dist/*.whl" in dockerfile
    assert not re.search(r"://|index|simple", lock), "no registry's address"
    entries = lock.replace("\\\n", " ").splitlines()
    locked = {}
    for entry in (entry for entry in entries if entry and not entry.startswith("#")):
        requirement, *hashes = entry.split(" --hash=")
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes), requirement
        pinned = Requirement(requirement)
        (exact,) = pinned.specifier
        assert exact.operator == "=="
        locked[canonicalize_name(pinned.name)] = exact.version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [requirement for name in locked for requirement in metadata.requires(name) or ()]
    needed = [
        text for text in needed if not (marker := Requirement(text).marker) or marker.evaluate({"extra": ""})
    ]
    for text in (*project["dependencies"], *project["optional-dependencies"]["postgres"], *needed):
        wanted = Requirement(text)
        version = locked.get(canonicalize_name(wanted.name))
        assert version in wanted.specifier if version else False, f"{text}: run `make lock`"


def test_the_proxy_reaches_every_replica_and_is_the_one_they_trust(
    replicas: dict[str, dict[str, Any]], compose: dict[str, Any]
) -> None:
    upstreams = re.search(r"reverse_proxy (.*) \{", (SERVER / "Caddyfile").read_text())
    assert upstreams
    port = settings(replicas["fleetune-1"]).port
    assert upstreams[1].split() == [f"{name}:{port}" for name in replicas]
    address = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    config = compose["networks"]["inside"]["ipam"]["config"][0]
    assert ipaddress.ip_address(address) in ipaddress.ip_network(config["subnet"])
    assert ipaddress.ip_address(address) not in ipaddress.ip_network(config["ip_range"]), (
        "Docker could give it to another service"
    )
    gateway = next(ipaddress.ip_network(config["subnet"]).hosts())
    assert ipaddress.ip_address(address) != gateway
    assert all(settings(service).trusted_proxy == (address,) for service in replicas.values())
    published = [
        port for name, one in compose["services"].items() if name != "proxy" for port in one.get("ports", ())
    ]
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_prometheus_scrapes_every_replica_and_grafana_finds_prometheus_and_its_dashboard(
    replicas: dict[str, dict[str, Any]], compose: dict[str, Any]
) -> None:
    (job,) = yaml.safe_load((SERVER / "prometheus.yml").read_text())["scrape_configs"]
    port = settings(replicas["fleetune-1"]).port
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name in replicas]}]
    assert any(f'job="{job["job_name"]}"' in line for line in (SERVER / "rules.yml").read_text().splitlines())
    (source,) = yaml.safe_load(compose["configs"]["datasource"]["content"])["datasources"]
    assert source["url"] == "http://prometheus:9090"
    panels = json.loads((SERVER / "dashboard.json").read_text())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    (provider,) = yaml.safe_load(compose["configs"]["dashboards"]["content"])["providers"]
    (mounted,) = (volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"])
    assert Path(mounted).parent == Path(provider["options"]["path"])
    named = {config["source"] for config in compose["services"]["grafana"]["configs"]}
    assert named == compose["configs"].keys()
    rules = {volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]}
    assert {"/etc/prometheus/prometheus.yml", "/etc/prometheus/rules.yml"} <= rules


def test_the_proxy_bounds_what_the_fast_parser_does_not() -> None:
    """Replicas that trust a proxy use httptools, which collects headers and bodies without end."""
    text = (SERVER / "Caddyfile").read_text()
    header = re.search(r"max_header_size (\d+)KiB", text)
    body = re.search(r"max_size (\d+)MB", text)
    assert header
    assert body
    assert int(header[1]) * 1024 == MAX_HEAD
    assert MAX_BYTES <= int(body[1]) * 1_000_000 < 2 * MAX_BYTES
    assert re.search(r"read_header \d+s", text)


def test_services_volumes_and_files_that_are_named_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (SERVER / source).is_file() if source.startswith(".") else source in compose["volumes"]
        for condition in service.get("depends_on", {}).values() if "build" in service else ():
            assert condition == {"condition": "service_healthy"}


def test_the_image_is_made_of_what_is_here() -> None:
    text = (SERVER / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        *sources, _target = line.split()
        allowed = (SERVER / "Dockerfile.dockerignore").read_text().splitlines()
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed
    command = re.search(r'^CMD \["fleetune", "(\w+)"\]$', text, re.MULTILINE)
    assert command
    assert command[1] in COMMANDS
    assert "\nRUN make wheel\n" in text
    assert "\nwheel:" in (ROOT / "Makefile").read_text()
    assert Path("/data") == Path(re.search(r"^VOLUME (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]


def test_secrets_come_from_a_file_that_is_made_once(compose: dict[str, Any]) -> None:
    example = (SERVER / ".env.example").read_text()
    named = set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    wanted = set(re.findall(r"\$\{(\w+)", (SERVER / "compose.yaml").read_text()))
    assert wanted == named
    commands = re.findall(r"^#   (.*)$", (SERVER / "compose.yaml").read_text(), re.MULTILINE)
    assert not any("openssl" in command for command in commands), "starting again keeps the password"


def test_the_unit_hands_over_a_folder_that_the_server_uses() -> None:
    unit = (SERVER / "fleetune.service").read_text()
    data = re.search(r"^Environment=FLEETUNE_DATA=/var/lib/(\w+)$", unit, re.MULTILINE)
    assert data
    assert f"\nStateDirectory={data[1]}\n" in unit
    command = re.search(r"^ExecStart=\S+/fleetune (\w+)$", unit, re.MULTILINE)
    assert command
    assert command[1] in COMMANDS
