"""What this browser should run: the model, the personal layer and local measurements brought together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fleetune.app.session import Args, Operation, RequestError, Session
from fleetune.choose import Choice, Measured, capped, choose, safe_default
from fleetune.context import Context
from fleetune.decision import decision_row
from fleetune.manifest import BASELINE, Kernel
from fleetune.model import Predictions
from fleetune.proof import in_words
from fleetune.stats import Timed

UNKNOWN_SD = 1.0  # ln speedup, where there is no model: nothing beats the safe default then
NO_MODEL = "There is no model yet, so the safe default runs."


def predicted(session: Session, kernel: Kernel, context: Context) -> Predictions:
    """The public model's word on every candidate that runs here; it knows nothing if there is no model."""
    candidates = kernel.candidates(session.environment.features)
    if session.verified:
        return session.verified.model.predict(kernel, context, session.environment, candidates)
    sd = np.array([0.0 if name == BASELINE else UNKNOWN_SD for name in candidates])
    return Predictions(candidates, np.zeros(len(candidates)), sd)


def personal(session: Session, kernel: Kernel, context: Context, predictions: Predictions) -> Predictions:
    """The predictions moved toward what this device measured elsewhere, the reference's time among it."""
    if not session.verified:
        return predictions
    model = session.verified.model
    if session.bound is not session.verified:

        def reference(signature: str, context: Context) -> float | None:
            return reference_ns(session, session.manifest.by_signature[signature], context)

        session.personal.bind(model, session.manifest.by_signature, session.environment, reference)
        session.bound = session.verified
    time = reference_ns(session, kernel, context) if model.asks_for_time(kernel) else None
    if time is not None:
        predictions = model.predict(kernel, context, session.environment, predictions.candidates, time)
    return session.personal.adjust(kernel.signature, context, predictions.candidates, predictions)


def reference_ns(session: Session, kernel: Kernel, context: Context) -> float | None:
    """How long the JavaScript reference takes here, ns a call, from what was timed of this kernel and data
    pattern: between two sizes linear in the logarithms, beyond them in proportion. None if nothing was."""
    timed = {
        where.log2_size: candidates[BASELINE].ms * 1e6
        for (name, where), candidates in session.measured.items()
        if name == kernel.name and where.pattern == context.pattern and BASELINE in candidates
    }
    if not timed:
        return None
    sizes = sorted(timed)
    beyond = context.log2_size - min(max(context.log2_size, sizes[0]), sizes[-1])
    logs = np.log2([timed[size] for size in sizes])
    return float(2 ** (np.interp(context.log2_size, sizes, logs) + beyond))


def decide(session: Session, kernel: Kernel, context: Context, predictions: Predictions) -> Choice:
    """The candidate to run in this context now, from everything known here."""
    timed = session.measured.get((kernel.name, context), {})
    if BASELINE in timed:
        predictions = capped(kernel, context, predictions, timed[BASELINE].ms * 1e6)
    aside = session.set_aside.get(kernel.name, {})
    return choose(kernel, context, session.environment, predictions, as_measured(timed), aside)


def first(session: Session, kernel: Kernel, context: Context, predictions: Predictions) -> Choice:
    """The choice of a browser that has measured nothing."""
    return choose(kernel, context, session.environment, predictions, {}, ())


def as_measured(timed: dict[str, Timed]) -> dict[str, Measured]:
    """Timings as the chooser wants them: ln speedup, and how disturbed the series was."""
    return {name: Measured(math.log(one.speedup), one.spread, one.error) for name, one in timed.items()}


def _row(session: Session, kernel: Kernel, size: int, context: Context) -> dict[str, Any]:
    everyone = predicted(session, kernel, context)
    here = personal(session, kernel, context, everyone)
    choice = decide(session, kernel, context, here)
    return {
        **decision_row(size, context, choice, here),
        "default": safe_default(kernel, session.environment.features),
        "measured": {
            name: one.speedup for name, one in session.measured.get((kernel.name, context), {}).items()
        },
    }


async def predict(session: Session, args: Args) -> dict[str, Any]:
    """One context, {kernel, size, pattern, copied}: every candidate's expected speedup, the choice, and what is
    proved of it (None: JavaScript)."""
    kernel = session.kernel(args["kernel"])
    if type(args.get("size")) is not int or args["size"] < 0:
        raise RequestError("size: a number of elements")
    context = Context.of(args["size"], kernel.dtype, args["pattern"], copied=bool(args.get("copied")))
    row = _row(session, kernel, args["size"], context)
    variant = kernel.variants.get(row["choice"])
    return {"version": version(session), **row, "proof": in_words(kernel, variant) if variant else None}


async def decisions(session: Session, args: Args) -> dict[str, Any]:
    """The whole table, as `GET /api/decisions` gives it, with what was measured here taken into account."""
    kernels: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for kernel in session.manifest.kernels.values():
        patterns = kernels[kernel.name] = {}
        for size, _pattern, _copied, context in kernel.contexts():
            patterns.setdefault(context.pattern, []).append(_row(session, kernel, size, context))
    return {"version": version(session), "kernels": kernels}


def version(session: Session) -> int:
    """Of the model in use; 0 if there is none."""
    return session.verified.version if session.verified else 0


OPS: dict[str, Operation] = {"predict": predict, "decisions": decisions}
