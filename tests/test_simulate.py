"""The simulated fleet: quality rises with reports, the original scheme does not, attackers are contained."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests import tiny
from tests.synthetic import ENGINES, catalogue, measured

from fleetune_research.commands.simulate import lines, recorded, run_simulation
from fleetune_research.fleet.job import Truth, registered, summary
from fleetune_research.fleet.plan import planned
from fleetune_research.fleet.plot import chart
from fleetune_research.fleet.scenarios import attackers, evolution, individual, time_to_expertise
from fleetune_research.fleet.simulate import Fleet, original_scheme, schedule
from fleetune_research.fleet.world import ALIKE, Parameters, World, build

MANIFEST = catalogue(6, sizes=(16, 1024, 65536))
LAB = measured(MANIFEST, ENGINES[:3])


def silent(_text: str) -> None:
    """No progress."""


@cache
def world() -> World:
    """Of machines that are nearly alike: what is learned there in few reports, and by how much, is known."""
    return build(LAB, replace(ALIKE, zipf=1.0), seed=1)


def test_the_fleet_is_drawn_around_the_lab_and_the_same_for_a_seed() -> None:
    again = build(LAB, replace(ALIKE, zipf=1.0), seed=1)
    np.testing.assert_array_equal(world().truth, again.truth)
    assert len(world().environment_share) == 12
    assert world().traffic.sum() == pytest.approx(1)
    assert not np.array_equal(world().truth, build(LAB, replace(ALIKE, zipf=1.0), seed=2).truth)


def test_machines_differ_most_in_vector_instructions_and_arm_from_x86() -> None:
    here = build(LAB, Parameters(), seed=1)
    f = here.frame
    plain = here.machine() == Parameters().machine_plain
    vector = np.array(["vectorization" in name for name in f.candidates])[f.candidate]
    assert (plain != vector).all()
    rng = np.random.default_rng(0)
    apart = np.abs(np.mean([np.abs(here.device(rng) - here.device(rng)) for _ in range(20)], axis=0))
    assert 0.3 < apart[vector].mean() < 0.5, "ln speedup between two machines"
    assert apart[~vector].mean() < 0.2
    alike = build(LAB, replace(Parameters(), arch_vector=0.0, arch_plain=0.0), seed=1)
    moved = here.truth != alike.truth
    arm = np.array([e.arch == "arm" for e in f.environments])[f.environment]
    assert (moved == arm).all(), "the lab is x86"


def test_a_plan_asks_where_knowing_may_change_the_choice() -> None:
    fleet = Fleet(world(), MANIFEST, LAB)
    fleet.round(500)
    here = world().frame.kernel == 0
    share = planned(fleet, here)
    assert share.sum() == pytest.approx(1)
    assert not share[~here].any()
    answer, contexts = fleet.predictions()
    group = np.flatnonzero(
        contexts.group == contexts.group[np.flatnonzero(contexts.source == np.argmax(share))]
    )
    asked = share[contexts.source[group][1:]]
    assert np.argmin(answer.mean[group][1:]) != np.argmax(asked), "never what is surely slowest"


@pytest.mark.parametrize("seeded", [True, False])
def test_quality_rises_with_reports(seeded: bool) -> None:
    lab = LAB if seeded else LAB.take(np.zeros(len(LAB), dtype=bool))
    fleet = Fleet(world(), MANIFEST, lab)
    scores = []
    for count in (500, 4500, 45_000):
        fleet.round(count)
        scores.append(fleet.score())
    assert scores[0]["mae"] > scores[1]["mae"] > scores[2]["mae"]
    assert scores[2]["accuracy"] > (0.93 if seeded else 0.85)
    assert scores[2]["coverage"] > scores[0]["coverage"]
    assert fleet.version >= 2


def test_the_original_scheme_is_far_worse_at_the_same_number_of_reports() -> None:
    fleet = Fleet(world(), MANIFEST, LAB)
    fleet.round(10_000)
    assert original_scheme(world(), 10_000, 0)["accuracy"] < fleet.score()["accuracy"] - 0.3


def test_together_beats_alone_on_kernels_never_run() -> None:
    fleet = Fleet(world(), MANIFEST, LAB)
    fleet.round(20_000)
    world_parameters = fleet.world.parameters
    fleet.world = World(
        fleet.world.rows,
        fleet.world.traffic,
        fleet.world.environment_share,
        Parameters(**{**vars(world_parameters), "kernels_per_user": 2}),
    )
    (row,) = individual(fleet, 3, [50], seed=0)
    assert row["together_accuracy_never"] > row["alone_accuracy_never"] + 0.3
    assert row["together_accuracy_used"] >= row["alone_accuracy_used"]


def test_newcomers_are_learnt_after_they_arrive() -> None:
    story = evolution(world(), MANIFEST, LAB, 2.0, 0, 6000, silent)
    assert set(story) == {"before", "new_engine_version", "new_variant", "new_kernel"}
    for name in ("new_engine_version", "new_variant", "new_kernel"):
        assert story[name][-1]["mae"] < story[name][0]["mae"]
    assert story["new_kernel"][-1]["mae"] < story["new_kernel"][0]["mae"] / 2


def test_one_in_ten_forged_reports_does_not_ruin_the_fleet() -> None:
    rows = attackers(world(), MANIFEST, LAB, 2.0, 0, 6000, silent)
    clean = rows[0]
    assert [row["share"] for row in rows] == [0, 0.01, 0.01, 0.05, 0.05, 0.1, 0.1]
    for row in rows[1:]:
        assert row["regret"] < clean["regret"] + 0.02
        assert row["target_regret"] < clean["target_regret"] + 0.05


def test_time_to_expertise_interpolates_and_admits_never() -> None:
    curve = [{"reports": 100.0, "accuracy": 0.5}, {"reports": 10_000.0, "accuracy": 0.9}]
    assert time_to_expertise(curve, 0.7, 10) == pytest.approx(100)
    assert time_to_expertise(curve, 0.95, 10) is None


def test_the_schedule_ends_at_the_total_and_grows() -> None:
    points = schedule(10_000)
    assert points[-1] == 10_000
    assert points == sorted(set(points))


def test_the_command_prints_the_table_and_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    args = Namespace(users="10,100", days=20.0, epsilon=2.0, seed=0, scale=1000, only_table=True)
    result = run_simulation(args, MANIFEST, LAB)
    assert [row["samples"] for row in result["table"]] == [200, 2000]
    json.dumps(result)
    shown = recorded(result)["curve"]
    assert [point["reports"] for point in shown] == sorted(point["reports"] for point in shown)
    json.dumps(shown, allow_nan=False)  # a browser reads it
    text = "\n".join(lines(result))
    assert "original scheme" in text
    assert "reports: accuracy" in capsys.readouterr().err


def test_the_chart_is_an_svg_with_a_line_for_every_series(tmp_path: Path) -> None:
    file = tmp_path / "out.svg"
    file.write_text(chart("Accuracy", {"a": [(10, 0.5), (1000, 0.9)], "b & c": [(10, -0.5)]}, "y"))
    root = ET.fromstring(file.read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    with pytest.raises(ValueError, match="nothing"):
        chart("Empty", {"a": []}, "y")


def test_a_simulated_job_differs_by_engine_and_size_and_the_worst_world_is_told() -> None:
    _, job = registered(tiny.manifest())
    one, again = Truth.draw(job, 1), Truth.draw(job, 1)
    assert np.array_equal(one.reported.truth, again.reported.truth)
    contexts = one.reported.contexts()
    best = {contexts.frame.candidates[i] for i in contexts.frame.candidate[contexts.best()]}
    assert len(best) > 1, "no implementation wins everywhere"
    reported, silent = (set(world.frame.environments) for world in (one.reported, one.silent))
    assert not reported & silent
    worlds: list[dict[str, float | None]] = [
        {"reports_needed": needed, "first_guess": share, "first_guess_silent": share}
        for needed, share in ((200, 0.99), (300, 0.97))
    ]
    told = summary(worlds)
    assert (told["reports_needed_per_environment"], told["first_guess_percent_of_oracle"]) == (300, 0.97)
    worlds[0]["reports_needed"] = None
    assert summary(worlds)["reports_needed_per_environment"] is None
