"""The one-tap question "was this choice good?": under the same consent, from a budget of its own."""

from __future__ import annotations

from typing import Any

from fleetune import feedback
from fleetune.app import consent, delivery
from fleetune.app.delivery import ReportError
from fleetune.app.ledger import Budget, Ledger
from fleetune.app.platform import Platform
from fleetune.app.session import Args, Operation, RequestError, Session
from fleetune.packet import DAY

PATH = "/api/feedback"
CAP = 10.0  # ε in 30 days, beside the reports' own: ten answers
PER_DAY = 1


def ledger(platform: Platform) -> Ledger:
    """What was spent on answers."""
    return Ledger(platform.store, CAP, "feedbackLedger")


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
    packet = feedback.build(good, int(platform.now() // DAY), entropy=platform.entropy)

    async def wanted() -> bool:
        return (await consent.ask(platform, revision)).ok

    sent = await delivery.post(platform, PATH, feedback.encode(packet), wanted)
    if sent.status != 202:
        raise ReportError(f"the server answered {sent.status}: your answer was not counted")
    return spent


async def satisfaction(session: Session, args: Args) -> dict[str, Any]:
    """{"good": bool} in; the budget for answers out."""
    if type(args.get("good")) is not bool:
        raise RequestError('satisfaction needs {"good": true} or {"good": false}')
    spent = await answer(session.platform, int(session.boot["policyRevision"]), args["good"])
    return {"ok": True, "budget": spent.to_wire()}


OPS: dict[str, Operation] = {"satisfaction": satisfaction}
