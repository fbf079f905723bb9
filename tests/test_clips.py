"""Clips by place: wide where little is known, narrow where many reports agree, the same number on both
sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports

from fleetune.artefact import CLIPS as COLUMNS
from fleetune.artefact import ModelError, pack, unpack
from fleetune.context import Environment
from fleetune.features import environment_key
from fleetune.model import Model
from fleetune.packet import MAX_CLIP, MIN_CLIP
from fleetune_server.training.clips import CLIPS, NEWCOMER
from fleetune_server.training.train import TrainRequest, train

START = Model.from_bytes(first().model)
KNOWN = FLEET.take(np.isin(FLEET.frame.environment, [0, 1]))
HERE = LAB.frame.environments[0]
KERNEL = LAB.frame.kernels[0]


def after(sums: list, previous: Model = START) -> Model:  # type: ignore[type-arg]
    result = train(TrainRequest(MANIFEST.raw, LAB, sums, previous.to_bytes(), previous.version + 1, group=1))
    return Model.from_bytes(result.model)


def test_every_clip_is_one_that_a_packet_may_carry() -> None:
    assert all(MIN_CLIP <= clip <= MAX_CLIP for clip in CLIPS)


def test_places_of_the_lab_start_in_the_middle_and_unknown_kernels_wide() -> None:
    assert START.clip_at(KERNEL, HERE) == NEWCOMER
    stranger = replace(KERNEL, signature="ab" * 16)
    assert START.clip_at(stranger, HERE) > NEWCOMER
    assert START.clip_at(KERNEL, replace(HERE, os="android")) == NEWCOMER


def test_reports_that_agree_narrow_the_clip_of_their_own_place_only() -> None:
    only = KNOWN.take(KNOWN.frame.kernel == 0)
    model = after(reports(START, 4000, 1, only, heldout=0.0))
    assert model.clip_at(KERNEL, HERE) < NEWCOMER
    assert model.clip_at(LAB.frame.kernels[1], HERE) == NEWCOMER


def test_reports_at_the_clip_widen_it_where_they_are() -> None:
    settled = reports(START, 6000, 1, KNOWN, heldout=0.0)
    model = after(settled)
    narrow = model.clip_at(KERNEL, HERE)
    here = KNOWN.frame.environments.index(HERE)
    f = KNOWN.frame
    moved = (f.kernel == 0) & (f.environment == here)
    faster = replace(KNOWN, target=KNOWN.target + 2.0 * moved)
    changed = reports(model, 6000, 2, faster, heldout=0.0)
    later = after([*settled, *changed], model)
    assert later.clip_at(KERNEL, HERE) > narrow
    assert later.clip_at(KERNEL, LAB.frame.environments[1]) == narrow
    assert later.clip_at(LAB.frame.kernels[1], HERE) == narrow


def test_a_model_from_before_clips_differed_by_place_has_one_for_all() -> None:
    old = {name: array for name, array in START.artefact.stored.items() if name not in COLUMNS}
    model = Model.from_bytes(pack(replace(START.artefact, stored=old, clip=0.35)))
    for kernel in (KERNEL, replace(KERNEL, signature="ab" * 16)):
        for environment in (HERE, Environment("other", 0, "other", False, False, False, "1")):
            assert model.clip_at(kernel, environment) == 0.35


@pytest.mark.parametrize(
    "change",
    [
        {"clip.value": np.array([5], dtype="|u1")},
        {"clip.value": np.array([201], dtype="|u1")},
        {"clip.kernel": np.array([4000], dtype="<u2")},
        {"clip.environment": np.array([4000], dtype="<u2")},
        {"clip.kernel": np.array([0, 1], dtype="<u2")},
        {"clip.new": np.array([50], dtype="|u1")},
        {"clip.value": np.array([50], dtype="<u2")},
    ],
    ids=str,
)
def test_clips_that_no_packet_can_carry_and_places_that_do_not_exist_are_refused(
    change: dict[str, np.ndarray],
) -> None:
    one = {
        "clip.kernel": np.array([0], dtype="<u2"),
        "clip.environment": np.array([0], dtype="<u2"),
        "clip.value": np.array([50], dtype="|u1"),
    }
    good = dict(START.artefact.stored) | one
    unpack(pack(replace(START.artefact, stored=good)))
    with pytest.raises(ModelError):
        unpack(pack(replace(START.artefact, stored=good | change)))


def test_a_new_browser_version_starts_at_its_predecessor_and_less_sure() -> None:
    windows = replace(FLEET.frame.environments[0], os="windows", version=156)
    elsewhere = [windows, *FLEET.frame.environments[1:]]
    peculiar = replace(FLEET, frame=replace(FLEET.frame, environments=elsewhere))
    names = np.array(peculiar.frame.candidates)[peculiar.frame.candidate]
    odd = (peculiar.frame.environment == 0) & (names == "inlining")
    peculiar = replace(peculiar, target=peculiar.target + 0.4 * odd)
    model = after(reports(START, 30_000, 3, peculiar, heldout=0.0))
    context = next(KERNEL.contexts())[3]
    known = model.predict(KERNEL, context, windows, ("inlining", "scalar"))
    updated = replace(windows, version=157)
    heir = model.predict(KERNEL, context, updated, ("inlining", "scalar"))
    np.testing.assert_allclose(heir.mean, known.mean)
    assert (heir.sd > known.sd).all()
    frame = replace(peculiar.frame.take(odd), environments=[updated, *FLEET.frame.environments[1:]])
    before = model.predict_frame(peculiar.frame.take(odd))
    np.testing.assert_allclose(model.predict_frame(frame).mean, before.mean)
    told = model.predict(KERNEL, context, replace(windows, arch="arm"), ("inlining", "scalar"))
    np.testing.assert_allclose(told.mean, known.mean)
    assert (told.sd > known.sd).all(), "what was learned before reports told the architecture, less surely"
    stranger = model.predict(KERNEL, context, replace(updated, os="macos"), ("inlining", "scalar"))
    assert abs(stranger.mean[0] - known.mean[0]) > 0.1, "another system is no version of this one"
    assert environment_key(updated) not in model.artefact.vocabulary["environment"]
