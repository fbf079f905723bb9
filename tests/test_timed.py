"""What the reference's own time tells of a kernel that nobody has measured."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from tests import tiny
from tests.browsers import Browser
from tests.synthetic import ENGINES, catalogue, measured

from fleetune.app import decide
from fleetune.app.session import Session
from fleetune.context import Context
from fleetune.features import Floats, Ints
from fleetune.model import Model
from fleetune.stats import Timed
from fleetune.trees import TreePart, design, timings
from fleetune_server.training.fit import fit

WORLD = measured(catalogue(16), ENGINES[:2])


class World(NamedTuple):
    """A model, the rows that it did not learn from (all of one kernel), and what is true of all rows."""

    model: Model
    new: Ints
    reference: Floats
    truth: Floats


@cache
def slow_javascript_gains(seed: int = 0) -> World:
    """A world in which modules gain what JavaScript is slow by, which nothing static tells."""
    rng = np.random.default_rng(seed)
    f = WORLD.frame
    slow = rng.uniform(0, 2.5, len(f.kernels))  # ln ns an element beyond what is usual
    size = np.array([context.log2_size for context in f.contexts])[f.context]
    known = f.kernel != len(f.kernels) - 1
    rows = replace(
        WORLD,
        target=slow[f.kernel] + rng.normal(0, 0.02, len(f)),
        reference_ns=np.exp(slow[f.kernel] + size * np.log(2)),
    )
    model, _ = fit(rows.take(known), seed=seed, version=1)
    return World(model, np.flatnonzero(~known), rows.reference_ns, rows.target)


def test_it_tells_what_no_static_feature_does() -> None:
    blind, told = [], []
    for seed in range(6):
        model, new, reference, truth = slow_javascript_gains(seed)
        before = model.predict_frame(WORLD.frame.take(new))
        after = model.predict_frame(WORLD.frame.take(new), reference[new])
        blind.append(np.abs(before.mean - truth[new]).mean())
        told.append(np.abs(after.mean - truth[new]).mean())
        assert (after.sd < before.sd).all()
    assert np.mean(told) < 0.6 * np.mean(blind)  # trees cannot say what is beyond all that they have seen


def test_what_is_not_known_changes_nothing_and_neither_does_it_for_known_kernels() -> None:
    model, new, reference, _ = slow_javascript_gains()
    blind = model.predict_frame(WORLD.frame).mean
    some = np.where(np.arange(len(reference)) % 2 == 0, reference, np.nan)
    told = model.predict_frame(WORLD.frame, some).mean
    changed = np.zeros(len(told), dtype=bool)
    changed[new[new % 2 == 0]] = True
    np.testing.assert_array_equal(told[~changed], blind[~changed])
    assert (told[changed] != blind[changed]).any()


def test_one_context_and_a_frame_agree_and_the_artefact_answers_as_the_training_did() -> None:
    model, new, reference, _ = slow_javascript_gains()
    row, f = int(new[0]), WORLD.frame
    kernel, context = f.kernels[f.kernel[row]], f.contexts[f.context[row]]
    name = f.candidates[f.candidate[row]]
    alone = model.predict(kernel, context, f.environments[f.environment[row]], (name,), reference[row])
    among = model.predict_frame(f.take(new[:1]), reference[new[:1]])
    assert (alone.mean[0], alone.sd[0]) == (among.mean[0], among.sd[0])
    part, few = TreePart(model.artefact), f.take(new)
    static = design(model.artefact.features, few, few.kernel, few.context, few.environment, few.candidate)
    x = np.hstack([static, timings(model.artefact.features, few, reference[new])])
    np.testing.assert_allclose(part.timed_rows(few, reference[new]), part.answer(x, "timed"), atol=1e-12)


def test_between_two_timed_sizes_it_is_read_off_and_beyond_them_it_grows_with_the_size() -> None:
    session = Session(Browser().tab.platform, tiny.manifest(), tiny.ENVIRONMENT, {})
    kernel = tiny.manifest().kernels["dot"]
    here = next(context for *_, context in kernel.contexts())

    def at(log2_size: int) -> Context:
        return replace(here, log2_size=log2_size)

    assert decide.reference_ns(session, kernel, at(10)) is None
    for log2_size, ms in ((10, 1.0), (14, 256.0)):  # 2^8 times as long for 2^4 times as many
        session.measured[kernel.name, at(log2_size)] = {"js": Timed(ms, 0.0, 1.0, 1.0, 1.0)}
    times = [decide.reference_ns(session, kernel, at(size)) for size in (9, 10, 12, 14, 16)]
    assert times == pytest.approx([0.5e6, 1e6, 16e6, 256e6, 1024e6])
    assert decide.reference_ns(session, tiny.manifest().kernels["saxpy"], at(10)) is None
