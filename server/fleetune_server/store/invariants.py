"""What must hold in every database of ours, whatever the engine: read by `fleetune db check`."""

# ruff: noqa: S608 - the queries are put together from constants of this module only

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fleetune.context import Context, Environment
from fleetune_server.store import encoding as rows
from fleetune_server.store import migrations
from fleetune_server.store.base import Cell, StoreError

Rows = Iterable[Sequence[Any]]

# Σ(2·symbol − 63) and its squares over n reports: odd numbers from −63 to 63; their squares are 1 modulo 8.
_IMPOSSIBLE_SUM = """count < 1 OR (total + count) % 2 <> 0 OR squares % 8 <> count % 8
    OR abs(total) > 63 * count OR squares < count OR squares > 3969 * count
    OR 1.0 * total * total > 1.000001 * count * squares"""
# Each counts rows that must not exist.
_NONE = {
    "packets are pending and folded at once": "SELECT COUNT(*) FROM packets JOIN nonces USING (nonce)",
    "nonces have a wrong length": """SELECT (SELECT COUNT(*) FROM packets WHERE length(nonce) <> 16)
        + (SELECT COUNT(*) FROM nonces WHERE length(nonce) <> 16)""",
    "arrivals are kept more finely than by the hour": f"""SELECT COUNT(*) FROM
        (SELECT received FROM packets UNION ALL SELECT received FROM nonces) AS arrivals
        WHERE received / 3600 <> round(received / 3600)
        AND EXISTS (SELECT 1 FROM migrations WHERE name = '{migrations.BY_THE_HOUR}')""",
    "sums cannot come from reports": f"SELECT COUNT(*) FROM aggregates WHERE {_IMPOSSIBLE_SUM}",
    "packets or sums belong to no cell": """SELECT COUNT(*) FROM
        (SELECT cell FROM packets UNION ALL SELECT cell FROM aggregates) AS used
        LEFT JOIN cells ON cells.id = used.cell WHERE cells.id IS NULL""",
}
_MIGRATIONS = "SELECT name FROM migrations"
_CELLS = f"SELECT {rows.CELL} FROM cells"
_BLOBS = "SELECT sha256, body FROM blobs"
_SETTINGS = "SELECT key, value FROM settings"
QUERIES = (*_NONE.values(), _MIGRATIONS, _CELLS, _BLOBS, _SETTINGS, rows.VERSIONS)


def violations(read: Callable[[str], Rows]) -> list[str]:
    """What is wrong, in words; `read` answers each of QUERIES from one snapshot."""
    found = [
        f"{count:,} {name}" for name, query in _NONE.items() for (count,) in read(query) if int(count) > 0
    ]
    return [*found, *_schema(read(_MIGRATIONS)), *_cells(read(_CELLS)), *_files(read), *_settings(read)]


def _schema(applied: Rows) -> Iterable[str]:
    try:
        migrations.outstanding({name for (name,) in applied})  # an older schema is no fault, a newer one is
    except StoreError as error:
        yield str(error)


def _cells(cells: Rows) -> Iterable[str]:
    wrong = 0
    for number, signature, context, environment, *rest in cells:
        try:
            cell = Cell(
                signature,
                Context.from_wire(json.loads(context)),
                Environment.from_wire(json.loads(environment)),
                *rest,
            )
            wrong += rows.cell_id(cell) != number
        except ValueError:  # JSON that is none, fields that cannot be
            wrong += 1
    if wrong:
        yield f"{wrong:,} cells are not what their number says"


def _files(read: Callable[[str], Rows]) -> Iterable[str]:
    names = set()
    for name, body in read(_BLOBS):
        names.add(name)
        if hashlib.sha256(body).hexdigest() != name:
            yield f"the published file {name} has other content than its name says"
    for version, sha256, _clip, _created, document in read(rows.VERSIONS):
        try:
            updates = json.loads(document)["incremental"]
            needed = {sha256, *(update["sha256"] for update in updates.values())}
        except (ValueError, LookupError, TypeError, AttributeError):
            yield f"the record of version {version} cannot be read"
        else:
            for missing in sorted(needed - names):
                yield f"version {version} lacks its file {missing}"


def _settings(read: Callable[[str], Rows]) -> Iterable[str]:
    for key, value in read(_SETTINGS):
        try:
            json.loads(value)
        except ValueError:
            yield f"the remembered value {key!r} is not JSON"
