"""One report: chosen, privatised once, shown, paid for, sent, remembered, and withdrawn.

A report is first a *draft* (drawn at the first preview and then fixed: looking again draws nothing new),
then the *outbox* (paid for in the ledger, perhaps sent), then *history*. Tabs share these through the store;
each step re-reads them under a lock, so that withdrawal in one tab stops the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetune.app import consent, delivery
from fleetune.app.delivery import ReportError, StoppedError
from fleetune.app.ledger import Ledger
from fleetune.app.outbox import Box, Entry, Outbox, is_late
from fleetune.app.platform import NetworkError, Platform
from fleetune.app.session import Args, Operation, Session
from fleetune.context import Context, Environment
from fleetune.manifest import BASELINE, Kernel, Manifest
from fleetune.model import Model
from fleetune.packet import DAY, FIELDS, Packet, build, check, encode, told_environment
from fleetune.privacy import Entropy, uniform_below
from fleetune.stats import Timed

PATH = "/api/telemetry"
APART = (2.0, 12.0)  # seconds between two requests of one withdrawal, drawn anew each time
WITHDRAWABLE = 7200.0  # seconds for which a server keeps reports, unless it says otherwise
SEND_LOCK = "send"  # held by the one tab that is sending

REASONS: Mapping[str, str] = {
    "nothing": "Benchmark first: there is no measurement to report yet.",
    "model": "The model could not be fetched, and a report needs it: try again when the server is back.",
    "budget": "The privacy budget allows no further report now.",
}


@dataclass(frozen=True, slots=True)
class Reportable:
    """One thing that a report could be about."""

    kernel: Kernel
    context: Context
    variant: str
    log_speedup: float  # natural log, over JavaScript


Measured = Mapping[tuple[str, Context], Mapping[str, Timed]]  # by kernel name and context, then by candidate


def reportable(manifest: Manifest, measured: Measured) -> list[Reportable]:
    """Every context × variant measured here that is in the public catalogue, in a fixed order."""
    found = []
    for (name, context), candidates in sorted(measured.items(), key=lambda item: item[0]):
        kernel = manifest.named.get(name)
        for variant, one in sorted(candidates.items()):
            if kernel and variant != BASELINE and math.isfinite(one.speedup) and one.speedup > 0:
                found.append(Reportable(kernel, context, variant, math.log(one.speedup)))
    return found


def draw(
    choices: Sequence[Reportable],
    model: Model,
    environment: Environment,
    epsilon: float,
    day: int,
    entropy: Entropy,
) -> tuple[Kernel, Packet]:
    """Choose one measurement uniformly and privatise it against the public model, not the personal layer."""
    chosen = choices[uniform_below(len(choices), entropy)]
    base = model.predict(chosen.kernel, chosen.context, environment, [chosen.variant]).mean[0]
    return chosen.kernel, build(
        chosen.kernel,
        chosen.context,
        environment,
        chosen.variant,
        float(base),
        chosen.log_speedup,
        model.clip_at(chosen.kernel, environment),
        epsilon,
        model.version,
        day,
        entropy,
    )


@dataclass(frozen=True)
class Reporter:
    """The telemetry of one browser; `revision` is that of the privacy policy the page was served with."""

    platform: Platform
    manifest: Manifest
    environment: Environment
    revision: int
    withdrawable: float = WITHDRAWABLE  # seconds after its arrival that this server can delete a report

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.platform.store)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.platform.store)

    async def preview(self, model: Model | None, measured: Measured) -> dict[str, Any]:
        """The exact packet that `send` will send, or the reason why there is none."""
        verdict = await consent.ask(self.platform, self.revision)
        try:
            if not verdict.terms:
                raise _NothingToShow(verdict.reason or "off", verdict.message)
            async with self.outbox.locked() as box:
                kept = box.waiting is not None
                entry = box.waiting or await self._draft(box, verdict.terms, model, measured)
        except _NothingToShow as nothing:
            # The page knows four kinds: nothing measured, no model, budget spent, and no consent, whatever the cause.
            kind = nothing.code if nothing.code in REASONS else "consent"
            reason = {"code": kind, "cause": nothing.code, "message": str(nothing)}
            return {"packet": None, "text": None, "kept": False, "reason": reason, "fields": []}
        return {
            "packet": entry["packet"],
            "text": encode(check(entry["packet"])).decode(),
            "kept": kept,  # paid for, and perhaps sent already
            "reason": None,
            "fields": [field.to_wire() for field in FIELDS],
        }

    async def send(self) -> dict[str, Any]:
        """Pay for the previewed packet and send exactly it: {"ok", "status", "body"}.

        Raises ReportError if there is none, the budget does not allow it, or telemetry is switched off
        meanwhile; NetworkError if the server stays away (the packet then waits and costs nothing more).
        """
        async with self.platform.store.lock(SEND_LOCK):
            packet = await self._pay()
            nonce = packet.nonce

            async def wanted() -> bool:
                if not (await consent.ask(self.platform, self.revision)).ok:
                    return False
                async with self.outbox.locked() as box:
                    return box.holds(nonce)

            try:
                answer = await delivery.post(self.platform, PATH, encode(packet), nonce, wanted)
            except StoppedError:
                async with self.outbox.locked() as box:
                    box.close(nonce, "stopped")
                raise
            except NetworkError as error:
                raise NetworkError(f"{error}; the packet is kept and the next Send tries again") from error
            state = "sent" if answer.status == 202 else "refused"
            if state == "sent" or delivery.is_final(answer.status):
                async with self.outbox.locked() as box:
                    box.close(nonce, state)
        return {
            "ok": state == "sent",
            "status": answer.status,
            "body": answer.body.decode(errors="replace")[:500],
        }

    async def history(self) -> dict[str, Any]:
        """Everything that this browser ever sent or tried to send, newest first, and the budget."""
        verdict = await consent.ask(self.platform, self.revision)
        terms = verdict.terms or consent.Terms()
        budget = await self.ledger.budget(self.platform.now(), terms.epsilon, terms.per_day)
        async with self.outbox.locked() as box:
            sent = box.history[::-1]
        return {"sent": sent, "budget": budget.to_wire()}

    async def withdraw(self) -> dict[str, int]:
        """Drop what waits, stop what is under way in any tab, and delete what the server can still delete.

        {"removed", "late"}: reports deleted, and reports that could no longer be. Switching the choice off
        is the page's part. NetworkError or ReportError if the server cannot be asked; asking again resumes.

        Nothing joins reports: each is asked about by itself, at a time of its own, and only while the server
        may still have it.
        """
        async with self.outbox.locked() as box:
            box.clear()
        removed = late = 0
        async with self.platform.store.lock(SEND_LOCK):  # a sender sees the empty outbox and lets go
            async with self.outbox.locked() as box:
                entries, now = box.unsettled(), self.platform.now()
                past = [entry for entry in entries if is_late(entry, now, self.withdrawable)]
                box.mark([entry for entry in past if entry["state"] == "sent"], "late")
                box.mark([entry for entry in past if entry["state"] != "sent"], "dropped")
            late = sum(entry["state"] == "sent" for entry in past)
            asked = [entry for entry in entries if entry not in past]
            for number, entry in enumerate(asked):
                if number:
                    await self.platform.sleep(_pause(self.platform.entropy))
                found = await delivery.delete(self.platform, PATH, entry["nonce"])
                removed += found.removed
                # What was acknowledged but is unknown now is past its time; what never was, never arrived.
                too_late = found.folded or (not found.removed and entry["state"] == "sent")
                late += too_late
                fate = "withdrawn" if found.removed else "late" if too_late else "dropped"
                async with self.outbox.locked() as box:
                    box.mark([entry], fate)
        return {"removed": removed, "late": late}

    async def _pay(self) -> Packet:
        """The packet in the outbox, moved there from the draft and paid for if it was not yet."""
        verdict = await consent.ask(self.platform, self.revision)
        if not verdict.terms:
            raise ReportError(verdict.message)
        async with self.outbox.locked() as box:
            if box.waiting is None:
                draft = box.draft(verdict.terms.epsilon)
                if draft is None:
                    raise ReportError("there is no packet to send: look at it first")
                spent = await self.ledger.spend(
                    self.platform.now(), verdict.terms.epsilon, verdict.terms.per_day
                )
                if spent is None:
                    raise ReportError(REASONS["budget"])
                box.pay(draft)
            assert box.waiting is not None
            box.note_attempt(self.platform.now())
            return check(box.waiting["packet"])

    async def _draft(self, box: Box, terms: consent.Terms, model: Model | None, measured: Measured) -> Entry:
        """The draft at these terms, drawn now if there is none that fits the model."""
        budget = await self.ledger.budget(self.platform.now(), terms.epsilon, terms.per_day)
        days = budget.next_day - budget.day
        if days:
            raise _NothingToShow(
                "budget", f"{REASONS['budget']} The next one fits in {days} day{'s' if days > 1 else ''}."
            )
        day = int(self.platform.now() // DAY)
        entry = box.draft(terms.epsilon)
        if entry and (model is None or entry["packet"]["modelVersion"] == model.version):
            entry["packet"]["timestamp"] = day * DAY  # the same draw, shown on a later day
            return entry
        choices = reportable(self.manifest, measured)
        if not choices:
            raise _NothingToShow("nothing", REASONS["nothing"])
        if model is None:
            raise _NothingToShow("model", REASONS["model"])
        environment = told_environment(self.environment, terms.epsilon)
        kernel, packet = draw(choices, model, environment, terms.epsilon, day, self.platform.entropy)
        return box.keep_draft(terms.epsilon, {"kernel": kernel.name, "packet": packet.to_wire()})


def _pause(entropy: Entropy) -> float:
    """Seconds until the next request of a withdrawal."""
    least, most = APART
    return least + (most - least) * uniform_below(1 << 16, entropy) / (1 << 16)


class _NothingToShow(Exception):  # noqa: N818 (not an error: the reason why there is no packet)
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _reporter(session: Session) -> Reporter:
    boot = session.boot
    return Reporter(
        session.platform,
        session.manifest,
        session.environment,
        int(boot["policyRevision"]),
        float(boot.get("withdrawableSeconds", WITHDRAWABLE)),
    )


async def preview(session: Session, args: Args) -> dict[str, Any]:
    """The exact packet, and the field table that explains it; or the reason why there is none."""
    return await _reporter(session).preview(
        session.verified.model if session.verified else None, session.measured
    )


async def send(session: Session, args: Args) -> dict[str, Any]:
    """Send the packet that `preview` showed."""
    return await _reporter(session).send()


async def history(session: Session, args: Args) -> dict[str, Any]:
    """Everything ever sent, and the budget."""
    return await _reporter(session).history()


async def withdraw(session: Session, args: Args) -> dict[str, int]:
    """Stop, and delete what can be deleted."""
    return await _reporter(session).withdraw()


OPS: dict[str, Operation] = {"preview": preview, "send": send, "history": history, "withdraw": withdraw}
