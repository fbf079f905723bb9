"""What the lifespan owns and every endpoint may use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import HTTPConnection

from fleetune_server.store.base import StoreError

if TYPE_CHECKING:  # some of them use state_of
    from fleetune_server.canary import Canary
    from fleetune_server.catalogue import Catalogue
    from fleetune_server.decisions import Decisions
    from fleetune_server.deliver.distribute import Distributor
    from fleetune_server.deliver.hub import Hub
    from fleetune_server.deliver.keys import KeyRing
    from fleetune_server.history import History
    from fleetune_server.intake.feedback import FeedbackIntake
    from fleetune_server.intake.ingest import Intake
    from fleetune_server.library import Library
    from fleetune_server.metrics import Metrics
    from fleetune_server.pipeline import Pipeline
    from fleetune_server.settings import Settings
    from fleetune_server.store.base import Store

KEY = "fleetune"
T = TypeVar("T")


class LastKnown:
    """What the store said last, for readers who must have an answer while it is gone."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    async def of(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` says now, or else said last; StoreError if it never did."""
        try:
            self._values[name] = await read()
        except StoreError:
            if name not in self._values:
                raise
        known: T = self._values[name]
        return known


@dataclass
class State:
    """The running server's resources."""

    settings: Settings
    catalogue: Catalogue
    store: Store
    library: Library
    intake: Intake
    feedback: FeedbackIntake
    decisions: Decisions
    distributor: Distributor
    hub: Hub
    keys: KeyRing
    pipeline: Pipeline
    canary: Canary
    metrics: Metrics
    history: History
    known: LastKnown = field(default_factory=LastKnown)
    earlier: list[Catalogue] = field(default_factory=list)  # whose files stay for a while
    own_marks: dict[str, str] = field(default_factory=dict)  # which of them the catalogue has
    own_kernels: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while an operator changes them
    started: float = field(default_factory=time.time)  # unix seconds

    async def remember(self) -> None:
        """Ask once what readers will want to know although the store may be gone by then."""
        await self.known.of("counts", self.store.counts)
        await self.known.of("hours", self.history.hours)
        await self.known.of("versions", self.history.versions)


def state_of(connection: HTTPConnection) -> State:
    """The State that the lifespan yielded."""
    state = connection.scope["state"][KEY]
    assert isinstance(state, State)
    return state
