"""The manifest: read strictly, filtered by what a browser supports."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetune.manifest import BASELINE, Manifest, ManifestError, variant_name

SOURCE = (Path(__file__).parents[1] / "kernels_wasm/dist/manifest.json").read_bytes()
RAW: dict[str, Any] = json.loads(SOURCE)
MANIFEST = Manifest.load(SOURCE)


@given(st.lists(st.sampled_from(["inlining", "loopUnrolling", "vectorization", "swar"]), unique=True))
def test_a_name_is_the_sorted_coordinates(optimisations: list[str]) -> None:
    name = variant_name(optimisations)
    assert name == variant_name(reversed(optimisations))
    assert name == ("+".join(sorted(optimisations)) if optimisations else "scalar")


@pytest.mark.parametrize("kernel", MANIFEST.kernels.values(), ids=lambda kernel: kernel.name)
def test_a_browser_gets_only_what_it_can_run_and_javascript_always(kernel: Any) -> None:
    for features in (frozenset(), frozenset({"simd"}), frozenset({"simd", "relaxedSimd"})):
        names = kernel.candidates(features)
        assert names[0] == BASELINE
        runnable = set(names) - set(kernel.baselines)
        assert runnable == {v.name for v in kernel.variants.values() if v.features <= features}
    assert set(kernel.candidates(frozenset())) <= set(kernel.candidates(frozenset({"simd"})))


def test_signatures_name_kernels() -> None:
    assert len(MANIFEST.by_signature) == len(MANIFEST.kernels)
    assert all(kernel.signature == signature for signature, kernel in MANIFEST.by_signature.items())


def test_contexts_are_distinct_and_cover_sizes_patterns_and_copying() -> None:
    for kernel in MANIFEST.kernels.values():
        contexts = [context for *_, context in kernel.contexts()]
        assert len(set(contexts)) == len(kernel.sizes) * len(kernel.patterns) * (1 + kernel.copied)


@pytest.mark.parametrize("key", ["schema", "bundles", "kernels"])
def test_a_missing_part_is_named(key: str) -> None:
    damaged = {name: value for name, value in RAW.items() if name != key}
    with pytest.raises(ManifestError, match=key):
        Manifest.load(damaged)


def test_another_schema_is_refused() -> None:
    with pytest.raises(ManifestError, match="schema 2"):
        Manifest.load(RAW | {"schema": 2})


def test_a_variant_that_is_not_named_by_its_optimisations_is_refused() -> None:
    damaged = copy.deepcopy(RAW)
    damaged["kernels"][0]["variants"][0]["name"] = "fastest"
    with pytest.raises(ManifestError, match="fastest"):
        Manifest.load(damaged)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_else_is_refused_with_a_clear_error(source: bytes | str) -> None:
    with pytest.raises(ManifestError):
        Manifest.load(source)
