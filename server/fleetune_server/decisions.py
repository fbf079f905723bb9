"""What the stable model, or a candidate on trial, would choose for a kind of browser, and where it doubts.

Pages ask for the answer of their engine, which is the same for all its browsers, and look up their own kind
in it themselves: so that no environment is sent before a choice about telemetry. Tools may ask for one.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fleetune.choose import choose
from fleetune.context import BROWSERS, CORES, MAX_BROWSER_VERSION, SYSTEMS, Environment
from fleetune.decision import decision_row
from fleetune.features import engine_key, from_key
from fleetune.manifest import BASELINE, Manifest
from fleetune.model import DecisionRow, Model
from fleetune_server.assets import REVALIDATE, Asset
from fleetune_server.state import state_of

ENVIRONMENTS = 256  # kinds of browser whose answers are remembered
PLAN_CELLS = 50
KINDS = 16  # kinds of browser of one engine, newest first, whose own choices are in the engine's answer
_FLAGS = {"1": True, "0": False}
# The browser family and which sets of modules it can load, which its downloads show in any case.
ENGINES: Mapping[str, Environment] = {
    browser + suffix: Environment(browser, 0, "other", simd, relaxed, False, "1")
    for browser in BROWSERS
    for suffix, simd, relaxed in (("", False, False), ("-simd", True, False), ("-relaxedSimd", True, True))
}

Rows = dict[str, dict[str, list[dict[str, Any]]]]  # by kernel, then by pattern


class Decisions:
    """Answers by (version, environment), computed once each, off the event loop."""

    def __init__(self, manifest: Manifest, root: str) -> None:
        self.manifest = manifest
        self.root = root  # URL prefix of the catalogue's files, for pages that call kernels
        self._answers: OrderedDict[tuple[int, Environment], asyncio.Task[tuple[Asset, Asset]]] = OrderedDict()
        self._engines: OrderedDict[tuple[int, str], asyncio.Task[Asset]] = OrderedDict()

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

    async def of_engine(self, model: Model, engine: str) -> Asset:
        """What every browser of one engine may fetch; the same bytes for all of them."""
        key = model.version, engine
        if key not in self._engines:
            self._engines[key] = asyncio.create_task(asyncio.to_thread(self._compute_engine, model, engine))
            if len(self._engines) > 2 * len(ENGINES):
                self._engines.popitem(last=False)
        self._engines.move_to_end(key)
        return await asyncio.shield(self._engines[key])

    def _compute_engine(self, model: Model, engine: str) -> Asset:
        general = ENGINES[engine]
        common = self._table(model, general)
        kinds = {
            _name(environment): list(_different(self._table(model, environment), common))
            for environment in _known(model, general)
        }
        return _asset({"version": model.version, "root": self.root, "kernels": common, "kinds": kinds})

    def _compute(self, model: Model, environment: Environment) -> tuple[Asset, Asset]:
        table = model.predict_table(list(self.manifest.kernels.values()), environment)
        answer = {"version": model.version, "root": self.root, "kernels": _by_kernel(table, environment)}
        return _asset(answer), _asset(plan(model.version, table))

    def _table(self, model: Model, environment: Environment) -> Rows:
        return _by_kernel(model.predict_table(list(self.manifest.kernels.values()), environment), environment)


def _by_kernel(table: list[DecisionRow], environment: Environment) -> Rows:
    kernels: Rows = {}
    for row in table:
        by_pattern = kernels.setdefault(row.kernel.name, {})
        by_pattern.setdefault(row.context.pattern, []).append(_decision(row, environment))
    return kernels


def _different(own: Rows, common: Rows) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """The rows of a kind of browser that choose something else than its engine's, with their places."""
    for kernel, patterns in own.items():
        for pattern, rows in patterns.items():
            for i, (mine, general) in enumerate(zip(rows, common[kernel][pattern], strict=True)):
                if mine["choice"] != general["choice"]:
                    yield kernel, pattern, i, mine


def _name(environment: Environment) -> str:
    """As pages spell it: the wire values in their order, as JavaScript writes them."""
    return " ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in environment.to_wire().values())


def _known(model: Model, general: Environment) -> list[Environment]:
    """The kinds of browser of this engine that the model has learned about, newest first."""
    known = [
        environment
        for key in model.artefact.vocabulary["environment"]
        if (environment := from_key(key))
        and engine_key(environment) == engine_key(general)
        and environment != general
    ]
    return sorted(known, key=lambda environment: -environment.version)[:KINDS]


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
    return await state_of(request).decisions.answer(_model(request), environment)


def _model(request: Request) -> Model:
    library = state_of(request).library
    # A page that tries a candidate asks for it by number, so that answers can be cached for everyone.
    asked = request.query_params.get("model", "")
    if asked == "first" and library.models:  # against which a page sees what reports brought
        return library.models[min(library.models)]
    wanted = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 10 else 0
    model = library.models.get(max(wanted, library.stable)) or library.models.get(library.stable)
    if model is None:
        raise HTTPException(503, "no model yet", headers={"retry-after": "2"})
    return model


async def of_engine(request: Request) -> Response:
    """`GET /api/decisions/<engine>`: one answer for every browser of an engine, its kinds within."""
    engine = request.path_params["engine"]
    if engine not in ENGINES:
        raise HTTPException(404, f"engines are {', '.join(ENGINES)}")
    if (
        "model" not in request.query_params
    ):  # a page's first question, and not about a version it heard of later
        state_of(request).metrics.sessions.add()
    asset = await state_of(request).decisions.of_engine(_model(request), engine)
    return await asyncio.to_thread(asset.respond, request.headers)


async def decisions(request: Request) -> Response:
    """`GET /api/decisions`: kernel → pattern → sizes, each with the choice and every candidate's speedup."""
    return (await _answer(request))[0].respond(request.headers)


async def measuring_plan(request: Request) -> Response:
    """`GET /api/plan`: cells worth measuring in this kind of browser."""
    return (await _answer(request))[1].respond(request.headers)
