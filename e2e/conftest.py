"""Fixtures of the journeys: engine × mode, shared browsers, a server a module, and the parity table.

With pytest-xdist (`-n 2`) a module's journeys in one engine and mode stay in one worker.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from e2e.drivers.base import Browser, Page
from e2e.engines import ENGINES, JOURNEY_ENGINES, Engine, chosen_engines
from e2e.parity import MODES, Outcome, Parity, place_of
from e2e.server import ROOT, Server
from e2e.wire import Wire

RESULTS = ROOT / "test-results"
TURNS = ("webkit", "chromium", "firefox")
PARITY = Parity()
VERSIONS: dict[str, str] = {}  # of the engines that this process launched


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity", action="store_true", help="write the parity table into e2e/README.md")
    parser.addoption("--deep", action="store_true", help="deep extras in every chosen engine")
    parser.addoption("--times", type=int, default=1, help="run every journey so many times")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test in its (engine, mode) pairs."""
    if "environment" in metafunc.fixturenames:
        pairs = _pairs(metafunc.definition, metafunc.config.getoption("deep"))
        ids = [f"{engine}-{mode}" for engine, mode in pairs]
        metafunc.parametrize("environment", pairs, indirect=True, scope="module", ids=ids)
    times: int = metafunc.config.getoption("times")
    if times > 1:
        metafunc.fixturenames.append("_time")
        metafunc.parametrize("_time", range(times))


def _pairs(test: pytest.Item, deep_everywhere: bool) -> list[tuple[str, str]]:
    """Journeys run in every chosen engine, deep extras in the first; a pair needs its family to be chosen."""
    chosen = chosen_engines()
    if test.get_closest_marker("deep") and not deep_everywhere:
        chosen = chosen[:1]
    families = {ENGINES[name].family for name in chosen}
    if always := test.get_closest_marker("always_in"):
        return list(always.args)
    if only := test.get_closest_marker("only_in"):
        return [pair for pair in only.args if ENGINES[pair[0]].family in families]
    return [(name, "isolated") for name in chosen]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deep: no journey that every engine walks; in the first chosen engine")
    config.addinivalue_line("markers", "only_in(*pairs): run only in these (engine, mode) pairs")
    config.addinivalue_line("markers", "always_in(*pairs): run in these, whatever FLEETUNE_ENGINES says")


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """A module's journeys in one engine and mode share a worker, and so a browser and a server.

    Not `--dist loadgroup`: xdist 3.8 writes its groups where pytest 9.2 no longer looks for them."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, name = nodeid.partition("::")
        place = place_of(name)
        return f"{module} {'-'.join(place)}" if place else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    config.option.loadscopereorder = False  # in the order of the items, which begins with what takes longest
    return Together(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A journey of an engine that FLEETUNE_ENGINES leaves out is deselected, not skipped."""
    out = [item for item in items if not isinstance(_pair(item), tuple | None)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, str]:
    """When its turn comes: the slowest engine first, so that no worker is left with it at the end; then what
    shares a browser."""
    pair = _pair(item)
    if pair is None:
        return len(TURNS), ""
    return TURNS.index(ENGINES[pair[0]].family), pair[0]


def _pair(item: pytest.Item) -> tuple[str, str] | None:
    """The (engine, mode) of a journey; None without a browser; pytest's NOTSET if none is chosen."""
    callspec = getattr(item, "callspec", None)
    pair: tuple[str, str] | None = callspec.params.get("environment") if callspec else None
    return pair


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data folder of a server that has trained and published version 1; made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    data = shared / "seed"
    with (shared / "seed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            making = base / "seed-in-the-making"
            with Server(making):
                pass
            making.rename(data)
    return data


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest) -> tuple[Engine, str]:
    """The engine and mode of this module's run."""
    name, mode = request.param
    return ENGINES[name], mode


class Garage:
    """The running browser: modules in its engine share it, one after the other, in fresh profiles."""

    def __init__(self) -> None:
        self._running: tuple[Engine, Browser] | None = None

    def browser(self, engine: Engine) -> Browser:
        """It, in this engine."""
        if self._running is None or self._running[0] is not engine:
            self.close()
            self._running = engine, engine.launch()
        return self._running[1]

    def close(self) -> None:
        running, self._running = self._running, None
        if running:
            running[1].close()


@pytest.fixture(scope="session")
def garage() -> Iterator[Garage]:
    """Closed with the session."""
    own = Garage()
    yield own
    own.close()


@pytest.fixture(scope="module")
def browser(
    request: pytest.FixtureRequest, environment: tuple[Engine, str], garage: Garage
) -> Iterator[Browser]:
    """A running browser, ended after a failure; a missing engine fails here and says what to install."""
    engine, _ = environment
    failed = request.session.testsfailed
    launched = garage.browser(engine)
    VERSIONS[engine.name] = launched.version
    yield launched
    if request.session.testsfailed > failed:
        garage.close()


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest,
    environment: tuple[Engine, str],
    seed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server of the module's own, with the settings in its `SETTINGS`."""
    settings: dict[str, Any] = getattr(request.module, "SETTINGS", {})
    data = tmp_path_factory.mktemp("server") / "data"
    shutil.copytree(seed, data)
    with Server(data, isolated=MODES[environment[1]], **settings) as running:
        yield running


@pytest.fixture(scope="module")
def wire(server: Server) -> Iterator[Wire]:
    """What the browser connects to: the server, with every request recorded."""
    with Wire(server.port) as tap:
        yield tap


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, wire: Wire, server: Server) -> Iterator[Page]:
    """A tab in a fresh profile; what it shows is kept when the journey fails."""
    browser.fresh()
    wire.mend()
    wire.adds = b""
    wire.release()
    wire.requests.clear()
    tab = browser.new_page()
    yield tab
    if request.node.stash.get(FAILED, False):
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / request.node.name.replace("/", "-")
        tab.screenshot(stem.with_suffix(".png"))
        seen = [f"{r.method} {r.path} {r.body.decode(errors='replace')}" for r in wire.requests]
        report = ["# errors in the page", *tab.console(), "# requests", *seen, "# server", *server.log]
        stem.with_suffix(".txt").write_text("\n".join(report))


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        item.stash[FAILED] = True
    pair = _pair(item)
    if pair and (report.when == "call" or report.failed):
        journey = item.module.__name__.rsplit("test_", 1)[1]  # type: ignore[attr-defined]
        version = VERSIONS.get(pair[0], "?")
        deep = item.get_closest_marker("deep") is not None
        outcome = Outcome(journey, pair[0], version, pair[1], report.passed, report.duration, deep)
        report.user_properties.append(("outcome", asdict(outcome)))
    return report  # type: ignore[return-value]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Where the summary is printed: outcomes come with the reports, from whichever worker."""
    found: list[Any] = [value for name, value in report.user_properties if name == "outcome"]
    PARITY.outcomes.extend(Outcome(**fields) for fields in found)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not PARITY.outcomes:
        return
    chosen = chosen_engines()
    terminalreporter.section("journeys by engine")
    if set(chosen) != set(JOURNEY_ENGINES):
        terminalreporter.line(f"FLEETUNE_ENGINES: only {', '.join(chosen)}")
    if deep := PARITY.deep():
        terminalreporter.line(f"deep extras (pytest.mark.deep): {deep}; in every engine: pytest e2e --deep")
    for line in PARITY.lines():
        terminalreporter.line(line)
    if config.getoption("parity"):
        PARITY.write(ROOT / "e2e" / "README.md")
