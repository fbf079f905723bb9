"""The one-tap question "was this choice good?": under the same consent, from a budget of its own."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from fleetune import rating as feedback
from fleetune.app import consent, delivery
from fleetune.app.delivery import ReportError
from fleetune.app.ledger import Budget, Ledger
from fleetune.app.platform import NetworkError, Platform
from fleetune.app.session import Args, Operation, RequestError, Session

PATH = "/api/feedback"
CAP = 10.0  # ε in 30 days, beside the reports' own: ten answers
PER_DAY = 1
HISTORY = "answers"  # store key: every answer ever sent or tried, oldest first
MAX_HISTORY = 1_000  # more than eight years at ten a month


def ledger(platform: Platform) -> Ledger:
    """What was spent on answers."""
    return Ledger(platform.store, CAP, "feedbackLedger")


async def sent(platform: Platform) -> list[dict[str, Any]]:
    """Every answer ever sent or tried, oldest first: {"nonce", "day", "good" as sent, "state", "text"}."""
    stored = await platform.store.get(HISTORY)
    return [one for one in stored if isinstance(one, dict)] if isinstance(stored, list) else []


async def _note(platform: Platform, change: Callable[[list[dict[str, Any]]], object]) -> None:
    async with platform.store.lock(HISTORY):
        history = deepcopy(await sent(platform))
        change(history)
        await platform.store.set(HISTORY, history[-MAX_HISTORY:])


async def answer(platform: Platform, revision: int, good: bool) -> Budget:
    """Randomise one answer, pay, send it; ReportError if it may not go.

    An answer that does not arrive is lost: it is never drawn or asked a second time for the same tap.
    """
    verdict = await consent.ask(platform, revision)
    if not verdict.ok:
        raise ReportError(verdict.message)
    spent = await ledger(platform).spend(platform.now(), feedback.EPSILON, PER_DAY)
    if spent is None:
        raise ReportError("you have answered today already, or often enough this month: thank you")
    # Dated by the ledger: a clock that was moved back stays on the latest day ever seen.
    packet = feedback.build(good, spent.day, entropy=platform.entropy)
    body = feedback.encode(packet)
    entry = {
        "nonce": packet.nonce,
        "day": datetime.fromtimestamp(packet.timestamp, UTC).date().isoformat(),
        "good": packet.good,
        "state": "sending",
        "text": body.decode(),
    }
    await _note(platform, lambda history: history.append(entry))

    async def close(state: str) -> None:
        def mark(history: list[dict[str, Any]]) -> None:
            next(one for one in history if one["nonce"] == packet.nonce)["state"] = state

        await _note(platform, mark)

    async def wanted() -> bool:
        return (await consent.ask(platform, revision)).ok

    try:
        reply = await delivery.post(platform, PATH, body, packet.nonce, wanted)
    except (ReportError, NetworkError):
        await close("stopped")
        raise
    await close("sent" if reply.status == 202 else "refused")
    if reply.status != 202:
        raise ReportError(f"the server answered {reply.status}: your answer was not counted")
    return spent


async def satisfaction(session: Session, args: Args) -> dict[str, Any]:
    """{"good": bool} in; the budget for answers, and the exact text that was sent, out."""
    if type(args.get("good")) is not bool:
        raise RequestError('satisfaction needs {"good": true} or {"good": false}')
    spent = await answer(session.platform, int(session.boot["policyRevision"]), args["good"])
    return {"ok": True, "budget": spent.to_wire(), "text": (await sent(session.platform))[-1]["text"]}


async def answers(session: Session, args: Args) -> dict[str, Any]:
    """Every answer ever sent, newest first, and their budget."""
    platform = session.platform
    budget = await ledger(platform).budget(platform.now(), feedback.EPSILON, PER_DAY)
    return {"sent": (await sent(platform))[::-1], "budget": budget.to_wire()}


OPS: dict[str, Operation] = {"satisfaction": satisfaction, "answers": answers}
