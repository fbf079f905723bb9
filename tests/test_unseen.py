"""What other sizes tell of a call that nobody measured: learned from all kernels, and told of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.test_evaluate import LAB, MANIFEST

from fleetune.context import Context, Environment
from fleetune.covariance import Points
from fleetune.features import Features, Floats, Frame
from fleetune.manifest import SCALAR, Kernel
from fleetune_research.splits import strict_context
from fleetune_server.training import wide_rows
from fleetune_server.training.fit import fit
from fleetune_server.training.smooth import UNSEEN_SCALE
from fleetune_server.training.sources import lab_rows
from fleetune_server.training.unseen import Correction, Sizes

ENGINE = Environment("chromium", 130, "linux", True, True, False, "8-15")
CONTEXTS = [Context(size, "f32", "random") for size in (4, 7, 10, 13)]
LOSS = -0.8  # ln speedup that every module but the scalar one loses at the smallest size


def sizes(kernel: Kernel) -> Sizes:
    """A kernel measured at all four sizes by one engine, whose modules gain 0.1 with each doubling."""
    names = tuple(sorted(kernel.variants))
    context, candidate = (
        column.reshape(-1) for column in np.meshgrid(range(len(CONTEXTS)), range(len(names)), indexing="ij")
    )
    nothing = np.zeros_like(context)
    points = Points(CONTEXTS, names, context, candidate, nothing, nothing)
    mean = np.array([[0.1 * c.log2_size] * len(names) for c in CONTEXTS])
    return Sizes(kernel, points, mean, np.ones(len(CONTEXTS), dtype=bool))


def errors(of: Sizes) -> tuple[Floats, Floats]:
    """The smallest size was expected to be as fast as the larger ones promise."""
    loses = np.array([name != SCALAR for name in of.points.candidates])[of.points.candidate]
    error = np.where(loses & (of.points.context == 0), LOSS, 0.0)
    return error, np.full(len(error), 0.4)


def learned() -> tuple[list[Sizes], Correction]:
    known = [sizes(kernel) for kernel in MANIFEST.kernels.values()]
    frame = Frame.of((of.kernel, CONTEXTS[0], ENGINE, SCALAR) for of in known)
    return known, Correction.of(known, [errors(of) for of in known], Features.of(frame), ENGINE)


def test_what_kernels_lose_at_their_smallest_size_is_expected_of_an_unmeasured_one() -> None:
    known, correction = learned()
    asked = replace(known[0], measured=np.array([False, True, True, True]))
    added = correction.table(asked)
    scalar = known[0].points.candidates.index(SCALAR)
    assert np.all(np.delete(added[0], scalar) < 0.6 * LOSS)
    assert added[0, scalar] > 0.4 * LOSS
    np.testing.assert_array_equal(added[1:], 0.0)  # where the call was measured


def test_a_size_between_measured_ones_is_not_taken_for_the_smallest() -> None:
    known, correction = learned()
    asked = replace(known[0], measured=np.array([True, False, True, True]))
    assert np.abs(correction.table(asked)[1]).max() < 0.25 * abs(LOSS)


def test_intervals_are_calibrated_on_what_other_kernels_could_correct() -> None:
    known, correction = learned()
    alike = correction.scale
    rng = np.random.default_rng(0)
    wild = [(rng.normal(0, 2, len(of.points)), np.full(len(of.points), 0.4)) for of in known]
    other = Correction.of(known, wild, correction.features, ENGINE).scale
    assert UNSEEN_SCALE[0] <= alike < other <= UNSEEN_SCALE[1]


def test_one_kernel_alone_is_not_an_error() -> None:
    known, correction = learned()
    alone = Correction.of(known[:1], [errors(known[0])], correction.features, ENGINE)
    assert np.isfinite(alone.table(known[0])).all()


def test_predictions_of_measured_calls_do_not_change(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    train = next(iter(strict_context(lab_rows(LAB, MANIFEST), 0))).train
    after = fit(train, seed=0, version=1)[0].predict_frame(train.frame)
    monkeypatch.setattr(wide_rows.Grid, "corrected", lambda grid, *_: grid)
    before = fit(train, seed=0, version=1)[0].predict_frame(train.frame)
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.sd, before.sd)
