"""Browsers are found in one place, by the same rules for operators, journeys and lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.install import NEEDED_BY_FAMILY, absent_packages

from fleetune_server.kernels.browsers import FAMILIES, MissingBrowserError, find, find_webkit

ROOT = Path(__file__).parents[1]
FINDER = ROOT / "server" / "fleetune_server" / "kernels" / "browsers.py"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, empty, on a machine where Playwright has installed nothing."""
    for family in FAMILIES.values():
        monkeypatch.delenv(family.variable, raising=False)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(path: Path) -> str:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", FAMILIES)
def test_any_of_the_programs_alone_is_enough(machine: Path, name: str) -> None:
    for known in FAMILIES[name].programs:
        path = program(machine / known)
        assert find(name) == path
        Path(path).unlink()


def test_what_is_installed_for_the_tests_is_what_is_found(machine: Path) -> None:
    for name in FAMILIES:
        _check, (package,) = NEEDED_BY_FAMILY[name]
        assert package in absent_packages((name,))
        program(machine / package)
        assert package not in absent_packages((name,))


def test_the_headless_shell_is_preferred_and_a_named_path_outranks_it(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(machine / "chromium")
    shell = program(machine / "chromium-headless-shell")
    assert find("chromium") == shell
    other = program(machine.parent / "other")
    monkeypatch.setenv("FLEETUNE_CHROMIUM", other)
    assert find("chromium") == other


def test_a_named_path_that_is_no_program_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(machine / "firefox")
    monkeypatch.setenv("FLEETUNE_FIREFOX", "/nowhere/firefox")
    with pytest.raises(MissingBrowserError, match="FLEETUNE_FIREFOX is /nowhere/firefox"):
        find("firefox")


@pytest.mark.parametrize("name", FAMILIES)
def test_playwrights_own_browser_is_left_to_playwright(machine: Path, name: str) -> None:
    (machine.parent / "playwright" / f"{name}-1234").mkdir(parents=True)
    assert find(name) is None


@pytest.mark.parametrize("name", FAMILIES)
def test_without_any_the_error_says_what_to_install(machine: Path, name: str) -> None:
    with pytest.raises(MissingBrowserError, match=rf"apt-get install {FAMILIES[name].programs[0]};"):
        find(name)


def test_webkit_needs_driver_and_display(machine: Path) -> None:
    with pytest.raises(MissingBrowserError, match="apt-get install webkit2gtk-driver"):
        find_webkit()


def test_nobody_else_looks_for_browsers() -> None:
    """Names of programs stand in the finder only; documents and messages may name packages."""
    names = [name for family in FAMILIES.values() for name in family.programs if "-" in name]
    quoted = [f'"{name}"' for name in (*names, "WebKitWebDriver", "MiniBrowser", "Xvfb")]
    places = [
        path.relative_to(ROOT)
        for folder in ("server", "e2e", "tests", "kernels_wasm", "browser/fleetune")
        for path in (ROOT / folder).rglob("*.py")
        if path not in (FINDER, Path(__file__)) and any(name in path.read_text() for name in quoted)
    ]
    assert places == []
