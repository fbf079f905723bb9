"""Old cells become fewer: the statements of `Store.merge`, in short transactions of either engine."""

# ruff: noqa: S608 - what is put into the queries are numbers of our own

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from fleetune_server.store import encoding as rows
from fleetune_server.store.base import CellSum, Merge

AT_ONCE = 1000  # cells of one transaction: packets wait for it
Run = Callable[[str], Awaitable[Iterable[Sequence[Any]]]]
Many = Callable[[str, list[tuple[Any, ...]]], Awaitable[Any]]
_CELL = f"""INSERT INTO cells ({rows.CELL}) VALUES ({{0}})
    ON CONFLICT (id) DO UPDATE SET clip = excluded.clip, base_log = excluded.base_log"""
_SUM = "INSERT INTO aggregates (cell, heldout, count, total, squares) VALUES ({0})"


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


async def apply(run: Run, many: Many, mark: Callable[[int], str], merges: Sequence[Merge]) -> int:
    """Inside one transaction: merge what is as it was read. `mark` writes the placeholder of a value by number."""
    wanted = ",".join(sorted({str(rows.cell_id(row.cell)) for one in merges for row in one.sources}))
    if not wanted:
        return 0
    there: dict[int, set[tuple[int, ...]]] = {}
    sums = f"SELECT cell, heldout, count, total, squares FROM aggregates WHERE cell IN ({wanted})"
    for cell, *numbers in await run(sums):
        there.setdefault(cell, set()).add(tuple(map(int, numbers)))
    sound = [one for one in merges if _by_cell(one.sources).items() <= there.items()]
    gone = ",".join(sorted({str(rows.cell_id(row.cell)) for one in sound for row in one.sources}))
    if not gone:
        return 0
    await run(f"DELETE FROM aggregates WHERE cell IN ({gone})")
    await run(f"DELETE FROM cells WHERE id IN ({gone}) AND id NOT IN (SELECT cell FROM packets)")
    result = list(chain.from_iterable(one.result for one in sound))
    cells = {row.cell: rows.cell_columns(row.cell) for row in result}
    await many(_CELL.format(_marks(mark, 9)), list(cells.values()))
    added = [(rows.cell_id(row.cell), row.heldout, row.count, row.total, row.squares) for row in result]
    await many(_SUM.format(_marks(mark, 5)), added)
    return len(sound)


def _by_cell(sources: Sequence[CellSum]) -> dict[int, set[tuple[int, ...]]]:
    found: dict[int, set[tuple[int, ...]]] = {}
    for row in sources:
        numbers = int(row.heldout), row.count, row.total, row.squares
        found.setdefault(rows.cell_id(row.cell), set()).add(numbers)
    return found


def _marks(mark: Callable[[int], str], values: int) -> str:
    return ", ".join(mark(number) for number in range(1, values + 1))
