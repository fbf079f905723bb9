"""Kernels that only teach: their lab rows train the model, and nothing of them is offered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import tiny, tiny_lab

from fleetune.manifest import Manifest
from fleetune.model import Model
from fleetune_server.training.corpus import FOLDER, KERNELS, measured, taught
from fleetune_server.training.lab import LabError, load
from fleetune_server.training.train import TrainRequest, train

WHOLE = tiny.manifest()


def without(name: str) -> Manifest:
    kept = [entry for entry in WHOLE.raw["kernels"] if entry["name"] != name]
    return Manifest.load({**WHOLE.raw, "kernels": kept})


def lab_with(folder: Path, name: str) -> Path:
    """A lab whose rows of one kernel lie in the corpus."""
    tiny_lab.write_lab(folder)
    corpus = folder / FOLDER
    corpus.mkdir()
    (entry,) = (entry for entry in WHOLE.raw["kernels"] if entry["name"] == name)
    (corpus / KERNELS).write_text(json.dumps([entry]))
    for path in folder.glob("*.jsonl"):
        header, *lines = path.read_text().splitlines()
        own = [line for line in lines if json.loads(line)["kernel"] == name]
        (corpus / path.name).write_text("\n".join([header, *own]))
        path.write_text("\n".join([header, *(line for line in lines if line not in own)]))
    return folder


def test_what_the_corpus_teaches_is_in_the_model_and_in_no_catalogue(tmp_path: Path) -> None:
    name = next(iter(WHOLE.kernels))
    lab = lab_with(tmp_path / "lab", name)
    rest = without(name)
    rows = measured(lab, rest)
    assert len(rows) == len(measured(tiny_lab.write_lab(tmp_path / "all"), WHOLE))
    signature = WHOLE.kernels[name].signature
    assert signature in {kernel.signature for kernel in rows.frame.kernels}
    assert not any(row.signature == signature for row in load(lab, rest))
    result = train(TrainRequest(rest.raw, rows, [], None, 1))
    model = Model.from_bytes(result.model)
    kernel = WHOLE.kernels[name]
    context = next(iter(kernel.contexts()))[-1]
    environment = rows.frame.environments[0]
    named = kernel.candidates(environment.features)
    known = model.predict(kernel, context, environment, named)
    guess = Model.from_bytes(
        train(TrainRequest(rest.raw, measured(tmp_path / "all", rest), [], None, 1)).model
    )
    assert known.sd[1:].max() < guess.predict(kernel, context, environment, named).sd[1:].max()
    assert name not in rest.kernels


def test_what_the_catalogue_has_itself_is_its_own(tmp_path: Path) -> None:
    name = next(iter(WHOLE.kernels))
    corpus = lab_with(tmp_path / "lab", name) / FOLDER
    assert taught(corpus, WHOLE).kernels.keys() == WHOLE.kernels.keys()
    assert taught(tmp_path / "nowhere", WHOLE) is WHOLE


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "x"}]'])
def test_a_broken_corpus_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / KERNELS).write_text(text)
    with pytest.raises(LabError, match=r"corpus/kernels\.json"):
        taught(tmp_path, WHOLE)
