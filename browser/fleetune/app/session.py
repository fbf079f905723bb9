"""The state of one running app, what it remembers between visits, and the operations that only look at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fleetune.app.control import Control
from fleetune.app.platform import Platform
from fleetune.context import Context, Environment
from fleetune.manifest import Kernel, Manifest
from fleetune.model import Model
from fleetune.personal import PersonalError, PersonalLayer
from fleetune.signed import Release
from fleetune.stats import Timed

# Store keys; written by Python only.
MEASUREMENTS = "measurements"
PERSONAL = "personal"
CONFIRMED = "confirmed"  # a page's own (web/embed/confirmed.js)
RESULTS = "results"  # read by the page, which shows them before Python is there

Args = Mapping[str, Any]


class RequestError(ValueError):
    """The page asked for something that does not exist; the message names it."""


@dataclass(frozen=True)
class VerifiedModel:
    """A verified model and what it was verified with."""

    model: Model
    artefact: bytes
    release: Release
    signatures: Mapping[str, str]
    signed_by: tuple[str, ...]  # pinned keys

    @property
    def version(self) -> int:
        return self.release.version


@dataclass
class Session:
    """Everything that operations share. Measurements are keyed by kernel name and context."""

    platform: Platform
    manifest: Manifest
    environment: Environment
    boot: Mapping[str, Any] = field(default_factory=dict)
    measured: dict[tuple[str, Context], dict[str, Timed]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)  # what the page was shown, by cell
    set_aside: dict[str, dict[str, str]] = field(default_factory=dict)  # kernel → candidate → why
    control: Control | None = None  # of the benchmark under way
    benched: bool = False  # whether the bench worker has been used before
    verified: VerifiedModel | None = None  # the model in use
    rollout_bucket: int | None = None  # 0 … 999: whether this session tries a version in trial
    personal: PersonalLayer = field(default_factory=PersonalLayer)
    bound: VerifiedModel | None = None  # the model that the personal layer corrects

    def kernel(self, name: str) -> Kernel:
        """The kernel of this name; RequestError if there is none."""
        try:
            return self.manifest.kernels[name]
        except KeyError:
            raise RequestError(f"the catalogue has no kernel {name!r}") from None

    def candidates(self, kernel: Kernel) -> tuple[str, ...]:
        """What this browser can run of a kernel, less what was set aside."""
        aside = self.set_aside.get(kernel.name, {})
        return tuple(c for c in kernel.candidates(self.environment.features) if c not in aside)

    def put_aside(self, kernel: str, candidate: str, reason: str) -> None:
        """Never run this candidate again in this session, and tell the page."""
        self.set_aside.setdefault(kernel, {})[candidate] = reason
        data = {"kernel": kernel, "candidate": candidate, "reason": reason}
        self.platform.emit("setAside", data)

    async def remember(self) -> None:
        """Keep the measurements for the next visit."""
        cells = [
            {
                "signature": self.manifest.named[kernel].signature,
                "context": context.to_wire(),
                "candidates": {name: asdict(one) for name, one in candidates.items()},
            }
            for (kernel, context), candidates in self.measured.items()
        ]
        kept = {"environment": self.environment.fingerprint, "cells": cells}
        await self.platform.store.set(MEASUREMENTS, kept)
        await self.platform.store.set(PERSONAL, self.personal.to_json())
        shown = {"environment": self.environment.to_wire(), "results": list(self.results.values())}
        await self.platform.store.set(RESULTS, shown)

    def show(self, result: Mapping[str, Any]) -> None:
        """Keep a result as the page was told it; a later one of the same cell replaces it."""
        key = f"{result['kernel']} {result['context']['pattern']} {result['size']}"
        self.results[key] = dict(result)

    async def recall(self) -> None:
        """Take back what an earlier visit measured; times only if the browser is still of the same kind."""
        try:
            self.personal = PersonalLayer.from_json(await self.platform.store.get(PERSONAL) or [])
        except PersonalError as error:
            self.platform.emit("log", {"level": "warning", "text": f"{error}; they are forgotten"})
        kept = await self.platform.store.get(MEASUREMENTS)
        if not isinstance(kept, dict) or kept.get("environment") != self.environment.fingerprint:
            return
        shown = await self.platform.store.get(RESULTS) or {}
        self._take(shown.get("results", []) if isinstance(shown, dict) else [None], self._recall_result)
        self._take(kept.get("cells"), self._recall_cell)

    def _take(self, entries: object, take: Callable[[Any], None]) -> None:
        """Take back each entry; what does not fit is left out, and the page is told."""
        listed = entries if isinstance(entries, list) else [entries]
        lost = 0
        for entry in listed:
            try:
                take(entry)
            except (AttributeError, KeyError, TypeError, ValueError):
                lost += 1
        if lost:
            text = f"{lost} of {len(listed)} stored entries could not be read; they are forgotten"
            self.platform.emit("log", {"level": "warning", "text": text})

    def _recall_result(self, result: Any) -> None:
        if result["kernel"] in self.manifest.kernels:
            self.show(result)

    def _recall_cell(self, cell: Any) -> None:
        kernel = self.manifest.by_signature.get(cell["signature"])
        if not kernel:
            return
        names = kernel.candidates(self.environment.features)
        timed = {name: Timed(**one) for name, one in cell["candidates"].items() if name in names}
        if not all(
            isinstance(value, int | float) for one in timed.values() for value in asdict(one).values()
        ):
            raise TypeError("a time is a number")
        self.measured[kernel.name, Context.from_wire(cell["context"])] = timed


Operation = Callable[[Session, Args], Awaitable[Any]]


async def state(session: Session, args: Args) -> dict[str, Any]:
    """Where things stand."""
    return {
        "busy": session.control is not None,
        "paused": session.control is not None and session.control.paused,
        "modelVersion": session.verified.version if session.verified else 0,
        "measured": len(session.measured),
        "setAside": session.set_aside,
        "persistent": await session.platform.store.persistent(),
    }


async def environment(session: Session, args: Args) -> dict[str, Any]:
    """The coarse browser cell and its hash."""
    return {**session.environment.to_wire(), "fingerprint": session.environment.fingerprint}


async def catalogue(session: Session, args: Args) -> list[dict[str, Any]]:
    """Every kernel with what this browser can run of it."""
    return [
        {
            "name": kernel.name,
            "signature": kernel.signature,
            "family": kernel.family,
            "summary": kernel.summary,
            "dtype": kernel.dtype,
            "sizes": list(kernel.sizes),
            "patterns": list(kernel.patterns),
            "copied": kernel.copied,
            "candidates": list(kernel.candidates(session.environment.features)),
        }
        for kernel in session.manifest.kernels.values()
    ]


async def forget(session: Session, args: Args) -> dict[str, Any]:
    """Drop every measurement made here. Consent and what was sent are kept elsewhere and stay."""
    forgotten = len(session.measured)
    session.measured.clear()
    session.results.clear()
    session.set_aside.clear()
    session.personal.forget()
    await session.platform.store.delete(MEASUREMENTS)
    await session.platform.store.delete(PERSONAL)
    await session.platform.store.delete(RESULTS)
    await session.platform.store.delete(CONFIRMED)
    return {"forgotten": forgotten}


OPS: dict[str, Operation] = {
    "state": state,
    "environment": environment,
    "catalogue": catalogue,
    "forget": forget,
}
