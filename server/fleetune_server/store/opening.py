"""Opens the store that a setting names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from pathlib import Path

from fleetune_server.settings import Settings, SettingsError
from fleetune_server.store import sqlite_file
from fleetune_server.store.base import Store
from fleetune_server.store.sqlite import open_sqlite


def is_postgres(url: str) -> bool:
    """Whether FLEETUNE_STORE names a PostgreSQL database; otherwise it is the path of an SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))


def only_server(settings: Settings) -> AbstractContextManager[None]:
    """Be the one server of an SQLite file; replicas share a PostgreSQL database."""
    return (
        nullcontext()
        if is_postgres(settings.store_url)
        else sqlite_file.only_server(Path(settings.store_url))
    )


def open_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """The store at FLEETUNE_STORE; raises StoreError on entry if it cannot be used."""
    url = settings.store_url
    if not is_postgres(url):
        return open_sqlite(Path(url), settings.queue_packets, settings.check_seconds)
    try:
        from fleetune_server.store.postgres import open_postgres  # asyncpg is an optional extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FLEETUNE_STORE: {error.name} is missing: pip install fleetune[postgres]"
        ) from error
    return open_postgres(url, settings.queue_packets)
