"""The benchmark with bad variants: set aside, named, and the rest goes on."""

from __future__ import annotations

import pytest
from tests.benching import CELL, KERNEL, a_session, call
from tests.fake_platform import FakePlatform


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


async def test_a_wrong_variant_is_set_aside_and_named_and_the_rest_goes_on(platform: FakePlatform) -> None:
    platform.bench.wrong = {"vectorization": "it returns 1, JavaScript 2"}
    outcome = await call(await a_session(platform), "benchmark", workloads=[CELL])
    candidates = outcome["results"][0]["candidates"]
    assert candidates["vectorization"]["ok"] is False
    assert candidates["vectorization"]["error"] == "it returns 1, JavaScript 2"
    assert all(row["ok"] for name, row in candidates.items() if name != "vectorization")
    (aside,) = platform.emitted("setAside")
    assert aside == {
        "kernel": KERNEL.name,
        "candidate": "vectorization",
        "reason": "it returns 1, JavaScript 2",
    }
    timed = {name for order in platform.bench.rounds for name, _ in order}
    assert "vectorization" not in timed


@pytest.mark.parametrize("where", ["hang_check", "hang_run"])
async def test_a_variant_that_hangs_is_ended_and_the_rest_goes_on(platform: FakePlatform, where: str) -> None:
    setattr(platform.bench, where, frozenset({"inlining+loopUnrolling"}))
    outcome = await call(await a_session(platform), "benchmark", workloads=[CELL], fixed=True)
    (result,) = outcome["results"]
    assert "did not end" in result["candidates"]["inlining+loopUnrolling"]["error"]
    others = [row for name, row in result["candidates"].items() if name != "inlining+loopUnrolling"]
    assert all(row["ok"] and row["batches"] >= 5 for row in others)
    assert platform.bench.restarts >= 1
    assert result["choice"] != "inlining+loopUnrolling"


async def test_a_variant_that_fails_while_timed_is_set_aside(platform: FakePlatform) -> None:
    platform.bench.trap_run = frozenset({"scalar"})
    outcome = await call(await a_session(platform), "benchmark", workloads=[CELL])
    assert "unreachable" in outcome["setAside"][KERNEL.name]["scalar"]
    assert outcome["results"][0]["candidates"]["vectorization"]["ok"]


async def test_what_was_set_aside_is_not_tried_again(platform: FakePlatform) -> None:
    platform.bench.broken = {"scalar": "not a module"}
    session = await a_session(platform)
    both = [CELL, {**CELL, "size": KERNEL.sizes[2]}]
    outcome = await call(session, "benchmark", workloads=both)
    assert [r["candidates"]["scalar"]["ok"] for r in outcome["results"]] == [False, False]
    assert len(platform.emitted("setAside")) == 1


async def test_a_kernel_whose_baseline_hangs_is_skipped(platform: FakePlatform) -> None:
    platform.bench.hang_check = frozenset({"js"})
    outcome = await call(await a_session(platform), "benchmark", workloads=[CELL, CELL])
    assert outcome["results"] == []
    assert outcome["skipped"] == 2
    assert "js" in outcome["setAside"][KERNEL.name]
