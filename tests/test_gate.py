"""The gate lets improvements through and stops harm, even where an average would hide it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.learning_world import FLEET, LAB, MANIFEST, first, reports

from fleetune.model import Model
from fleetune_server.training.fit import Rows, fit
from fleetune_server.training.gate import GateVerdict, judge

PREVIOUS = Model.from_bytes(first().model)
HELDOUT = reports(PREVIOUS, 20_000, 5, heldout=1.0)


def trained(rows: Rows) -> Model:
    return fit(rows, seed=0, version=2, clip=0.35, init=PREVIOUS)[0]


def failed(verdict: GateVerdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_the_first_model_passes() -> None:
    assert judge(PREVIOUS, None, [], LAB, MANIFEST).accepted


def test_the_same_model_again_is_not_worse_but_has_not_improved() -> None:
    assert judge(PREVIOUS, PREVIOUS, HELDOUT, LAB, MANIFEST).accepted
    assert failed(judge(PREVIOUS, PREVIOUS, HELDOUT, LAB, MANIFEST, improve=True)) == {"heldout"}


def test_a_model_that_learnt_from_the_fleet_has_improved() -> None:
    better = trained(Rows.join([LAB, replace(FLEET, variance=np.full(len(FLEET), 0.02**2))]))
    verdict = judge(better, PREVIOUS, HELDOUT, LAB, MANIFEST, improve=True)
    assert "heldout" not in failed(verdict)
    assert "lab-error" not in failed(verdict)


def test_a_model_that_is_wrong_everywhere_is_refused_by_every_check() -> None:
    rng = np.random.default_rng(0)
    worse = trained(replace(LAB, target=LAB.target + rng.normal(0, 1.0, len(LAB))))
    verdict = judge(worse, PREVIOUS, HELDOUT, LAB, MANIFEST)
    assert failed(verdict) == {"heldout", "lab-error", "lab-loss", "movement"}
    assert not verdict.accepted
    assert len(verdict.reasons) == 4


def test_an_attack_on_one_context_is_caught_although_the_average_hardly_moves() -> None:
    f = LAB.frame
    place = (f.kernel == 2) & (f.context == f.context[f.kernel == 2][0]) & (f.environment == 1)
    names = np.array(f.candidates)[f.candidate]
    poisoned = replace(LAB, target=np.where(place & (names == "scalar"), LAB.target + 2.0, LAB.target))
    verdict = judge(trained(poisoned), PREVIOUS, HELDOUT, LAB, MANIFEST)
    assert {"lab-loss", "movement"} & failed(verdict)
    assert not verdict.accepted


def test_reasons_name_figures_and_places() -> None:
    verdict = judge(PREVIOUS, PREVIOUS, HELDOUT, LAB, MANIFEST)
    assert len(verdict.reasons) == 4
    assert any("held-out reports" in reason for reason in verdict.reasons)
    assert any("lab measurements" in reason for reason in verdict.reasons)


def test_few_held_out_reports_do_not_block_a_good_model() -> None:
    few = reports(PREVIOUS, 40, 6, heldout=1.0)
    assert judge(trained(LAB), PREVIOUS, few, LAB, MANIFEST).accepted
