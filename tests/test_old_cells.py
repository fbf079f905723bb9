"""Old cells become fewer: nothing learned is lost, every report still counts, and none is counted twice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny
from tests.learning_world import first, reports
from tests.poison import forged, target
from tests.test_pipeline import send
from tests.test_store import postgres, store

from fleetune.model import Model
from fleetune.privacy import SYMBOLS
from fleetune_server.learning import OLD_SECONDS
from fleetune_server.publish.history import VERSIONS, superseded
from fleetune_server.runtime import running
from fleetune_server.settings import Settings
from fleetune_server.store.base import CellSum, Merge, Store, StoredPacket
from fleetune_server.store.encoding import cell_id
from fleetune_server.store.schema import _IMPOSSIBLE_SUM
from fleetune_server.training.aggregate import GROUP, coarsen, merge
from fleetune_server.training.doubts import forged as doubts_forged
from fleetune_server.training.estimates import combine
from fleetune_server.training.rounds import OLD, merges

__all__ = ["postgres", "store"]


def rounds(count: int, versions: int) -> list[CellSum]:
    """Rounds of honest reports, each made with a model of its own number."""
    model = Model.from_bytes(first().model)
    sums: list[CellSum] = []
    for version in range(1, versions + 1):
        of = [replace(row, cell=replace(row.cell, version=version)) for row in reports(model, count, version)]
        sums = merge([*sums, *of])
    return sums


def after(rows: Sequence[CellSum], found: Sequence[Merge]) -> list[CellSum]:
    """The sums once a store has merged them."""
    gone = {(row.cell, row.heldout) for one in found for row in one.sources}
    kept = [row for row in rows if (row.cell, row.heldout) not in gone]
    return kept + [row for one in found for row in one.result]


def possible(row: CellSum) -> bool:
    """Whether a database may hold it (`fleetune db check`)."""
    names = {"count": row.count, "total": row.total, "squares": row.squares, "abs": abs}
    text = _IMPOSSIBLE_SUM.replace("<>", "!=").replace("OR", "or").replace("\n", " ")
    return not eval(text, {}, names)


def test_rounds_of_a_cell_become_one_that_says_the_same() -> None:
    rows = rounds(4000, 6)
    found = merges(rows, newest=5)
    now = after(rows, found)
    assert len(now) < 0.6 * len(rows)
    assert sum(row.count for row in now) == sum(row.count for row in rows)
    assert {row.cell.version for row in now} == {OLD, 6}
    assert all(map(possible, now))
    plain = [combine([row for row in some if not row.heldout], doubt=False) for some in (rows, now)]
    before, later = (
        dict(zip(one.cells, zip(one.mean, one.variance, strict=True), strict=True)) for one in plain
    )
    assert before.keys() == later.keys()
    for cell, (mean, variance) in before.items():
        assert abs(later[cell][0] - mean) < 0.1 * variance**0.5 + 0.02
        assert later[cell][1] == pytest.approx(variance, rel=0.35)


def test_small_groups_join_their_engine_and_large_ones_keep_their_environment() -> None:
    rows = rounds(4000, 2)
    rare = replace(rows[0].cell.environment, cores="16+")
    few = [
        replace(row, cell=replace(row.cell, environment=rare), count=1, total=1, squares=1)
        for row in rows[:5]
    ]
    now = after(rows, merges([*rows, *few], newest=2))
    assert rare not in {row.cell.environment for row in now}
    assert coarsen(rare) in {row.cell.environment for row in now}
    assert {row.cell.environment for row in rows} < {row.cell.environment for row in now}
    assert merges(now, newest=2) == [], "what is merged stays"


def test_beyond_its_room_the_thinnest_environments_go_first() -> None:
    rows = [row for row in rounds(4000, 1) if not row.heldout]
    thick = rows[0].cell.environment
    many = {True: 9, False: 1}
    rows = [
        replace(row, count=row.count * k, total=row.total * k, squares=row.squares * k)
        for row in rows
        for k in [many[row.cell.environment == thick]]
    ]
    cells = sum(row.cell.environment == thick for row in rows)
    kept = {row.cell.environment for row in after(rows, merges(rows, newest=1, room=cells))}
    assert kept == {thick, *(coarsen(row.cell.environment) for row in rows if row.cell.environment != thick)}


def test_what_training_doubts_is_not_mixed_with_what_it_believes() -> None:
    model = Model.from_bytes(first().model)
    lies = forged(model, 400, target("inlining+loopUnrolling", whole=True), 7, shaped=False)
    found = merges(merge([*rounds(4000, 1), *lies]), newest=1)
    lied = {row.cell for row in lies}
    assert not lied & {row.cell for one in found for row in one.sources}


def test_nothing_is_merged_where_a_merged_cell_is_doubted() -> None:
    """The result would have to take its place, and it is no source."""
    rows = after(rows := rounds(2000, 2), merges(rows, newest=2))
    first_one = max((row for row in rows if not row.heldout), key=lambda row: row.count)
    most = (SYMBOLS - 1) * 400
    lie = replace(first_one, count=400, total=most, squares=(SYMBOLS - 1) * most)
    assert doubts_forged([lie]).all()
    newer = replace(first_one, cell=replace(first_one.cell, version=2))
    others = [row for row in rows if row.cell != first_one.cell]
    found = merges([*others, lie, newer], newest=2)
    assert not {lie.cell, newer.cell} & {row.cell for one in found for row in one.sources}
    assert merges([*others, first_one, newer], newest=2), "without the lie it is"


def test_a_part_at_a_time_comes_to_the_same() -> None:
    rows = rounds(2000, 3)
    turns = 0
    while found := merges(rows, newest=3, at_once=300):
        assert sum(len(one.sources) for one in found) < 400
        rows, turns = after(rows, found), turns + 1
    assert turns > 3
    assert {row.cell.version for row in rows} == {OLD}


async def test_a_store_merges_what_is_as_it_was_read_and_nothing_else(store: Store) -> None:
    cells = [replace(row.cell, version=version) for version in (1, 2, 3) for row in rounds(200, 1)[:20]]
    packets = [StoredPacket(cell, 7 * i % 64, f"{i:032x}", False) for i, cell in enumerate(cells)]
    await store.append(packets)
    assert await store.fold(time.time() + 1) == len(packets)
    before = await store.sums()
    found = merges(before, newest=2)
    late = StoredPacket(cells[0], 9, "f" * 32, False)  # comes between reading and merging
    await store.append([late])
    await store.fold(time.time() + 1)
    touched = {cell_id(cells[0])}
    sound = [one for one in found if not touched & {cell_id(row.cell) for row in one.sources}]
    assert await store.merge(found) == len(sound) == len(found) - 1
    assert (await store.counts()).folded == len(packets) + 1
    assert {(row.cell.version) for row in await store.sums(OLD)} == {OLD}
    assert len(await store.sums(3)) == 20
    await store.merge(merges(await store.sums(), newest=2))
    assert {row.cell.version for row in await store.sums()} == {OLD, 3}
    assert (await store.counts()).cells == len(await store.sums()), "cells that nothing refers to are gone"
    assert await store.append([StoredPacket(cells[0], 9, "e" * 32, False)]) == [True]
    assert sum(row.count for row in await store.sums()) == len(packets) + 2, "a cell may come back"
    standing = next(row for row in await store.sums() if row.cell.version == OLD)
    other = next(row for row in await store.sums() if row.cell.version == 3)
    into = replace(other, cell=replace(standing.cell, clip=9.0))
    assert await store.merge([Merge([other], [into])]) == 0, "where other sums stand, no merged ones are put"
    assert {standing, other} <= set(await store.sums())


async def test_a_server_merges_rounds_that_were_replaced_thirty_days_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(
        Settings(),
        data=tmp_path / "data",
        kernels=tiny.write(tmp_path / "dist"),
        lab=tmp_path,
        hold_seconds=0.0,
    )
    async with running(settings) as state:
        await send(state, GROUP)
        await state.store.fold(time.time() + 1)
        old_cells, now = state.pipeline.old_cells, time.time()
        state.library.records[9] = state.library.records.pop(1)
        await state.store.put(VERSIONS, [{"version": v, "created": now + v} for v in (1, 9)])
        for later, expected in ((OLD_SECONDS - 60, 0), (OLD_SECONDS + 60, 1)):
            old_cells._clock, old_cells._due = lambda later=later: now + later, 0.0  # type: ignore[misc]
            assert await old_cells.merge() == expected
        state.library.records[1] = state.library.records.pop(9)
        (row,) = [row for row in await state.store.sums() if not row.heldout]
        assert row.cell.version == OLD


def test_a_version_is_old_once_a_later_one_replaced_it_so_long_ago() -> None:
    versions = [{"version": v, "created": 100 * v} for v in (1, 2, 5)]
    assert [superseded(versions, at) for at in (150, 200, 499, 500, 9999)] == [0, 1, 1, 2, 2]
