"""Version 1 from the package: the one that training would make, or none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.learning_world import LAB, MANIFEST, first, reports

from fleetune.model import Model
from fleetune_server.training.first import ABOUT, MODEL, make, shipped
from fleetune_server.training.train import TrainRequest

REQUEST = TrainRequest(MANIFEST.raw, LAB, (), None, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("package") / "dist"
    make(REQUEST, made)
    return made


def test_it_is_what_training_gives(folder: Path) -> None:
    found = shipped(REQUEST, folder)
    assert found is not None
    assert (found.model, found.verdict) == (first().model, first().verdict)
    assert found.metadata == json.loads(json.dumps(first().metadata))


def test_processors_that_round_otherwise_get_it_too(folder: Path) -> None:
    assert shipped(replace(REQUEST, lab=replace(LAB, target=LAB.target * (1 + 1e-15))), folder) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"previous": first().model, "version": 2},
        {"previous": first().model},
        {"aggregates": reports(Model.from_bytes(first().model), 50, 0)},
        {"lab": LAB.take(LAB.target < LAB.target.max())},
        {"lab": replace(LAB, variance=LAB.variance * 2)},
        {"manifest": {**MANIFEST.raw, "kernels": list(reversed(MANIFEST.raw["kernels"]))}},
    ],
    ids=lambda other: "+".join(other),
)
def test_what_was_made_of_something_else_is_not_taken(folder: Path, other: dict[str, object]) -> None:
    assert shipped(replace(REQUEST, **other), folder) is None  # type: ignore[arg-type]


def test_a_damaged_or_missing_file_is_not_taken(folder: Path, tmp_path: Path) -> None:
    assert shipped(REQUEST, tmp_path) is None
    for name in (ABOUT, MODEL):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert shipped(REQUEST, tmp_path) is not None
    with (tmp_path / MODEL).open("r+b") as file:
        file.write(b"x")
    assert shipped(REQUEST, tmp_path) is None
