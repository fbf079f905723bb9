"""What to run here, asked for without saying what is here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import node, releases, tiny
from tests.running import server

from fleetune.choose import choose
from fleetune.context import CORES, SYSTEMS, Environment
from fleetune.features import environment_key, from_key
from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune_server.publish.decisions import ENGINES, KINDS, Decisions, _name
from fleetune_server.publish.distribute import Sealer
from fleetune_server.publish.keys import KeyRing
from fleetune_server.training.aggregate import coarsen

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("decisions")
    started = server(folder, kernels=tiny.write(folder / "dist"), lab=folder)
    with started as running, httpx.Client(base_url=running.url) as opened:
        yield opened


def test_browsers_of_one_engine_get_the_same_bytes(client: httpx.Client) -> None:
    """Nothing that a browser says about itself besides its engine changes the answer."""
    path = "/api/decisions/firefox-relaxedSimd"
    plain = client.get(path)
    assert plain.status_code == 200
    for headers in ({"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/153.0"}, {"accept-language": "ru"}):
        assert client.get(path, headers=headers).content == plain.content
    assert client.get(path, headers={"if-none-match": plain.headers["etag"]}).status_code == 304
    assert client.get("/api/decisions/netscape").status_code == 404


def test_each_engine_has_an_answer(client: httpx.Client) -> None:
    for engine in ENGINES:
        answer = client.get(f"/api/decisions/{engine}").json()
        signed = {"type", "engine", "files", "keys", "expires", "signature"}
        assert answer.keys() == {"version", "root", "kernels", "kinds"} | signed
        assert answer["kernels"].keys() == {"dot", "saxpy"} or answer["kernels"]


def test_kernels_asked_for_one_by_one_are_the_whole_answer(client: httpx.Client) -> None:
    path = "/api/decisions/chromium-relaxedSimd"
    whole, names = client.get(path).json(), client.get(f"{path}?kernel=").json()
    assert names.pop("signature") != whole.pop("signature")
    assert names == {**whole, "files": {}, "kernels": {name: {} for name in whole["kernels"]}, "kinds": {}}
    together: dict[str, Any] = {**names, "kernels": {}, "files": {}}
    for name in whole["kernels"]:
        one = client.get(f"{path}?kernel={name}").json()
        together["kernels"] |= one["kernels"]
        together["files"] |= one["files"]
        for kind, rows in one["kinds"].items():
            together["kinds"].setdefault(kind, []).extend(rows)
    assert together["kernels"] == whole["kernels"]
    assert together["files"] == whole["files"]
    assert all(
        sorted(map(str, rows)) == sorted(map(str, together["kinds"].get(kind, [])))
        for kind, rows in whole["kinds"].items()
    )
    refused = client.get(f"{path}?kernel=nosuch")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not-found")


def test_sessions_are_counted_and_nothing_else_is(client: httpx.Client) -> None:
    def sessions() -> int:
        return int(client.get("/api/metrics").json()["adoption"]["sessions"])

    before = sessions()
    client.get("/api/decisions/webkit-simd")
    client.get("/api/decisions/webkit-simd?model=1")  # a version that was announced later in the same session
    assert sessions() == before + 1
    client.get(
        "/api/decisions/webkit-simd?kernel="
    )  # a page that calls few kernels: which there are, then one
    client.get("/api/decisions/webkit-simd?kernel=dot")
    assert sessions() == before + 2
    assert f"fleetune_sessions_total {before + 2}\n" in client.get("/metrics").text


def own(answer: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """What the page makes of the engine's answer, by its own module."""
    script = f"""
      const {{ decisionsFor }} = await import("{ROOT.as_uri()}/browser/web/shared/api.js");
      const [answer, environment] = JSON.parse((await import("node:fs")).readFileSync(0, "utf8"));
      process.stdout.write(JSON.stringify(decisionsFor(answer, environment)));"""
    found: dict[str, Any] = node.evaluate(script, input=json.dumps([answer, environment.to_wire()]))
    return found


@dataclass
class Offered:
    manifest: Manifest
    root: str = "/kernels/x/"

    def called(self, kernel: str) -> Mapping[str, str]:
        return {}


class Counting(Offered):
    """Counts the tables that are computed: each asks for the manifest once."""

    tables = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "manifest":
            Counting.tables += 1
        return super().__getattribute__(name)


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(KeyRing.open(tmp_path))


async def test_strangers_cannot_make_the_server_compute_for_each_environment(sealer: Sealer) -> None:
    """Ten million kinds of browser can be named; each costs a look-up, whatever is asked in between."""
    model, offer = Model.from_bytes(releases.first()), Counting(tiny.manifest())
    decisions = Decisions(lambda: offer, sealer)
    asked = [
        Environment(browser, version, system, simd, simd, bool(version % 2), cores)
        for browser in ("chromium", "firefox", "webkit")
        for version in range(100, 140)
        for system in SYSTEMS
        for cores in CORES
        for simd in (True, False)
    ]
    Counting.tables = 0
    bodies = {id((await decisions.answer(model, environment))[0]) for environment in asked}
    plans = {id((await decisions.answer(model, environment))[1]) for environment in asked}
    assert len(asked) > 3000
    assert len(bodies) == len(plans) == Counting.tables == 6
    answers = [await decisions.of_engine(model, "firefox") for _ in range(100)]
    assert len({id(answer.kernels["dot"]) for answer in answers}) == 1
    assert Counting.tables <= 6 + 1 + KINDS, "one kernel's answer is cut from its engine's"


async def test_a_page_looks_its_own_kind_up_and_chooses_as_if_it_had_asked_for_it(sealer: Sealer) -> None:
    model, decisions = Model.from_bytes(releases.first()), Decisions(lambda: Offered(tiny.manifest()), sealer)
    known = [e for key in model.artefact.vocabulary["environment"] if (e := from_key(key))]
    assert known
    stranger = Environment("firefox", 9, "other", True, True, False, "16+")
    for environment in [*known[:3], stranger]:
        names = [name for name, e in ENGINES.items() if e == coarsen(environment)]
        answer = json.loads((await decisions.of_engine(model, names[0])).whole.asset.body)
        assert len(answer["kinds"]) <= KINDS
        table = own(answer, environment)
        page = [
            (kernel, pattern, row["size"], row["choice"])
            for kernel, patterns in table["kernels"].items()
            for pattern, rows in patterns.items()
            for row in rows
        ]
        rows = model.predict_table(list(tiny.manifest().kernels.values()), environment)
        expected = [
            (
                r.kernel.name,
                r.context.pattern,
                r.size,
                choose(r.kernel, r.context, environment, r.predictions, {}, ()),
            )
            for r in rows
        ]
        assert sorted(page) == sorted((*place, choice.candidate) for *place, choice in expected)
        assert "kinds" not in table


def test_keys_of_environments_are_read_back() -> None:
    for environment in (tiny.ENVIRONMENT, tiny.ENVIRONMENT.any_arch):
        assert from_key(environment_key(environment)) == environment


def test_a_page_takes_the_rows_of_its_architecture_else_those_of_any() -> None:
    def answer(*kinds: Environment) -> dict[str, Any]:
        rows = {_name(kind): [["dot", "random", 0, kind.arch]] for kind in kinds}
        return {"kernels": {"dot": {"random": ["engine"]}}, "kinds": rows}

    here = tiny.ENVIRONMENT
    arm = replace(here, arch="arm")
    for kinds, row in (
        ((here, here.any_arch), "x86"),
        ((here.any_arch, arm), "other"),
        ((arm,), "engine"),
        ((), "engine"),
    ):
        assert own(answer(*kinds), here)["kernels"]["dot"]["random"] == [row]
    assert own(answer(here, arm), here.any_arch)["kernels"]["dot"]["random"] == ["engine"]
