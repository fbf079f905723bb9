"""The schema: named steps, forward only, each applied and recorded in one transaction, and what must hold in it."""

# ruff: noqa: S608 - the statements are put together from constants of this module only

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleetune.context import Context, Environment
from fleetune_server.store import encoding as rows
from fleetune_server.store.base import Cell, StoreError


@dataclass(frozen=True)
class Migration:
    """One step; the statements of each engine. Never edit one that was released: add another."""

    name: str
    sqlite: tuple[str, ...]
    postgres: tuple[str, ...]


LEDGER = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)"

# A cell's id is a hash of what identifies it (rows.cell_id).
# A packet row is keyed by its nonce, so that one index serves duplicates, withdrawal and folding by ranges.
_CELLS = """signature TEXT NOT NULL, context TEXT NOT NULL, environment TEXT NOT NULL,
    candidate TEXT NOT NULL, version INTEGER NOT NULL, epsilon {real} NOT NULL, clip {real} NOT NULL,
    base_log {real} NOT NULL"""

# What pages of a release load; a file that releases share is kept once.
_SERVED = """CREATE TABLE served (address TEXT NOT NULL, edition TEXT NOT NULL REFERENCES editions,
    sha256 TEXT NOT NULL REFERENCES files, PRIMARY KEY (address, edition))"""

# Every version ever published; `previous` is the digest of the entry before (fleetune/version_log.py).
_LOG = """CREATE TABLE log (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, created {whole} NOT NULL,
    previous TEXT NOT NULL)"""

BY_THE_HOUR = "0003_arrival_by_the_hour"
MIGRATIONS = (
    Migration(
        "0001_packets_sums_versions",
        sqlite=(
            f"CREATE TABLE cells (id INTEGER PRIMARY KEY, {_CELLS.format(real='REAL')}) STRICT",
            """CREATE TABLE packets (nonce BLOB PRIMARY KEY, cell INTEGER NOT NULL REFERENCES cells,
                symbol INTEGER NOT NULL CHECK (symbol BETWEEN 0 AND 63), heldout INTEGER NOT NULL,
                received REAL NOT NULL) STRICT, WITHOUT ROWID""",
            """CREATE TABLE nonces (nonce BLOB PRIMARY KEY, folded INTEGER NOT NULL, received REAL NOT NULL)
                STRICT, WITHOUT ROWID""",
            """CREATE TABLE aggregates (cell INTEGER NOT NULL REFERENCES cells, heldout INTEGER NOT NULL,
                count INTEGER NOT NULL, total INTEGER NOT NULL, squares INTEGER NOT NULL,
                PRIMARY KEY (cell, heldout)) STRICT, WITHOUT ROWID""",
            """CREATE TABLE versions (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, clip REAL NOT NULL,
                created INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
            """CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL)
                STRICT""",
            "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        ),
        postgres=(
            f"""CREATE TABLE cells (id BIGINT PRIMARY KEY,
                {_CELLS.format(real="DOUBLE PRECISION")})""",
            """CREATE TABLE packets (nonce BYTEA PRIMARY KEY, cell BIGINT NOT NULL REFERENCES cells,
                symbol SMALLINT NOT NULL CHECK (symbol BETWEEN 0 AND 63), heldout BOOLEAN NOT NULL,
                received DOUBLE PRECISION NOT NULL)""",
            """CREATE TABLE nonces (nonce BYTEA PRIMARY KEY, folded BOOLEAN NOT NULL,
                received DOUBLE PRECISION NOT NULL)""",
            """CREATE TABLE aggregates (cell BIGINT NOT NULL REFERENCES cells, heldout BOOLEAN NOT NULL,
                count BIGINT NOT NULL, total BIGINT NOT NULL, squares BIGINT NOT NULL,
                PRIMARY KEY (cell, heldout))""",
            """CREATE TABLE versions (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL,
                clip DOUBLE PRECISION NOT NULL, created BIGINT NOT NULL, document TEXT NOT NULL)""",
            "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, version INTEGER NOT NULL, body BYTEA NOT NULL)",
            "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        ),
    ),
    Migration("0002_trials", *2 * (("UPDATE settings SET key = 'trials' WHERE key = 'canary'",),)),
    Migration(
        BY_THE_HOUR,
        sqlite=tuple(
            f"UPDATE {table} SET received = CAST(received / 3600 AS INTEGER) * 3600.0"
            for table in ("packets", "nonces")
        ),
        postgres=tuple(
            f"UPDATE {table} SET received = floor(received / 3600) * 3600" for table in ("packets", "nonces")
        ),
    ),
    Migration(
        "0004_served_files",
        sqlite=(
            "CREATE TABLE editions (edition TEXT PRIMARY KEY, started REAL NOT NULL) STRICT",
            "CREATE TABLE files (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT",
            f"{_SERVED} STRICT, WITHOUT ROWID",
        ),
        postgres=(
            "CREATE TABLE editions (edition TEXT PRIMARY KEY, started DOUBLE PRECISION NOT NULL)",
            "CREATE TABLE files (sha256 TEXT PRIMARY KEY, body BYTEA NOT NULL)",
            _SERVED,
        ),
    ),
    Migration(
        "0005_version_log",
        sqlite=(f"{_LOG.format(whole='INTEGER')} STRICT",),
        postgres=(_LOG.format(whole="BIGINT"),),
    ),
    Migration(
        # Old cells are merged and go. Each would be looked for in all packets, which have no index by cell, if these
        # referred to it; `violations` says so if a packet had none.
        "0006_cells_go",
        sqlite=(
            """CREATE TABLE waiting (nonce BLOB PRIMARY KEY, cell INTEGER NOT NULL,
                symbol INTEGER NOT NULL CHECK (symbol BETWEEN 0 AND 63), heldout INTEGER NOT NULL,
                received REAL NOT NULL) STRICT, WITHOUT ROWID""",
            "INSERT INTO waiting SELECT nonce, cell, symbol, heldout, received FROM packets",
            "DROP TABLE packets",
            "ALTER TABLE waiting RENAME TO packets",
            "CREATE INDEX cells_by_version ON cells (version)",
        ),
        postgres=(
            "ALTER TABLE packets DROP CONSTRAINT packets_cell_fkey",
            "CREATE INDEX cells_by_version ON cells (version)",
        ),
    ),
)


def outstanding(applied: Collection[str]) -> list[Migration]:
    """The steps that a database with these still needs; StoreError if a newer version made it."""
    unknown = set(applied) - {migration.name for migration in MIGRATIONS}
    if unknown:
        raise StoreError(f"the database was changed by a newer Fleetune ({min(unknown)}): update this one")
    return [migration for migration in MIGRATIONS if migration.name not in applied]


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
        AND EXISTS (SELECT 1 FROM migrations WHERE name = '{BY_THE_HOUR}')""",
    "sums cannot come from reports": f"SELECT COUNT(*) FROM aggregates WHERE {_IMPOSSIBLE_SUM}",
    "packets or sums belong to no cell": """SELECT COUNT(*) FROM
        (SELECT cell FROM packets UNION ALL SELECT cell FROM aggregates) AS used
        LEFT JOIN cells ON cells.id = used.cell WHERE cells.id IS NULL""",
}
_MIGRATIONS = "SELECT name FROM migrations"
_CELL_ROWS = f"SELECT {rows.CELL} FROM cells"
_BLOBS = "SELECT sha256, body FROM blobs"
_SETTINGS = "SELECT key, value FROM settings"
QUERIES = (*_NONE.values(), _MIGRATIONS, _CELL_ROWS, _BLOBS, _SETTINGS, rows.VERSIONS)


def violations(read: Callable[[str], Rows]) -> list[str]:
    """What is wrong, in words; `read` answers each of QUERIES from one snapshot."""
    found = [
        f"{count:,} {name}" for name, query in _NONE.items() for (count,) in read(query) if int(count) > 0
    ]
    return [*found, *_schema(read(_MIGRATIONS)), *_cells(read(_CELL_ROWS)), *_files(read), *_settings(read)]


def _schema(applied: Rows) -> Iterable[str]:
    try:
        outstanding({name for (name,) in applied})  # an older schema is no fault, a newer one is
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
