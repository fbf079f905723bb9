"""The documented deployment names services, settings, files and ports that exist."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from fleetune_server.cli import COMMANDS
from fleetune_server.settings import ROOT, Settings
from fleetune_server.stores import is_postgres

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
    return Settings.from_env(
        {key: password.sub("secret", text) for key, text in service["environment"].items()}
    )


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


def test_the_proxy_reaches_every_replica_and_is_the_one_they_trust(
    replicas: dict[str, dict[str, Any]], compose: dict[str, Any]
) -> None:
    upstreams = re.search(r"reverse_proxy (.*) \{", (SERVER / "Caddyfile").read_text())
    assert upstreams
    port = settings(replicas["fleetune-1"]).port
    assert upstreams[1].split() == [f"{name}:{port}" for name in replicas]
    address = compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    subnet = ipaddress.ip_network(compose["networks"]["inside"]["ipam"]["config"][0]["subnet"])
    assert ipaddress.ip_address(address) in subnet
    assert all(settings(service).trusted_proxy == (address,) for service in replicas.values())
    assert all("ports" not in service for name, service in compose["services"].items() if name != "proxy")


def test_services_volumes_and_files_that_are_named_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service["volumes"]:
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
    assert (ROOT / "kernels_wasm" / "build.py").is_file()
    assert Path("/data") == Path(re.search(r"^VOLUME (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
