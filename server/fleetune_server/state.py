"""What the lifespan owns and every endpoint may use."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

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
    earlier: list[Catalogue] = field(default_factory=list)  # whose files stay for a while
    own_marks: dict[str, str] = field(default_factory=dict)  # which of them the catalogue has
    own_kernels: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while an operator changes them
    started: float = field(default_factory=time.time)  # unix seconds


def state_of(connection: HTTPConnection) -> State:
    """The State that the lifespan yielded."""
    state = connection.scope["state"][KEY]
    assert isinstance(state, State)
    return state
