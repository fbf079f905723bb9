"""A group of packets in SQLite: one query for what is known, one statement for what is new.

Each step of a statement gives up the interpreter's lock, and to have it back it waits for the event loop.
So the steps are few, and so are the lengths of the statements, whose texts then stay prepared.
"""

# ruff: noqa: S608 - the queries are put together from constants of this module only

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from fleetune_server.store import rows
from fleetune_server.store.base import Cell, StoredPacket

# The longest takes in all that 64 connections send at once in batches of fifty: several statements in one
# transaction would each keep a copy of every page that they change, to be undone alone.
_SIZES = tuple(sorted({1, *(part << shift for shift in range(11) for part in (2, 3)), 4096}))
_INSERTS = {
    # Room that is left over is filled with the last row again.
    size: f"INSERT INTO packets VALUES {', '.join(['(?, ?, ?, ?, ?)'] * size)} ON CONFLICT (nonce) DO NOTHING"
    for size in _SIZES
}
_PLACES = {size: ",".join(f"?{number}" for number in range(1, size + 1)) for size in _SIZES}
_CELL = f"INSERT INTO cells ({rows.CELL}) VALUES ({', '.join('?' * 9)}) ON CONFLICT DO NOTHING"
KNOWN = (
    "SELECT nonce FROM packets WHERE nonce IN ({0}) UNION ALL SELECT nonce FROM nonces WHERE nonce IN ({0})"
)


def insert(
    connection: sqlite3.Connection, known: Mapping[int, tuple[Cell, int]], packets: Sequence[StoredPacket]
) -> tuple[list[bool], dict[int, tuple[Cell, int]]]:
    """One transaction: which packets were new, and the cells that were not `known`, with their ids."""
    # sqlite3 takes a bytearray and an int as they are; for bytes and bool it looks up an adapter each time.
    nonces = [bytearray.fromhex(packet.nonce) for packet in packets]
    seen: set[str] = set()
    for query, chunk in chunks(KNOWN, nonces):
        seen.update(nonce.hex() for (nonce,) in connection.execute(query, chunk))
    fresh: list[bool] = []
    values: list[object] = []  # of all new rows, one after the other
    cells: dict[int, tuple[Cell, int]] = {}
    now = time.time()
    for packet, nonce in zip(packets, nonces, strict=True):
        fresh.append(packet.nonce not in seen)
        if fresh[-1]:
            seen.add(packet.nonce)
            cell = packet.cell
            row = known.get(id(cell)) or cells.get(id(cell))
            if row is None:
                row = cells[id(cell)] = cell, rows.cell_id(cell)
            values += nonce, row[1], packet.symbol, int(packet.heldout), now
    added = (
        _whole(connection, values)
        if not cells and len(values) <= 5 * _SIZES[-1]
        else _parts(connection, values, cells)
    )
    if added != sum(fresh):
        raise sqlite3.IntegrityError(f"{added} packets were added instead of {sum(fresh)}")
    return fresh, cells


def _whole(connection: sqlite3.Connection, values: list[object]) -> int:
    """One statement, which is a transaction of its own; how many rows it added."""
    if not values:
        return 0
    count = len(values) // 5
    size = _SIZES[bisect_left(_SIZES, count)]
    return connection.execute(_INSERTS[size], values + values[-5:] * (size - count)).rowcount


def _parts(
    connection: sqlite3.Connection, values: list[object], cells: Mapping[int, tuple[Cell, int]]
) -> int:
    """Several statements in one transaction."""
    added = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_CELL, [rows.cell_columns(cell) for cell, _number in cells.values()])
        for at in range(0, len(values), 5 * _SIZES[-1]):
            added += _whole(connection, values[at : at + 5 * _SIZES[-1]])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return added


def chunks(
    query: str, nonces: Sequence[bytes | bytearray]
) -> Iterator[tuple[str, Sequence[bytes | bytearray]]]:
    """The query for each part of a long list, and its values; padded, so that few queries are prepared."""
    for start in range(0, len(nonces), _SIZES[-1]):
        chunk = list(nonces[start : start + _SIZES[-1]])
        size = _SIZES[bisect_left(_SIZES, len(chunk))]
        yield query.format(_PLACES[size]), chunk + chunk[-1:] * (size - len(chunk))
