"""Reports to statistics: (n, Σ, Σ²) per cell, round and ε, mergeable, so that nothing needs raw packets.

Pure: values in, values out. Σ is kept in integers (of 2·symbol − 63, twice the centred symbol), so that
folding is exact, independent of order, and each report counts exactly once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from fleetune.context import UNKNOWN, Context, Environment
from fleetune.features import environment_key
from fleetune.limits import CAPACITY
from fleetune_server.store.base import Cell, CellSum

ENGINES = 64  # environments that stand for a whole engine have room kept for them
GROUP = 20  # reports below which a (signature, environment) group is rolled up, not published on its own


def merge(rows: Iterable[CellSum]) -> list[CellSum]:
    """Sums of the same cell and share added up, in order of first appearance. Associative and commutative."""
    merged: dict[tuple[Cell, bool], CellSum] = {}
    for row in rows:
        key = row.cell, row.heldout
        known = merged.get(key)
        merged[key] = row if known is None else _add(known, row)
    return list(merged.values())


def _add(a: CellSum, b: CellSum) -> CellSum:
    return CellSum(a.cell, a.heldout, a.count + b.count, a.total + b.total, a.squares + b.squares)


def place(cell: Cell) -> tuple[str, Context, Environment, str]:
    """The cell without its round: what rounds are combined over."""
    return cell.signature, cell.context, cell.environment, cell.candidate


def roll_up(rows: Sequence[CellSum], least: int = GROUP) -> list[CellSum]:
    """Each (signature, environment) group of fewer than `least` reports moved to its coarser environment.

    The coarser environment keeps browser and features and drops everything else: reports of small groups still
    teach about the engine, but are never published on their own; a group that is too small even then is left
    out until it grows. Reports are counted, not people: nothing identifies people.
    """
    counts = _group_counts(rows)
    large = [row for row in rows if counts[_group(row)] >= least]
    small = (row for row in rows if counts[_group(row)] < least)
    coarse = merge(map(at_engine, small))
    coarse_counts = _group_counts(coarse)
    return large + [row for row in coarse if coarse_counts[_group(row)] >= least]


def fit_environments(
    rows: Sequence[CellSum], known: Collection[str], capacity: int = CAPACITY["environment"]
) -> list[CellSum]:
    """Rows whose environments all have room in a model that knows these keys; the least reported new ones join
    their engine. Anyone can report of any browser: that must not be what learning stops at.
    """
    counts: dict[Environment, int] = {}
    for row in rows:
        counts[row.cell.environment] = counts.get(row.cell.environment, 0) + row.count
    new = [one for one in counts if environment_key(one) not in known]
    room = max(0, capacity - len(known) - ENGINES)
    new.sort(key=lambda one: (-counts[one], environment_key(one)))
    crowded = set(new[room:])
    kept = [row for row in rows if row.cell.environment not in crowded]
    moved = [at_engine(row) for row in rows if row.cell.environment in crowded]
    return merge([*kept, *moved]) if moved else list(rows)


def at_engine(row: CellSum) -> CellSum:
    """The sums as reports of the engine that their environment belongs to. Made for each of a million rows."""
    c = row.cell
    engine = coarsen(c.environment)
    cell = Cell(c.signature, c.context, engine, c.candidate, c.version, c.epsilon, c.clip, c.base_log)
    return CellSum(cell, row.heldout, row.count, row.total, row.squares)


@lru_cache(maxsize=10_000)
def coarsen(environment: Environment) -> Environment:
    """The engine that an environment belongs to: browser and features only."""
    return replace(environment, version=0, os="other", cores="1", threads=False, arch=UNKNOWN)


def _group(row: CellSum) -> tuple[str, Environment]:
    return row.cell.signature, row.cell.environment


def _group_counts(rows: Iterable[CellSum]) -> Mapping[tuple[str, Environment], int]:
    counts: dict[tuple[str, Environment], int] = {}
    for row in rows:
        counts[_group(row)] = counts.get(_group(row), 0) + row.count
    return counts
