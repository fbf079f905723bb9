"""What waits and what was sent: drafts, the paid-for packet, and history, shared by all tabs of a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fleetune.app.platform import KeyValue
from fleetune.packet import DAY, PacketError, check, encode

KEY = "reports"
HOUR = 3600  # seconds
TRYING = 900  # seconds that one attempt to send may take, with all its pauses
STALE_DAYS = 3  # after which no server takes a report
MAX_HISTORY = 5_000  # more than ten years at one a day; the oldest fall off


Entry = dict[str, Any]  # {"kernel", "packet"}; in history also "nonce", "day", "state" …


class Box:
    """The stored record while its lock is held."""

    def __init__(self, stored: Any) -> None:
        record = stored if isinstance(stored, dict) else {}
        drafts, waiting, history = (record.get(key) for key in ("drafts", "waiting", "history"))
        kept = drafts.items() if isinstance(drafts, dict) else ()
        self.drafts: dict[str, Entry] = {key: one for key, one in kept if _holds_packet(one)}
        self.waiting: Entry | None = waiting if _holds_packet(waiting) else None
        listed = history if isinstance(history, list) else []
        self.history: list[Entry] = [entry for entry in listed if _is_report(entry)]

    def to_json(self) -> Entry:
        return {"drafts": self.drafts, "waiting": self.waiting, "history": self.history[-MAX_HISTORY:]}

    def draft(self, epsilon: float) -> Entry | None:
        """The draft drawn at this ε. Each ε keeps its own: changing back and forth draws nothing new."""
        return self.drafts.get(f"{epsilon:g}")

    def keep_draft(self, epsilon: float, entry: Entry) -> Entry:
        self.drafts[f"{epsilon:g}"] = entry
        return entry

    def pay(self, draft: Entry) -> None:
        """Move a draft to the outbox and into history: from here on it may have been sent."""
        self.drafts.clear()
        self.waiting = draft
        packet = draft["packet"]
        ((candidate, value),) = packet["actualSpeedups"].items()
        self.history.append(
            {
                "nonce": packet["nonce"],
                "day": datetime.fromtimestamp(packet["timestamp"], UTC).date().isoformat(),
                "kernel": draft["kernel"],
                "candidate": candidate,
                "value": value,
                "epsilon": packet["privacy"]["epsilon"],
                "state": "sending",
                "text": encode(check(packet)).decode(),
            }
        )

    def note_attempt(self, now: float) -> None:
        """Remember by the hour when the waiting packet was last sent off: how long it can be withdrawn."""
        for entry in self.history:
            if self.holds(entry["nonce"]):
                entry["tried"] = int(now // HOUR) * HOUR

    def holds(self, nonce: str) -> bool:
        """Whether this packet is still to be sent."""
        return self.waiting is not None and self.waiting["packet"]["nonce"] == nonce

    def close(self, nonce: str, state: str) -> None:
        """The packet is done with: `sent`, `refused`, or `stopped` (it may or may not have arrived)."""
        if self.holds(nonce):
            self.waiting = None
        self.mark([entry for entry in self.history if entry["nonce"] == nonce], state)

    def clear(self) -> None:
        """Forget drafts and the outbox; history stays."""
        self.drafts.clear()
        self.waiting = None

    def unsettled(self) -> list[Entry]:
        """Entries of history that the server has, or may have, and that nobody withdrew."""
        return deepcopy([e for e in self.history if e["state"] in ("sent", "sending", "stopped")])

    def mark(self, entries: Iterable[Entry], state: str) -> None:
        nonces = {entry["nonce"] for entry in entries}
        for entry in self.history:
            if entry["nonce"] in nonces:
                entry["state"] = state


def is_late(entry: Entry, now: float, seconds: float) -> bool:
    """Whether no server that keeps reports for `seconds` after their arrival can still delete this one."""
    tried = entry.get("tried")
    if not isinstance(tried, int):  # of an earlier version: it may have waited as long as its day is accepted
        tried = datetime.fromisoformat(entry["day"]).replace(tzinfo=UTC).timestamp() + STALE_DAYS * DAY
    return now > tried + HOUR + TRYING + seconds


REPORT: Mapping[str, type | tuple[type, ...]] = {
    "nonce": str,
    "day": str,
    "kernel": str,
    "candidate": str,
    "value": (int, float),
    "epsilon": (int, float),
    "state": str,
    "text": str,
}


def _is_report(entry: object) -> bool:
    """Whether a stored entry of history is one; what is not is left out (the page says so)."""
    return isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in REPORT.items())


def _holds_packet(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("kernel"), str):
        return False
    try:
        check(entry.get("packet"))
    except PacketError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Outbox:
    """The box in a store."""

    store: KeyValue

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[Box]:
        """Read, change, and write back if anything changed and nothing was raised."""
        async with self.store.lock(KEY):
            stored = await self.store.get(KEY)
            box = Box(deepcopy(stored))
            yield box
            if box.to_json() != Box(stored).to_json():
                await self.store.set(KEY, box.to_json())
