"""Kernels that only teach: their lab rows train the model, and nothing of them is offered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests import tiny, tiny_lab

from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune_server.training.lab import LabError
from fleetune_server.training.sources import CORPUS, ENTRIES, measured, taught
from fleetune_server.training.train import TrainRequest, train

WHOLE = tiny.manifest()


def without(name: str) -> Manifest:
    kept = [entry for entry in WHOLE.raw["kernels"] if entry["name"] != name]
    return Manifest.load({**WHOLE.raw, "kernels": kept})


def lab_with(folder: Path, name: str) -> Path:
    """A lab whose rows of one kernel lie in the corpus."""
    tiny_lab.write_lab(folder)
    corpus = folder / CORPUS
    corpus.mkdir()
    (entry,) = (entry for entry in WHOLE.raw["kernels"] if entry["name"] == name)
    (corpus / ENTRIES).write_text(json.dumps([entry]))
    for path in folder.glob("*.jsonl"):
        header, *lines = path.read_text().splitlines()
        own = [line for line in lines if json.loads(line)["kernel"] == name]
        (corpus / path.name).write_text("\n".join([header, *own]))
        path.write_text("\n".join([header, *(line for line in lines if line not in own)]))
    return folder


def test_the_corpus_teaches_what_to_expect_of_a_new_kernel_and_leaves_nothing_else(tmp_path: Path) -> None:
    name = next(iter(WHOLE.kernels))
    rest = without(name)
    lab = measured(lab_with(tmp_path / "lab", name), rest)
    alone = measured(tiny_lab.write_lab(tmp_path / "alone"), rest)
    assert len(lab.rows) == len(alone.rows)
    assert len(lab.corpus)
    assert not len(alone.corpus)
    request = TrainRequest(rest.raw, lab.rows, [], None, 1, corpus=lab.corpus)
    model = Model.from_bytes(train(request).model)
    guess = Model.from_bytes(train(TrainRequest(rest.raw, alone.rows, [], None, 1)).model)
    assert model.artefact.vocabulary == guess.artefact.vocabulary
    asked = lab.corpus
    errors = [np.abs(one.predict_frame(asked.frame).mean - asked.target).mean() for one in (model, guess)]
    assert errors[0] < errors[1]


def test_what_the_catalogue_has_itself_is_its_own(tmp_path: Path) -> None:
    name = next(iter(WHOLE.kernels))
    corpus = lab_with(tmp_path / "lab", name) / CORPUS
    assert taught(corpus, WHOLE).kernels.keys() == WHOLE.kernels.keys()
    assert taught(tmp_path / "nowhere", WHOLE) is WHOLE


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "x"}]'])
def test_a_broken_corpus_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / ENTRIES).write_text(text)
    with pytest.raises(LabError, match=r"corpus/kernels\.json"):
        taught(tmp_path, WHOLE)
