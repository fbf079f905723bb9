"""The clip of the next round's reports, for every place (kernel × environment). Pure.

A narrow clip means little noise and a bias where the truth lies beyond it, so the clip follows what is known:
wide for a new kernel, a new environment, after a change and where reports lie at the clip; narrow where many
reports agree with the model. Values come from CLIPS only. Its floor is explained in server/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetune.context import Environment
from fleetune.features import Frame, environment_key
from fleetune.model import Model
from fleetune.places import CLIP_UNIT
from fleetune_server.store.base import CellSum
from fleetune_server.training.doubts import cut_off
from fleetune_server.training.estimates import Estimates
from fleetune_server.training.rounds import decoded_means

CLIPS = (2.0, 1.0, 0.5, 0.35, 0.25, 0.2)
WIDTH = 2.5  # deviations of the truth around the prediction that a clip should hold
DEVICES = 0.15  # ln speedup by which people's devices may differ from the model where nobody has reported,
SETTLED = 0.06  # and where many have
REPORTS = 100  # reports of a place at which half of the difference is settled
CHANGED = 0.5  # widest clip after a change
NEWCOMER = 0.5  # clip of an environment that the model does not know

Place = tuple[str, Environment]


@dataclass(frozen=True)
class Reports:
    """What the reports of each place ask of its clip."""

    count: Mapping[Place, int]
    at_least: Mapping[
        Place, float
    ]  # the least clip of places that changed, or whose reports lie at their clip

    @classmethod
    def of(cls, rows: Sequence[CellSum], estimates: Estimates) -> Reports:
        count: dict[Place, int] = {}
        for row in rows:
            key = row.cell.signature, row.cell.environment
            count[key] = count.get(key, 0) + row.count
        at_least = _cut_off(rows)
        for cell, change in zip(estimates.cells, estimates.changed.tolist(), strict=True):
            if change:
                key = cell[0], cell[2]
                at_least[key] = max(at_least.get(key, 0.0), min(_next(WIDTH * change), CHANGED))
        return cls(count, at_least)


NO_REPORTS = Reports({}, {})


def place_clips(model: Model, frame: Frame, reports: Reports) -> tuple[float, dict[str, NDArray[Any]]]:
    """The usual clip, and the artefact's columns for all places that have another.

    `frame` holds every cell that the model was trained on.
    """
    clips = {}
    for place, variance in _spread(model, frame).items():
        count = reports.count.get(place, 0)
        devices = DEVICES**2 * REPORTS / (REPORTS + count) + SETTLED**2
        clips[place] = max(_next(WIDTH * (variance + devices) ** 0.5), reports.at_least.get(place, 0.0))
    reported = [clips[place] for place in clips if place in reports.count]
    usual = max(CLIPS, key=reported.count) if reported else NEWCOMER
    new_kernel = _next(WIDTH * float(model.artefact.arrays["unknown2"]) ** 0.5)
    kernels = {signature: i for i, signature in enumerate(model.artefact.vocabulary["kernel"])}
    environments = {key: i for i, key in enumerate(model.artefact.vocabulary["environment"])}
    listed = sorted(
        (kernels[signature], environments[environment_key(environment)], _hundredths(clip))
        for (signature, environment), clip in clips.items()
        if clip != usual
    )
    kernel, environment, value = np.array(listed, dtype=np.int64).reshape(-1, 3).T
    return usual, {
        "clip.kernel": kernel.astype("<u2"),
        "clip.environment": environment.astype("<u2"),
        "clip.value": value.astype("|u1"),
        "clip.new": np.array([_hundredths(new_kernel), _hundredths(NEWCOMER)], dtype="|u1"),
    }


def _hundredths(clip: float) -> int:
    return round(clip / CLIP_UNIT)


def _spread(model: Model, frame: Frame) -> dict[Place, float]:
    """The mean variance of the model's predictions in each place of a frame."""
    variance = model.predict_frame(frame).sd ** 2
    width = len(frame.environments)
    number = frame.kernel * width + frame.environment
    total = np.bincount(number, variance) / np.maximum(np.bincount(number), 1)
    return {
        (frame.kernels[i // width].signature, frame.environments[i % width]): float(total[i])
        for i in np.unique(number).tolist()
    }


def _next(width: float) -> float:
    """The narrowest clip that holds `width`, or the widest there is."""
    return min((clip for clip in CLIPS if clip >= width), default=CLIPS[0])


def _cut_off(rows: Sequence[CellSum]) -> dict[Place, float]:
    """Twice the clip of the places whose newest reports lie at it."""
    newest: dict[Place, int] = {}
    for row in rows:
        key = row.cell.signature, row.cell.environment
        newest[key] = max(newest.get(key, 0), row.cell.version)
    fresh = [row for row in rows if row.cell.version == newest[row.cell.signature, row.cell.environment]]
    if not fresh:
        return {}
    full = cut_off(fresh, decoded_means(fresh)[0])
    wide: dict[Place, float] = {}
    for row, share in zip(fresh, full.tolist(), strict=True):
        if share > 0:
            key = row.cell.signature, row.cell.environment
            wide[key] = max(wide.get(key, 0.0), _next(2 * row.cell.clip))
    return wide
