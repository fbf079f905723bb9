"""What an upload accepts the packet, the catalogue and the model can carry: at each limit, and one beyond it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import releases, tiny
from tests.own_world import SCRIPT, description, modules
from tests.test_intake import wire

from fleetune.artefact import ModelError, pack, unpack
from fleetune.context import Environment
from fleetune.limits import CAPACITY, OPTIMISATIONS, VARIANT_CHARACTERS
from fleetune.manifest import Manifest, variant_name
from fleetune.model import Model
from fleetune.packet import PacketError, check
from fleetune_server.kernels.catalogue import CapacityError, Catalogue, names_of
from fleetune_server.kernels.package import Package, build
from fleetune_server.kernels.shelf import MAX_KERNELS
from fleetune_server.kernels.spec import MAX_PATTERNS, MAX_VARIANTS, SpecError, read_spec
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.aggregate import ENGINES, fit_environments

BUILT = Path(__file__).parents[1] / "kernels_wasm" / "dist" / "manifest.json"


def upload(**changes: Any) -> bool:
    """Whether a description with these changes is accepted."""
    try:
        read_spec(description(**changes), SCRIPT, modules())
    except SpecError:
        return False
    return True


def with_optimisations(names: list[str]) -> list[dict[str, Any]]:
    second = {"module": "sum.simd.wasm", "export": "sum", "features": ["simd"], "optimisations": names}
    return [*description()["variants"][:1], second]


def reportable(variant: str) -> bool:
    """Whether a packet may name this variant."""
    try:
        check(wire() | {"actualSpeedups": {variant: 1.5}})
    except PacketError:
        return False
    return True


LETTER = st.sampled_from("abcXYZ019")
NAME = st.builds(lambda rest: "q" + rest, st.text(LETTER, max_size=45))


@settings(deadline=None, max_examples=300)
@given(st.lists(NAME, min_size=1, max_size=10, unique=True))
def test_every_variant_that_an_upload_may_have_can_be_reported(names: list[str]) -> None:
    fits = (
        len(names) <= OPTIMISATIONS
        and all(len(name) <= 24 for name in names)
        and len(variant_name(names)) <= VARIANT_CHARACTERS
    )
    assert upload(variants=with_optimisations(names)) == fits
    assert reportable(variant_name(names)) == fits


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (["a" * 24], True),
        (["a" * 25], False),
        (["a" * 30], False),
        ([f"o{i}" for i in range(8)], True),
        ([f"o{i}" for i in range(9)], False),
        (["a" * 24, "b" * 24, "c" * 24, "d" * 5], True),  # 80 with the + between
        (["a" * 24, "b" * 24, "c" * 24, "d" * 6], False),
    ],
)
def test_names_at_their_limit_and_one_beyond(names: list[str], fits: bool) -> None:
    assert upload(variants=with_optimisations(names)) == reportable(variant_name(names)) == fits


def test_every_pattern_that_an_upload_may_have_can_be_reported() -> None:
    for pattern, fits in (
        ("p" * 16, True),
        ("p" * 17, False),
        ("p-0", True),
        ("P", False),
        ("p+copied", False),
    ):
        assert upload(patterns=[pattern]) == fits
        if fits:
            for shown in (pattern, f"{pattern}+copied"):
                changed = dataclasses.replace(tiny.CONTEXT, pattern=shown)
                check(wire() | {"context": changed.to_wire(), "contextHash": changed.hash})


def kernel(number: int, patterns: list[str], variants: int = 0) -> Package:
    """An own kernel with a profile of its own, these patterns and so many more variants."""
    package = build(read_spec(description(), SCRIPT, modules()))
    more = [
        package.entry["variants"][1] | {"name": f"v{number}n{i}", "optimisations": [f"v{number}n{i}"]}
        for i in range(variants)
    ]
    entry = package.entry | {
        "name": f"own_{number}",
        "profileSignature": f"{number:032x}",
        "patterns": patterns,
        "variants": [*package.entry["variants"], *more],
    }
    return dataclasses.replace(package, entry=entry)


def grown(field: str, count: int) -> bytes:
    """A sound model whose vocabulary has so many names in this field."""
    artefact = unpack(releases.first())
    words = artefact.vocabulary[field]
    more = tuple(f"more {number}" for number in range(count - len(words)))
    stored = dict(artefact.stored)
    if field == "kernel":
        stored["inflation"] = stored["inflation"].repeat(count)[:count]
    vocabulary = {**artefact.vocabulary, field: (*words, *more)}
    return pack(dataclasses.replace(artefact, vocabulary=vocabulary, stored=stored))


@pytest.mark.parametrize("field", ["kernel", "pattern", "environment", "engine", "family", "candidate"])
def test_the_model_takes_as_many_names_as_its_capacity_and_no_more(field: str) -> None:
    assert len(Model.from_bytes(grown(field, CAPACITY[field])).artefact.vocabulary[field]) == CAPACITY[field]
    with pytest.raises(ModelError, match=f"too many entries: {field}"):
        Model.from_bytes(grown(field, CAPACITY[field] + 1))


def test_patterns_fill_the_model_and_the_next_one_is_refused_by_name() -> None:
    empty = Catalogue.load(Path("nowhere"))
    packages: list[Package] = []
    count, number = 0, 0
    while count + 2 <= CAPACITY["pattern"]:  # each is measured with and without copying
        here = min(MAX_PATTERNS, (CAPACITY["pattern"] - count) // 2)
        packages.append(kernel(number, [f"p{number}-{i}" for i in range(here)]))
        count, number = count + 2 * here, number + 1
        found = names_of(empty.with_own(packages).manifest)
        assert len(found["pattern"]) == count
    with pytest.raises(CapacityError, match=r"patterns: .* too-many.* use names that other kernels have"):
        empty.with_own([*packages, kernel(number, ["too-many"])], found)
    with pytest.raises(CapacityError):
        empty.with_own([*packages, kernel(number, ["too-many"])])
    again = empty.with_own([*packages, kernel(number, ["p0-0"])], found)
    assert len(again.manifest.kernels) == len(packages) + 1, "names that exist cost nothing"


def test_candidates_fill_the_model_and_what_it_learned_before_counts() -> None:
    empty = Catalogue.load(Path("nowhere"))
    known = names_of(empty.with_own([kernel(0, ["random"])]).manifest)["candidate"]
    room = CAPACITY["candidate"] - len(known)
    taken = {"candidate": [f"gone{i}" for i in range(room - 5)]}
    assert empty.with_own([kernel(0, ["random"], 5)], taken)
    with pytest.raises(CapacityError, match="candidates: the model has room for 511"):
        empty.with_own([kernel(0, ["random"], 6)], taken)
    assert empty.with_own([kernel(0, ["random"], 6)], {})


def test_as_many_own_kernels_as_there_may_be_fit_beside_the_build() -> None:
    names = names_of(Manifest.load(BUILT.read_bytes()))
    assert len(names["kernel"]) + MAX_KERNELS <= CAPACITY["kernel"]
    assert len(names["candidate"]) + MAX_VARIANTS <= CAPACITY["candidate"]
    assert all(reportable(name) for name in names["candidate"])
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9-]{0,31}(\+copied)?", name) for name in names["pattern"])


def test_reports_of_ever_new_browsers_fill_no_model() -> None:
    """Anyone may report of any browser: more than have room are counted with their engine, none is lost."""
    places = [
        Environment("firefox", version, system, True, True, False, cores)
        for version in range(1, 60)
        for system in ("linux", "windows", "macos")
        for cores in ("1", "2-3")
    ]
    rows = [
        CellSum(Cell("ab" * 16, tiny.CONTEXT, place, "scalar", 1, 2.0, 0.5, 0.1), False, 20 + i, 0, 20 + i)
        for i, place in enumerate(places)
    ]
    capacity = ENGINES + 100
    fitted = fit_environments(rows, (), capacity)
    assert sum(row.count for row in fitted) == sum(row.count for row in rows)
    kept = {row.cell.environment for row in fitted}
    assert len(kept) == 101
    assert set(places[-100:]) < kept, "the most reported ones stay"
    assert fit_environments(rows[:100], (), capacity) == rows[:100]
    known = [f"old {i}" for i in range(capacity - ENGINES)]
    assert len({row.cell.environment for row in fit_environments(rows, known, capacity)}) == 1
