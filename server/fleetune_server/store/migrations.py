"""The schema as named steps, forward only; each is applied and recorded in one transaction."""

# ruff: noqa: S608 - the statements are put together from constants of this module only

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fleetune_server.store.base import StoreError


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
        # referred to it; `invariants.py` says so if a packet had none.
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
