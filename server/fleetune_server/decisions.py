"""What the stable model, or a candidate on trial, would choose for a kind of browser, and where it doubts."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetune.choose import choose
from fleetune.context import BROWSERS, CORES, MAX_BROWSER_VERSION, SYSTEMS, Environment
from fleetune.decision import decision_row
from fleetune.manifest import BASELINE, Manifest
from fleetune.model import DecisionRow, Model
from fleetune_server.assets import REVALIDATE, Asset
from fleetune_server.state import state_of

ENVIRONMENTS = 256  # kinds of browser whose answers are remembered
PLAN_CELLS = 50
_FLAGS = {"1": True, "0": False}


class Decisions:
    """Answers by (version, environment), computed once each, off the event loop."""

    def __init__(self, manifest: Manifest, root: str) -> None:
        self.manifest = manifest
        self.root = root  # URL prefix of the catalogue's files, for pages that call kernels
        self._answers: OrderedDict[tuple[int, Environment], asyncio.Task[tuple[Asset, Asset]]] = OrderedDict()

    async def answer(self, model: Model, environment: Environment) -> tuple[Asset, Asset]:
        """(decisions, plan) for one kind of browser."""
        key = model.version, environment
        if key not in self._answers:
            work = asyncio.to_thread(self._compute, model, environment)
            self._answers[key] = asyncio.create_task(work)
            if len(self._answers) > ENVIRONMENTS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        # Several requests share one task: none of them may cancel it.
        return await asyncio.shield(self._answers[key])

    def _compute(self, model: Model, environment: Environment) -> tuple[Asset, Asset]:
        table = model.predict_table(list(self.manifest.kernels.values()), environment)
        kernels: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in table:
            by_pattern = kernels.setdefault(row.kernel.name, {})
            by_pattern.setdefault(row.context.pattern, []).append(_decision(row, environment))
        answer = {"version": model.version, "root": self.root, "kernels": kernels}
        return _asset(answer), _asset(plan(model.version, table))


def _decision(row: DecisionRow, environment: Environment) -> dict[str, Any]:
    choice = choose(row.kernel, row.context, environment, row.predictions, {}, ())
    return decision_row(row.size, row.context, choice, row.predictions)


def plan(version: int, table: list[DecisionRow]) -> dict[str, Any]:
    """The cells whose measurement would teach the model most: greatest standard deviation first."""
    cells = [
        {
            "kernel": row.kernel.name,
            "size": row.size,
            "pattern": row.context.pattern,
            "candidate": name,
            "sd": round(sd, 4),
        }
        for row in table
        for name, sd in zip(row.predictions.candidates, row.predictions.sd.tolist(), strict=True)
        if name != BASELINE
    ]
    return {"version": version, "cells": sorted(cells, key=lambda cell: -cell["sd"])[:PLAN_CELLS]}


def _asset(answer: Mapping[str, Any]) -> Asset:
    return Asset(json.dumps(answer, separators=(",", ":")).encode(), ".json", REVALIDATE)


def parse_environment(query: Mapping[str, str]) -> Environment:
    """The environment that a query string names; 400 naming the field that is wrong."""
    try:
        values = {name: query[name] for name in ("browser", "version", "os", "cores")}
        flags = {name: _FLAGS[query[name]] for name in ("simd", "relaxedSimd", "threads")}
    except KeyError as error:
        raise HTTPException(400, f"{error.args[0]}: missing or not 0 or 1") from None
    for name, words in (("browser", BROWSERS), ("os", SYSTEMS), ("cores", CORES)):
        if values[name] not in words:
            raise HTTPException(400, f"{name}: one of {', '.join(words)}")
    version = values["version"]
    if not (version.isascii() and version.isdigit() and int(version[:9]) <= MAX_BROWSER_VERSION):
        raise HTTPException(400, f"version: a number up to {MAX_BROWSER_VERSION}")
    return Environment.from_wire({**values, **flags, "version": int(version)})


async def _answer(request: Request) -> tuple[Asset, Asset]:
    environment = parse_environment(request.query_params)
    state = state_of(request)
    library = state.library
    # A page that tries a candidate asks for it by number, so that answers can be cached for everyone.
    asked = request.query_params.get("model", "")
    wanted = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 10 else 0
    model = library.models.get(max(wanted, library.stable)) or library.models.get(library.stable)
    if model is None:
        raise HTTPException(503, "no model yet", headers={"retry-after": "2"})
    return await state.decisions.answer(model, environment)


async def decisions(request: Request) -> Response:
    """`GET /api/decisions`: kernel → pattern → sizes, each with the choice and every candidate's speedup."""
    return (await _answer(request))[0].respond(request.headers)


async def measuring_plan(request: Request) -> Response:
    """`GET /api/plan`: cells worth measuring in this kind of browser."""
    return (await _answer(request))[1].respond(request.headers)
