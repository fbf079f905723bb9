"""Nothing published comes from a group of fewer than k reports on its own: an invariant, not examples.

If small groups (signature × environment) are left out or renamed within their engine, no byte of what the
training and the trial of a candidate publish may change; and the real pipeline publishes those very bytes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from tests import tiny
from tests.learning_world import LAB, MANIFEST, first, reports
from tests.test_pipeline import until

from fleetune.context import Environment
from fleetune.features import environment_key
from fleetune.model import Model
from fleetune.packet import DAY, build
from fleetune_server.http import endpoints as api
from fleetune_server.http.decisions import measuring_plan, of_engine
from fleetune_server.runtime import KEY, State, running
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.train import TrainRequest, TrainResult, train
from fleetune_server.training.trial import TrialRequest, judge_trial

FEW = GROUP - 1
RARE = Environment("webkit", 4242, "windows", True, True, True, "8-15")  # no lab, no other reports
ENOUGH = 200


def group(
    model: Model, count: int, environment: Environment, heldout: int = 4, sign: int = 1
) -> list[CellSum]:
    """`count` reports of one kernel in one environment, `heldout` of them for the gate, all far off."""
    rows = [
        replace(row, cell=replace(row.cell, environment=environment), count=1, total=61 * sign, squares=61**2)
        for row in reports(model, 4_000, 5, heldout=0.0)
        if row.cell.signature == next(iter(MANIFEST.kernels.values())).signature
    ]
    return [replace(row, heldout=i < heldout) for i, row in enumerate(rows[:count])]


def published(result: TrainResult) -> tuple[object, ...]:
    """Everything that leaves a training: the model's bytes, what is told of it, and the gate's words."""
    return result.model, json.dumps(result.metadata, sort_keys=True), result.verdict


def learned(sums: list[CellSum]) -> TrainResult:
    return train(TrainRequest(MANIFEST.raw, LAB, sums, first().model, 2))


@pytest.fixture(scope="module")
def crowd() -> list[CellSum]:
    """Enough reports of the fleet for every group of it to be large."""
    return reports(Model.from_bytes(first().model), 6_000, 1)


def test_a_group_under_k_changes_no_byte_of_a_version(crowd: list[CellSum]) -> None:
    small = group(Model.from_bytes(first().model), FEW, RARE)
    assert {row.heldout for row in small} == {False, True}, "the gate's share of it is small as well"
    assert published(learned(crowd + small)) == published(learned(crowd))
    more = group(Model.from_bytes(first().model), GROUP + 4, RARE)
    assert published(learned(crowd + more)) != published(learned(crowd)), "from k on it does count"


def test_small_groups_of_an_engine_teach_about_the_engine_and_not_about_themselves(
    crowd: list[CellSum],
) -> None:
    model = Model.from_bytes(first().model)
    named = [replace(RARE, version=RARE.version + i) for i in range(4)]
    others = [replace(RARE, version=90 + i, os="macos", cores="2-3", threads=False) for i in range(4)]

    def with_groups(environments: list[Environment]) -> TrainResult:
        return learned(crowd + [row for e in environments for row in group(model, FEW, e)])

    result = with_groups(named)
    assert published(result) == published(with_groups(others))
    assert published(result) != published(learned(crowd))
    known = Model.from_bytes(result.model).artefact.vocabulary["environment"]
    assert not set(known) & {environment_key(e) for e in named}


def test_the_gate_says_nothing_of_a_handful_of_held_out_reports() -> None:
    model = Model.from_bytes(first().model)
    large = [replace(row, heldout=False) for row in reports(model, 6_000, 1)]
    environment = large[0].cell.environment
    for sign in (1, -1):
        result = learned([*large, *group(model, FEW, environment, heldout=FEW, sign=sign)])
        assert "heldout" not in {check.name for check in result.verdict.checks}
        assert result.metadata["metrics"]["reports"] == {"count": FEW}


def test_a_trial_of_a_candidate_names_no_small_group(crowd: list[CellSum]) -> None:
    before, after = first().model, learned(crowd).model
    candidate = Model.from_bytes(after)

    def verdict(rows: list[CellSum]) -> object:
        return judge_trial(TrialRequest(MANIFEST.raw, before, after, rows))

    few = group(candidate, FEW, RARE, sign=-1)
    assert verdict(few) == verdict(group(candidate, FEW, RARE, sign=1)), (
        "too few: their values are not looked at"
    )
    large = reports(candidate, 2_000, 3)
    places = [
        c for c in judge_trial(TrialRequest(MANIFEST.raw, before, after, large)).checks if "place" in c.name
    ]
    with_few = judge_trial(TrialRequest(MANIFEST.raw, before, after, [*large, *few]))
    assert [check for check in with_few.checks if "place" in check.name] == places
    assert str(RARE.version) not in repr(with_few)


# The real pipeline, and all that it answers.


def packets(state: State, kernel: str, environment: Environment, count: int) -> list[dict[str, Any]]:
    """Reports as browsers of this kind send them, spread over the kernel's contexts and variants."""
    known, model = state.catalogue.manifest.kernels[kernel], state.library.models[1]
    day = int(time.time()) // DAY
    cells = [
        (context, name)
        for *_, context in known.contexts()
        for name in known.candidates(environment.features)
        if name != "js"
    ]
    made = []
    for i in range(count):
        context, name = cells[i % len(cells)]
        base = float(model.predict(known, context, environment, (name,)).mean[0])
        clip = model.clip_at(known, environment)
        packet = build(known, context, environment, name, base, base + 1, clip, 2.0, 1, day)
        made.append(packet.to_wire())
    return made


async def answer(
    state: State, endpoint: Callable[[Request], Awaitable[Response]], query: str = "", **path: str
) -> bytes:
    """What one public endpoint answers."""
    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": [],
        "path_params": path, "state": {KEY: state},
    }  # fmt: skip
    return bytes((await endpoint(Request(scope))).body)


def asks(environment: Environment) -> str:
    """The query of a tool that asks for one kind of browser."""
    wire = environment.to_wire().items()
    return "&".join(f"{name}={int(value) if isinstance(value, bool) else value}" for name, value in wire)


async def test_the_real_pipeline_publishes_what_the_large_groups_alone_give(tmp_path: Path) -> None:
    settings = replace(
        Settings.from_env({}),
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        retrain_packets=ENOUGH + 2 * FEW,
    )
    async with running(settings) as state:
        rare = packets(state, "dot", RARE, FEW)  # a kind of browser that few have
        alone = packets(state, "saxpy", tiny.ENVIRONMENT, FEW)  # a kernel that few run in a kind many have
        for wire in [*rare, *alone, *packets(state, "dot", tiny.ENVIRONMENT, ENOUGH)]:
            stored = state.intake.checker.accept(wire)
            state.intake.arrived(sum(await state.store.append([stored])))
        await until(state, 2)
        sums = await state.store.sums()
        large = {(tiny.manifest().kernels["dot"].signature, tiny.ENVIRONMENT)}
        kept = [row for row in sums if (row.cell.signature, row.cell.environment) in large]
        assert sum(row.count for row in sums) == ENOUGH + 2 * FEW
        assert sum(row.count for row in kept) == ENOUGH
        model, before = state.library.models[2], state.library.models[1].to_bytes()
        lab = state.pipeline.lab
        request = TrainRequest(tiny.raw_manifest(), lab.rows, kept, before, 2, measured=False)
        assert model.to_bytes() == train(request).model
        record = state.library.records[2]
        assert record.document["metadata"]["sampleCount"] <= ENOUGH

        # Decisions and plan come from that model alone: the rare kind gets what any unknown kind of it gets.
        other = replace(RARE, version=RARE.version + 1)
        assert await answer(state, measuring_plan, asks(RARE)) == await answer(
            state, measuring_plan, asks(other)
        )
        bodies = [
            await answer(state, of_engine, engine="webkit-relaxedSimd"),
            await answer(state, of_engine, engine="firefox-relaxedSimd"),
            await answer(state, measuring_plan, asks(tiny.ENVIRONMENT)),
            await answer(state, api.metrics),
            await answer(state, api.prometheus),
            json.dumps(record.document).encode(),
            json.dumps(model.artefact.vocabulary).encode(),
        ]
        assert b"153" in bodies[1] + bodies[-1], "the kind that many have is told of"
        for body in bodies:
            assert str(RARE.version).encode() not in body
