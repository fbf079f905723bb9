"""Opens the store that a setting names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fleetune_server.settings import Settings
from fleetune_server.store.base import Store
from fleetune_server.store.sqlite import open_sqlite


def open_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """The store at FLEETUNE_STORE; raises StoreError on entry if it cannot be used."""
    return open_sqlite(Path(settings.store_url), settings.queue_packets)
