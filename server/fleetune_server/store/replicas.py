"""Replicas on one PostgreSQL database: one of them trains, all hear of new versions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fleetune_server.common.logs import Condition
from fleetune_server.store.base import StoreError
from fleetune_server.store.postgres_connection import FAILURES, as_store_error, connect

log = logging.getLogger(__name__)
CHANNEL = "fleetune_version"
TRAINER_LOCK = 0x666C7402  # advisory: whoever holds it trains
RECONNECT_SECONDS = 1.0
ALIVE_SECONDS = 5.0  # between checks that the listening connection still lives


class Replicas:
    """This process among the others."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._deaf = Condition(log, "not listening for versions")
        self._leading: Any = None  # the connection that holds the trainer's lock

    async def lead(self) -> bool:
        """The trainer's lock lives as long as its connection: when this process dies, another one gets it."""
        if self._leading is not None:
            try:
                await self._leading.execute("SELECT 1")
                return True
            except FAILURES:
                self._leading.terminate()
                self._leading = None
        with as_store_error():
            connection = await connect(self._url)
            if await connection.fetchval(f"SELECT pg_try_advisory_lock({TRAINER_LOCK})"):
                self._leading = connection
            else:
                await connection.close()
        return self._leading is not None

    async def listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        """Until cancelled; reconnects, and then tells the newest version in case one was missed."""
        while True:
            try:
                await self._listen(announced)
            except (*FAILURES, StoreError) as error:
                self._deaf.holds(str(error) or type(error).__name__, logging.WARNING)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, announced: Callable[[int], Awaitable[None]]) -> None:
        connection = await connect(self._url)
        try:
            wake = asyncio.Event()
            await connection.add_listener(CHANNEL, lambda *_: wake.set())
            self._deaf.ended("listening for versions again")
            told_of = 0
            while True:
                woken = wake.is_set()
                wake.clear()
                newest = await connection.fetchval("SELECT COALESCE(MAX(version), 0) FROM versions")
                if woken or newest > told_of:
                    told_of = newest
                    await announced(newest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), ALIVE_SECONDS)
        finally:
            connection.terminate()

    def close(self) -> None:
        """Let go of the lock."""
        if self._leading is not None:
            self._leading.terminate()
