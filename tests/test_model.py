"""The model's bytes, predictions and strict reader."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import brotli
import numpy as np
import pytest
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.artefact import Artefact, pack
from fleetune.context import Context, Environment
from fleetune.manifest import Manifest
from fleetune.model import Model, ModelError
from fleetune_server.training.fit import fit

MANIFEST = catalogue()
KERNEL = MANIFEST.kernels["kernel3"]
CONTEXT = Context(8, KERNEL.dtype, "random")


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(measured(MANIFEST), seed=1, version=3, clip=0.5)[0]


def test_bytes_round_trip_exactly(model: Model) -> None:
    data = model.to_bytes()
    again = Model.from_bytes(data)
    assert again.to_bytes() == data
    assert (again.version, again.clip) == (3, 0.5)


def test_predictions_come_from_the_bytes(model: Model) -> None:
    rows = measured(MANIFEST)
    ours, theirs = (
        model.predict_frame(rows.frame),
        Model.from_bytes(model.to_bytes()).predict_frame(rows.frame),
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_js_is_exactly_one_times_as_fast(model: Model) -> None:
    predictions = model.predict(KERNEL, CONTEXT, ENGINES[0], KERNEL.candidates(ENGINES[0].features))
    assert predictions.candidates[0] == "js"
    assert predictions.mean[0] == 0
    assert predictions.sd[0] == 0
    assert (predictions.sd[1:] > 0).all()


def test_the_table_agrees_with_single_predictions(model: Model) -> None:
    table = model.predict_table(list(MANIFEST.kernels.values()), ENGINES[1])
    assert len(table) == sum(1 for kernel in MANIFEST.kernels.values() for _ in kernel.contexts())
    for row in table[::5]:
        single = model.predict(row.kernel, row.context, ENGINES[1], row.predictions.candidates)
        np.testing.assert_allclose(single.mean, row.predictions.mean, atol=1e-9)
        np.testing.assert_allclose(single.sd, row.predictions.sd, atol=1e-9)


def test_a_browser_without_simd_gets_no_simd_rows(model: Model) -> None:
    plain = Environment("firefox", 153, "linux", False, False, False, "2-3")
    for row in model.predict_table([KERNEL], plain):
        assert not any("vectorization" in name for name in row.predictions.candidates)


def test_sizes_between_two_of_the_catalogue_are_interpolated(model: Model) -> None:
    names = KERNEL.candidates(ENGINES[0].features)
    low, middle, high = (
        model.predict(KERNEL, Context(size, KERNEL.dtype, "random"), ENGINES[0], names).mean
        for size in (8, 11, 12)
    )
    np.testing.assert_allclose(middle, 0.25 * low + 0.75 * high, atol=1e-9)


def test_unknown_everything_is_predicted_with_wide_uncertainty(model: Model) -> None:
    stranger = catalogue(40).kernels["kernel39"]
    elsewhere = Environment("other", 7, "other", True, False, True, "16+")
    names = stranger.candidates(elsewhere.features)
    new = model.predict(stranger, CONTEXT, elsewhere, names)
    known = model.predict(KERNEL, CONTEXT, ENGINES[0], names)
    assert np.isfinite(new.mean).all()
    assert (new.sd[1:] > 2 * known.sd[1:]).all()


def test_a_variant_that_the_model_does_not_know_is_predicted_from_its_module(model: Model) -> None:
    raw = {"schema": 1, "bundles": {}, "kernels": []}
    assert Manifest.load(raw).kernels == {}
    predictions = model.predict(KERNEL, CONTEXT, ENGINES[0], ("js", "scalar", "no+such"))
    assert np.isfinite(predictions.mean).all()


def _tampered(model: Model, **changes: object) -> bytes:
    data = model.to_bytes()
    (length,) = struct.unpack_from("<I", data, 4)
    header = json.loads(data[8 : 8 + length]) | changes
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return data[:4] + struct.pack("<I", len(text)) + text + data[8 + length :]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"clip": 0.0},
        {"clip": "wide"},
        {"version": -1},
        {"version": 1.5},
        {"crosses": [["kernel", "postcode"]]},
        {"vocabulary": {}},
        {"features": {"kernel": []}},
        {"arrays": []},
    ],
    ids=str,
)
def test_a_wrong_header_is_refused(model: Model, change: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(_tampered(model, **change))


def test_damaged_bytes_are_refused_or_still_a_finite_model(model: Model) -> None:
    data = model.to_bytes()
    for broken in (b"", data[:4], data[:100], data[:-1], data + b"\0", b"FTM2" + data[4:]):
        with pytest.raises(ModelError):
            Model.from_bytes(broken)
    rng = np.random.default_rng(0)
    rows = measured(MANIFEST)
    for _ in range(60):
        bad = bytearray(data)
        bad[int(rng.integers(0, len(bad)))] ^= int(rng.integers(1, 256))
        try:
            damaged = Model.from_bytes(bytes(bad))
        except ModelError:
            continue
        assert np.isfinite(damaged.predict_frame(rows.frame)[0]).all()


def test_numbers_that_are_not_finite_are_refused(model: Model) -> None:
    artefact = model.artefact
    stored = dict(artefact.stored)
    stored["trees.leaf"] = np.full_like(stored["trees.leaf"], np.inf)
    broken = Artefact(3, 0.5, artefact.features, artefact.vocabulary, artefact.crosses, stored, {})
    with pytest.raises(ModelError, match="not finite"):
        Model.from_bytes(pack(broken))


def test_a_wide_row_of_no_kernel_is_refused(model: Model) -> None:
    artefact = model.artefact
    stored = dict(artefact.stored)
    column = stored["row.kernel"].copy()
    column[-1] = 999
    stored["row.kernel"] = column
    broken = Artefact(3, 0.5, artefact.features, artefact.vocabulary, artefact.crosses, stored, {})
    with pytest.raises(ModelError, match="does not exist"):
        Model.from_bytes(pack(broken))


def test_a_model_from_before_trees_and_clips_by_place_still_answers_as_it_did() -> None:
    """Recorded with version 0.1: a network as prior, eight tables, one clip."""
    folder = Path(__file__).parent / "recorded"
    old = Model.from_bytes(brotli.decompress((folder / "network_model.br").read_bytes()))
    asked = measured(catalogue(4, sizes=(16, 4096)), ENGINES[:3]).frame  # one kernel and one engine more
    wanted = json.loads((folder / "network_model.json").read_text())["mean"]
    np.testing.assert_allclose(old.predict_frame(asked).mean, wanted, atol=2e-6)
    assert {old.clip_at(kernel, e) for kernel in asked.kernels for e in asked.environments} == {0.35}
    grown, _ = fit(measured(catalogue(3, sizes=(16, 4096)), ENGINES[:2]), seed=0, version=8, init=old)
    assert Model.from_bytes(grown.to_bytes()).version == 8
