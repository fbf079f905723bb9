"""What the lifespan owns and every endpoint may use."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from fleetune_server.catalogue import Catalogue
from fleetune_server.settings import Settings

KEY = "fleetune"


@dataclass
class State:
    """The running server's resources."""

    settings: Settings
    catalogue: Catalogue


def state_of(connection: HTTPConnection) -> State:
    """The State that the lifespan yielded."""
    state = connection.scope["state"][KEY]
    assert isinstance(state, State)
    return state
