"""What the stable model, or a candidate on trial, would choose for a kind of browser, and where it doubts.

Pages ask for the answer of their engine, which is the same for all its browsers, and look up their own kind
in it themselves: so that no environment is sent before a choice about telemetry. A page that calls few kernels
asks for one at a time. Tools may ask for one environment and get its engine's: what strangers ask for is computed
once a version and engine, and never for each of them.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fleetune.choose import choose
from fleetune.context import BROWSERS, Environment
from fleetune.decision import decision_row
from fleetune.features import engine_key, from_key
from fleetune.manifest import BASELINE, Manifest
from fleetune.model import DecisionRow, Model
from fleetune_server.common.assets import REVALIDATE, Asset
from fleetune_server.publish.distribute import SealedAnswer, Sealer

VERSIONS = 4  # whose answers are remembered: the first, the stable one, one on trial, and what just changed
PLAN_CELLS = 50
KINDS = 16  # kinds of browser of one engine, newest first, whose own choices are in the engine's answer
# The browser family and which sets of modules it can load, which its downloads show in any case.
ENGINES: Mapping[str, Environment] = {
    browser + suffix: Environment(browser, 0, "other", simd, relaxed, False, "1")
    for browser in BROWSERS
    for suffix, simd, relaxed in (("", False, False), ("-simd", True, False), ("-relaxedSimd", True, True))
}

Rows = dict[str, dict[str, list[dict[str, Any]]]]  # by kernel, then by pattern


class Offer(Protocol):
    """The catalogue that decisions are about."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def root(self) -> str:
        """URL prefix of the catalogue's files, for pages that call kernels."""

    def called(self, kernel: str) -> Mapping[str, str]:
        """The files below it that a page loads to call a kernel, with their integrity."""


@dataclass(frozen=True)
class EngineAnswer:
    """What every browser of one engine may fetch: signed, and the same bytes for all of them."""

    whole: SealedAnswer
    names: SealedAnswer  # `whole` with every kernel's table empty: which kernels there are
    kernels: Mapping[str, SealedAnswer]  # `whole` with one kernel's table
    jobs: Mapping[str, SealedAnswer]  # likewise, with the job's description


class Decisions:
    """Answers by (catalogue, version, engine), computed once each, off the event loop."""

    def __init__(self, offer: Callable[[], Offer], sealer: Sealer) -> None:
        self._offer = offer  # as served now
        self._sealer = sealer
        self._answers: OrderedDict[tuple[str, int, str], asyncio.Task[tuple[Asset, Asset]]] = OrderedDict()
        self._engines: OrderedDict[tuple[str, int, str], asyncio.Task[EngineAnswer]] = OrderedDict()

    async def answer(self, model: Model, environment: Environment) -> tuple[Asset, Asset]:
        """(decisions, plan) for the engine of a kind of browser."""
        offer, engine = self._offer(), engine_of(environment)
        key = offer.root, model.version, engine
        if key not in self._answers:
            work = asyncio.to_thread(_of_kind, offer, model, ENGINES[engine])
            self._answers[key] = asyncio.create_task(work)
            if len(self._answers) > VERSIONS * len(ENGINES):
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        # Several requests share one task: none of them may cancel it.
        return await asyncio.shield(self._answers[key])

    async def of_engine(self, model: Model, engine: str) -> EngineAnswer:
        """The tables of every kernel, of each alone, and the list of kernels."""
        offer = self._offer()
        key = offer.root, model.version, engine
        if key not in self._engines:
            work = asyncio.to_thread(_of_engine, offer, model, engine, self._sealer)
            self._engines[key] = asyncio.create_task(work)
            if len(self._engines) > VERSIONS * len(ENGINES):
                self._engines.popitem(last=False)
        self._engines.move_to_end(key)
        return await asyncio.shield(self._engines[key])


def engine_of(environment: Environment) -> str:
    """The engine, a key of ENGINES, that a kind of browser belongs to."""
    suffix = "-relaxedSimd" if environment.relaxed_simd else "-simd"
    return environment.browser + (suffix if environment.simd else "")


def _of_engine(offer: Offer, model: Model, engine: str, sealer: Sealer) -> EngineAnswer:
    general, manifest = ENGINES[engine], offer.manifest
    kernels, jobs = list(manifest.kernels.values()), list(manifest.jobs.values())

    def rows(environment: Environment) -> Rows:
        return _by_kernel(model.predict_table([*kernels, *jobs], environment), environment)

    common = rows(general)
    known = _known(model, general)
    kinds = {_name(one): list(_different(rows(one), common)) for one in known}
    whole = {_name(one): _name(one.any_arch) for one in known}

    def sealed(names: Sequence[str], **more: Any) -> SealedAnswer:
        own = {kind: [row for row in rows if row[0] in names] for kind, rows in kinds.items()}
        # Pages take the rows of any architecture if their own kind is not there.
        told = {kind for kind, rows in own.items() if rows or own.get(whole[kind])}
        answer = {
            "engine": engine,
            "version": model.version,
            "root": offer.root,
            "files": {path: digest for name in names for path, digest in offer.called(name).items()},
            "kernels": {name: common[name] for name in names},
            "kinds": {kind: own[kind] for kind in own if kind in told},
        }
        return SealedAnswer("decisions", {**answer, **more}, sealer)

    return EngineAnswer(
        sealed(list(manifest.kernels)),
        sealed([], kernels={name: {} for name in manifest.kernels}),
        {name: sealed([name]) for name in manifest.kernels},
        {entry["name"]: sealed([entry["name"]], job=entry) for entry in manifest.raw.get("jobs", ())},
    )


def _of_kind(offer: Offer, model: Model, environment: Environment) -> tuple[Asset, Asset]:
    table = _table(offer, model, environment)
    answer = {"version": model.version, "root": offer.root, "kernels": _by_kernel(table, environment)}
    return _asset(answer), _asset(plan(model.version, table))


def _table(offer: Offer, model: Model, environment: Environment) -> list[DecisionRow]:
    return model.predict_table(list(offer.manifest.kernels.values()), environment)


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
