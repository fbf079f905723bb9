"""The import rules of the architecture, and that files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "server" / "fleetune_server"
CORE = ROOT / "browser" / "fleetune"
STAGES = ("intake", "store", "learn", "deliver")
MAX_LINES = 350  # "about 300"
PYTHON = sorted([*SERVER.rglob("*.py"), *CORE.rglob("*.py")])


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: path.name)
def test_the_core_runs_without_a_browser_and_without_the_server(path: Path) -> None:
    for name in imports(path):
        assert not within(name, "fleetune_server")
        if path.name != "platform_js.py":
            assert not any(within(name, only) for only in ("js", "pyodide", "pyodide_js"))
        if "app" not in path.relative_to(CORE).parts:
            assert not within(name, "fleetune.app")


@pytest.mark.parametrize("path", sorted(SERVER.rglob("*.py")), ids=lambda path: path.name)
def test_stages_of_the_server_do_not_know_one_another(path: Path) -> None:
    stage = path.relative_to(SERVER).parts[0]
    for name in imports(path):
        if stage not in ("fleet", "commands"):  # the fleet is clients as code, and its commands start it
            assert not within(name, "fleetune.app")
        if stage in STAGES:
            others = [f"fleetune_server.{other}" for other in STAGES if other != stage]
            if any(within(name, other) for other in others):
                assert within(name, "fleetune_server.store.base"), f"{path}: {name}"
            assert not within(name, "fleetune_server.pipeline")
            assert not within(name, "fleetune_server.app")


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
