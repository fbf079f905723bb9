"""What to run here, asked for without saying what is here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import releases, tiny
from tests.running import server

from fleetune.context import Environment
from fleetune.features import environment_key, from_key
from fleetune.model import Model
from fleetune_server.decisions import ENGINES, KINDS, Decisions
from fleetune_server.learn.aggregate import coarsen

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
        assert answer.keys() == {"version", "root", "kernels", "kinds"}
        assert answer["kernels"].keys() == {"dot", "saxpy"} or answer["kernels"]


def test_sessions_are_counted_and_nothing_else_is(client: httpx.Client) -> None:
    def sessions() -> int:
        return int(client.get("/api/metrics").json()["adoption"]["sessions"])

    before = sessions()
    client.get("/api/decisions/webkit-simd")
    client.get("/api/decisions/webkit-simd?model=1")  # a version that was announced later in the same session
    assert sessions() == before + 1
    assert f"fleetune_sessions_total {before + 1}\n" in client.get("/metrics").text


def own(answer: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """What the page makes of the engine's answer, by its own module."""
    script = f"""
      const {{ own }} = await import("{ROOT.as_uri()}/browser/web/get_json.js");
      const [answer, environment] = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
      process.stdout.write(JSON.stringify(own(answer, environment)));"""
    script = script.replace('require("node:fs")', '(await import("node:fs"))')
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps([answer, environment.to_wire()]), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_page_looks_its_own_kind_up_and_chooses_as_if_it_had_asked_for_it() -> None:
    model, decisions = Model.from_bytes(releases.first()), Decisions(tiny.manifest(), "/kernels/x/")
    known = [e for key in model.artefact.vocabulary["environment"] if (e := from_key(key))]
    assert known
    stranger = Environment("firefox", 9, "other", True, True, False, "16+")
    for environment in [*known[:3], stranger]:
        names = [name for name, e in ENGINES.items() if e == coarsen(environment)]
        answer = json.loads((await decisions.of_engine(model, names[0])).body)
        assert len(answer["kinds"]) <= KINDS
        table = own(answer, environment)
        asked = json.loads((await decisions.answer(model, environment))[0].body)

        def choices(kernels: Any) -> list[Any]:
            return [
                (k, p, row["size"], row["choice"])
                for k, ps in kernels.items()
                for p, rows in ps.items()
                for row in rows
            ]

        assert choices(table["kernels"]) == choices(asked["kernels"])
        assert "kinds" not in table


def test_keys_of_environments_are_read_back() -> None:
    assert from_key(environment_key(tiny.ENVIRONMENT)) == tiny.ENVIRONMENT
