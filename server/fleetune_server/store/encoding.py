"""Records to columns and back, the queries that both engines share word for word, and how they merge old cells."""

# ruff: noqa: S608 - the queries are put together from constants of this module and numbers of our own

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from fleetune.context import Context, Environment, canonical_json
from fleetune.version_log import LogEntry, extend
from fleetune_server.store.base import HOUR, Cell, CellSum, Counts, Merge, VersionRecord

_OF_CELL = "signature, context, environment, candidate, version, epsilon, clip, base_log"
CELL = f"id, {_OF_CELL}"

# One statement reads folded and pending reports together, so the snapshot is consistent. Of one version: by the index
# on it. Sums are added up before they meet their cells, which are ten times as wide.
_SUM = "SELECT cell, heldout, count AS n, total AS t, squares AS q FROM aggregates"
_PENDING = """SELECT cell, heldout, 1 AS n, 2 * symbol - 63 AS t, (2 * symbol - 63) * (2 * symbol - 63) AS q
    FROM packets"""
_SUMS = f"""
    SELECT {_OF_CELL}, heldout, n, t, q
    FROM (SELECT cell, heldout, SUM(n) AS n, SUM(t) AS t, SUM(q) AS q
          FROM ({{0}}) AS parts GROUP BY cell, heldout) AS sums
    JOIN cells ON cells.id = sums.cell ORDER BY sums.cell, sums.heldout
"""
SUMS = _SUMS.format(f"{_SUM} UNION ALL {_PENDING}")
_OF_VERSION = "WHERE cell IN (SELECT id FROM cells WHERE version = {0})"
SUMS_OF = _SUMS.format(f"{_SUM} {_OF_VERSION} UNION ALL {_PENDING} {_OF_VERSION}")
FOLDED = _SUMS.format(_SUM)
COUNTS = """
    SELECT (SELECT COUNT(*) FROM packets), (SELECT COALESCE(SUM(count), 0) FROM aggregates),
           (SELECT COUNT(*) FROM nonces), (SELECT COUNT(*) FROM cells)
"""
# As both engines read it: the prefix is a value, and no pattern in which characters mean something.
ENTRIES = "SELECT key, value FROM settings WHERE substr(key, 1, length({0})) = {0} ORDER BY key"
VERSIONS = "SELECT version, sha256, clip, created, document FROM versions ORDER BY version"

# The reports of one cell, and what takes them away; a copy of a packet stays known by its nonce.
OF_CELL = """SELECT CAST((SELECT COUNT(*) FROM packets WHERE cell = {0})
    + (SELECT COALESCE(SUM(count), 0) FROM aggregates WHERE cell = {0}) AS BIGINT)"""
DROP = (
    "INSERT INTO nonces (nonce, folded, received) SELECT nonce, true, received FROM packets WHERE cell = {0}",
    "DELETE FROM packets WHERE cell = {0}",
    "DELETE FROM aggregates WHERE cell = {0}",
)

# By rank, not by number: a restored database leaves numbers out.
OLD_VERSIONS = """DELETE FROM versions WHERE version NOT IN
    (SELECT version FROM versions ORDER BY version DESC LIMIT {0})"""
OLD_BLOBS = "DELETE FROM blobs WHERE version < (SELECT MIN(version) FROM versions)"

# The log of versions. What an earlier release published, which kept no log, comes with the next version.
LOG = "SELECT version, sha256, created, previous FROM log"
LOG_AFTER = f"{LOG} WHERE version > {{0}} ORDER BY version LIMIT {{1}}"
LOG_LAST = f"{LOG} ORDER BY version DESC LIMIT 1"
NOT_LOGGED = """SELECT version, sha256, created FROM versions
    WHERE version > (SELECT COALESCE(MAX(version), 0) FROM log) ORDER BY version"""
TO_LOG = "INSERT INTO log (version, sha256, created, previous) VALUES ({0}, {1}, {2}, {3})"

# Files as served, by address; those that no kept edition names go.
EDITION = """INSERT INTO editions VALUES ({0}, {1})
    ON CONFLICT (edition) DO UPDATE SET started = excluded.started"""
KNOWN_FILES = "SELECT sha256 FROM files"
FILE = "INSERT INTO files VALUES ({0}, {1}) ON CONFLICT DO NOTHING"
SERVED = "INSERT INTO served (address, edition, sha256) VALUES ({0}, {1}, {2}) ON CONFLICT DO NOTHING"
OLD_SERVED = """DELETE FROM served WHERE edition NOT IN
    (SELECT edition FROM editions ORDER BY started DESC, edition LIMIT {0})"""
OLD_FILES = (
    "DELETE FROM editions WHERE edition NOT IN (SELECT edition FROM served)",
    "DELETE FROM files WHERE sha256 NOT IN (SELECT sha256 FROM served)",
)
SERVED_FILE = "SELECT body FROM files WHERE sha256 IN (SELECT sha256 FROM served WHERE address = {0})"

# Old cells become fewer.
AT_ONCE = 1000  # cells of one transaction: packets wait for it
Run = Callable[[str], Awaitable[Iterable[Sequence[Any]]]]
Many = Callable[[str, list[tuple[Any, ...]]], Awaitable[Any]]
_MERGED_CELL = f"""INSERT INTO cells ({CELL}) VALUES ({{0}})
    ON CONFLICT (id) DO UPDATE SET clip = excluded.clip, base_log = excluded.base_log"""
_MERGED_SUM = "INSERT INTO aggregates (cell, heldout, count, total, squares) VALUES ({0})"

FOLD_RANGES = 32


def cell_id(cell: Cell) -> int:
    """A 63-bit hash of what identifies the cell: the same everywhere, without asking the database."""
    context, environment = cell.context.to_wire(), cell.environment.to_wire()
    key = [cell.signature, context, environment, cell.candidate, cell.version, cell.epsilon]
    return int.from_bytes(hashlib.sha256(canonical_json(key)).digest()[:8], "big") >> 1


def cell_columns(cell: Cell) -> tuple[Any, ...]:
    """The values of CELL."""
    return (
        cell_id(cell),
        cell.signature,
        canonical_json(cell.context.to_wire()).decode(),
        canonical_json(cell.environment.to_wire()).decode(),
        cell.candidate,
        cell.version,
        cell.epsilon,
        cell.clip,
        cell.base_log,
    )


def cell_sums(rows: Iterable[Sequence[Any]]) -> list[CellSum]:
    """The rows of SUMS as records."""
    contexts: dict[str, Context] = {}
    environments: dict[str, Environment] = {}
    result = []
    for signature, context, environment, *rest, heldout, count, total, squares in rows:
        if context not in contexts:
            contexts[context] = Context.from_wire(json.loads(context))
        if environment not in environments:
            environments[environment] = Environment.from_wire(json.loads(environment))
        cell = Cell(signature, contexts[context], environments[environment], *rest)
        result.append(CellSum(cell, bool(heldout), int(count), int(total), int(squares)))
    return result


def sums_query(version: int | None, mark: str) -> tuple[Any, ...]:
    """The statement of `Store.sums` and its values; `mark` is the placeholder of the first."""
    return (SUMS,) if version is None else (SUMS_OF.format(mark), version)


def counts(row: Sequence[Any]) -> Counts:
    """The row of COUNTS as a record."""
    return Counts(*(int(value) for value in row))


def version_columns(record: VersionRecord) -> tuple[Any, ...]:
    """The values of the versions table."""
    document = json.dumps(record.document, sort_keys=True, allow_nan=False)
    return (record.version, record.sha256, record.clip, record.created, document)


def version_records(rows: Iterable[Sequence[Any]]) -> list[VersionRecord]:
    """The rows of VERSIONS as records."""
    return [
        VersionRecord(version, sha256, clip, created, json.loads(document))
        for version, sha256, clip, created, document in rows
    ]


def log_entries(rows: Iterable[Sequence[Any]]) -> list[LogEntry]:
    """The rows of LOG as records."""
    return [LogEntry(*row) for row in rows]


def to_log(last: Iterable[Sequence[Any]], new: Iterable[Sequence[Any]]) -> list[tuple[int, str, int, str]]:
    """The values of TO_LOG for the rows of NOT_LOGGED, after the row of LOG_LAST."""
    before = next(iter(log_entries(last)), None)
    added = extend(before, ((version, sha256, created) for version, sha256, created in new))
    return [(entry.version, entry.sha256, entry.created, entry.previous) for entry in added]


def entries(found: Iterable[Sequence[Any]], prefix: str) -> dict[str, Any]:
    """Rows of ENTRIES as values by the rest of the key."""
    return {key.removeprefix(prefix): json.loads(value) for key, value in found}


def arrival() -> float:
    """Now as it is kept with a packet: the unix time at which this hour began."""
    return time.time() // HOUR * HOUR


def by_hash(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files by address as bodies by SHA-256, and the SHA-256 of each address."""
    named = {address: hashlib.sha256(body).hexdigest() for address, body in files.items()}
    return {named[address]: body for address, body in files.items()}, named


def new_files(bodies: Mapping[str, bytes], known: Container[str]) -> list[tuple[str, bytes]]:
    """Rows of the files that are not known yet: SHA-256, and the content in gzip."""
    return [(sha, gzip.compress(body, 1, mtime=0)) for sha, body in bodies.items() if sha not in known]


def file_body(found: Sequence[Any]) -> bytes | None:
    """The content of the file that a query found, if it did; until November 2026 it was stored as it is."""
    body = bytes(found[0][0]) if found else None
    return gzip.decompress(body) if body and body.startswith(b"\x1f\x8b") else body


def nonce_ranges() -> list[tuple[bytes, bytes]]:
    """[low, high) ranges that cover every 16-byte nonce once: folding takes a short transaction for each.

    Nonces are random, so their first byte divides packets evenly.
    """
    starts = [bytes([first]) for first in range(0, 256, 256 // FOLD_RANGES)]
    return list(pairwise([*starts, b"\xff" * 17]))


def portions(merges: Sequence[Merge]) -> list[list[Merge]]:
    """The merges in groups of about AT_ONCE sources, each whole."""
    groups: list[list[Merge]] = [[]]
    size = 0
    for one in merges:
        if size and size + len(one.sources) > AT_ONCE:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += len(one.sources)
    return groups if merges else []


async def merge(run: Run, many: Many, mark: Callable[[int], str], merges: Sequence[Merge]) -> int:
    """Inside one transaction: merge what is as it was read. `mark` writes the placeholder of a value by number."""
    wanted = ",".join(sorted({str(cell_id(row.cell)) for one in merges for row in one.sources}))
    if not wanted:
        return 0
    there: dict[int, set[tuple[int, ...]]] = {}
    sums = f"SELECT cell, heldout, count, total, squares FROM aggregates WHERE cell IN ({wanted})"
    for cell, *numbers in await run(sums):
        there.setdefault(cell, set()).add(tuple(map(int, numbers)))
    into = ",".join(sorted({str(cell_id(row.cell)) for one in merges for row in one.result}))
    taken = {cell for (cell,) in await run(f"SELECT DISTINCT cell FROM aggregates WHERE cell IN ({into})")}
    sound = [one for one in merges if _is_sound(one, there, taken)]
    gone = ",".join(sorted({str(cell_id(row.cell)) for one in sound for row in one.sources}))
    if not gone:
        return 0
    await run(f"DELETE FROM aggregates WHERE cell IN ({gone})")
    await run(f"DELETE FROM cells WHERE id IN ({gone}) AND id NOT IN (SELECT cell FROM packets)")
    result = list(chain.from_iterable(one.result for one in sound))
    cells = {row.cell: cell_columns(row.cell) for row in result}
    await many(_MERGED_CELL.format(_marks(mark, 9)), list(cells.values()))
    added = [(cell_id(row.cell), row.heldout, row.count, row.total, row.squares) for row in result]
    await many(_MERGED_SUM.format(_marks(mark, 5)), added)
    return len(sound)


def _is_sound(one: Merge, there: Mapping[int, set[tuple[int, ...]]], taken: Container[int]) -> bool:
    """Whether the sources are as they were read, and no other sums stand where the result would."""
    sources = _by_cell(one.sources)
    into = {cell_id(row.cell) for row in one.result}
    return sources.items() <= there.items() and all(cell in sources or cell not in taken for cell in into)


def _by_cell(sources: Sequence[CellSum]) -> dict[int, set[tuple[int, ...]]]:
    found: dict[int, set[tuple[int, ...]]] = {}
    for row in sources:
        numbers = int(row.heldout), row.count, row.total, row.squares
        found.setdefault(cell_id(row.cell), set()).add(numbers)
    return found


def _marks(mark: Callable[[int], str], values: int) -> str:
    return ", ".join(mark(number) for number in range(1, values + 1))
