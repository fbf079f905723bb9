"""The operations that the page may call, assembled from the modules that hold them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from fleetune.app import benchmark, decide, jobs, report, session, trust, update
from fleetune.app import rate as feedback
from fleetune.app.delivery import ReportError
from fleetune.app.ledger import LedgerError
from fleetune.app.platform import Platform, PlatformError
from fleetune.app.session import Operation, RequestError, Session
from fleetune.app.workloads import WorkloadError
from fleetune.context import Environment
from fleetune.manifest import Manifest
from fleetune.signed import SignedError

HANDLERS: Mapping[str, Operation] = {
    **session.OPS,
    **decide.OPS,
    **benchmark.OPS,
    **update.OPS,
    **report.OPS,
    **jobs.OPS,
    **feedback.OPS,
}

# Errors whose message is meant for the user; anything else is our mistake and is logged with its traceback.
EXPECTED = (PlatformError, RequestError, WorkloadError, ReportError, LedgerError)


async def start(
    platform: Platform, *, boot: Mapping[str, Any], manifest: Manifest, environment: Environment
) -> Session:
    """A session with what earlier visits left behind."""
    fresh = Session(platform, manifest, environment, boot)
    await fresh.recall()
    try:
        # What was kept needs no newer root, and is there without the server; `update` follows what the server offers.
        if root := await trust.remembered(platform):
            fresh.verified = await update.restore(platform, root.keys)
    except SignedError as error:
        platform.emit("log", {"level": "warning", "text": str(error)})
    return fresh


async def call(session: Session, op: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Run one operation: {"value": …} or {"error": {"name", "message"}}. Never raises."""
    try:
        return {"value": await HANDLERS[op](session, args)}
    except EXPECTED as error:
        return {"error": {"name": type(error).__name__, "message": str(error)}}
    except Exception as error:
        session.platform.emit("log", {"level": "error", "text": traceback.format_exc()})
        message = f"{op} failed unexpectedly: {type(error).__name__}: {error}"
        return {"error": {"name": type(error).__name__, "message": message}}
