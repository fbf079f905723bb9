"""Reports, answers and the policy against a real server: taken, counted, and given back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests import tiny
from tests.browsers import MANIFEST, measured
from tests.running import Running, server

from fleetune.app import handlers
from fleetune.fields import FIELDS
from fleetune_research.fleet.http import HttpPlatform

SENTINEL = "sentinel-user-agent-31415926"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("reports")
    with server(folder, kernels=tiny.write(folder / "dist"), lab=folder / "none") as started:
        yield started


@pytest.fixture
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    agent = {"user-agent": SENTINEL}
    async with httpx.AsyncClient(base_url=running.url, headers=agent, timeout=60) as client:
        yield client


async def test_a_report_is_taken_and_given_back(http: httpx.AsyncClient, running: Running) -> None:
    boot = (await http.get("api/boot.json")).json()
    platform = HttpPlatform(http)
    session = await handlers.start(platform, boot=boot, manifest=MANIFEST, environment=tiny.ENVIRONMENT)
    session.measured = measured()

    async def call(op: str, **args: object) -> dict[str, object]:
        answer = await handlers.call(session, op, args)
        assert "value" in answer, answer
        value = answer["value"]
        assert isinstance(value, dict)
        return value

    assert (await call("update"))["version"] == 1
    assert (await call("preview"))["packet"] is None
    consent = {"choice": "on", "revision": boot["policyRevision"], "epsilon": 2.0, "perDay": 1, "at": 0}
    await platform.store.set("consent", consent)
    shown = await call("preview")
    assert shown["packet"], shown["reason"]
    sent = await call("send")
    assert (sent["ok"], sent["status"]) == (True, 202), sent
    metrics = (await http.get("api/metrics")).json()
    assert metrics["store"]["pending"] == 1
    assert (await call("satisfaction", good=True))["ok"]
    assert (await http.get("api/metrics")).json()["satisfaction"]["answers"] == 1
    await platform.store.set("consent", {**consent, "choice": "off"})
    assert await call("withdraw") == {"removed": 1, "late": 0}
    assert (await http.get("api/metrics")).json()["store"]["pending"] == 0
    kept = [path for path in running.log.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in kept)
    assert not [path for path in kept if SENTINEL.encode() in path.read_bytes()], "no header reaches the disk"


async def test_the_policy_is_served_in_both_languages(http: httpx.AsyncClient) -> None:
    for language in ("en", "ru"):
        page = await http.get("privacy", headers={"accept-language": language})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "content-security-policy" in page.headers
        read = page.text.replace("<wbr>", "")  # where a line may break
        for field in FIELDS:
            assert field.name in read
    assert (await http.get(".well-known/gpc.json")).json()["gpc"] is True
