"""Kernels that only judge: read for evaluation, unknown to training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import tiny, tiny_lab
from tests.kernel_runner import manifest

from fleetune_research.forged import ENTRIES, read
from fleetune_server.training.lab import LabError

WHOLE = tiny.manifest()


def test_the_recorded_ones_are_none_of_the_catalogues_and_of_two_engines() -> None:
    forged = read(manifest())
    assert len({row.signature for row in forged.lab}) == len(forged.manifest.kernels) == 53
    assert not forged.manifest.by_signature.keys() & manifest().by_signature.keys()
    assert {row.environment.browser for row in forged.lab} == {"chromium", "firefox"}


def test_what_the_catalogue_has_itself_judges_nothing(tmp_path: Path) -> None:
    tiny_lab.write_lab(tmp_path)
    (tmp_path / ENTRIES).write_text(json.dumps(WHOLE.raw["kernels"]))
    assert not read(WHOLE, tmp_path).lab


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '[{"name": "x"}]'])
def test_a_broken_folder_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / ENTRIES).write_text(text)
    with pytest.raises(LabError, match=r"kernels\.json"):
        read(WHOLE, tmp_path)
