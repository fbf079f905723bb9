"""Changes between versions of an engine: planted ones are found soon, and none is seen where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests import tiny
from tests.test_exports import world
from tests.test_function_pages import known
from tests.test_privacy_page import Page

from fleetune.context import Context, Environment
from fleetune.privacy import mechanism
from fleetune_research.fleet.simulate import draw_many, fold_symbols
from fleetune_server.http.pages import changes as changes_page
from fleetune_server.http.pages.changes import Seen
from fleetune_server.http.pages.document import LANGUAGES
from fleetune_server.store.base import Cell, CellSum
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.regressions import CONFIDENCE, LEAST, Change, _radius, changes

Floats = NDArray[np.float64]
HERE = Environment("firefox", 100, "windows", True, True, False, "8-15")
BUILDS = (
    "js-tuned",
    "scalar",
    "inlining",
    "loopUnrolling",
    "tiling",
    "inlining+loopUnrolling",
    "vectorization",
    "inlining+vectorization",
    "loopUnrolling+vectorization",
    "relaxedSimd+vectorization",
)
SIMD = np.array(["vectorization" in build for build in BUILDS])
SLOWER = float(np.log(0.8))
CLIP, OLD_CLIP = 0.5, 0.2  # of a version that the model does not know yet, and of one that it knows well
LOOK = 250  # reports between two looks


@dataclass
class Fleet:
    """People with one engine: true speedups of functions × builds, and a model that knows them roughly."""

    seed: int
    functions: int = 28
    rng: np.random.Generator = field(init=False)
    truth: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.truth = self.rng.normal(0.7, 0.5, (self.functions, len(BUILDS)))
        self.model = self.truth + self.rng.normal(0, 0.05, self.truth.shape)

    def reports(
        self,
        environment: Environment,
        count: int,
        round_: int,
        clip: float,
        planted: Floats | float = 0.0,
        share: Floats | None = None,
    ) -> list[CellSum]:
        """Noised reports of random functions (with these shares) and builds; devices differ by 8 %."""
        function = self.rng.choice(self.functions, count, p=share)
        build = self.rng.integers(0, len(BUILDS), count)
        real = (self.truth + planted)[function, build] + self.rng.normal(0, 0.08, count)
        residual = np.clip((real - self.model[function, build]) / clip, -1, 1)
        width = len(BUILDS)
        n, total, squares = fold_symbols(
            function * width + build, draw_many(mechanism(2.0), residual, self.rng), self.truth.size
        )
        return [
            CellSum(
                Cell(
                    f"{i // width:032x}",
                    Context(12, "f32", "random"),
                    environment,
                    BUILDS[i % width],
                    round_,
                    2.0,
                    clip,
                    float(self.model[i // width, i % width]),
                ),
                False,
                int(n[i]),
                int(total[i]),
                int(squares[i]),
            )
            for i in np.flatnonzero(n).tolist()
        ]


def first_seen(
    fleet: Fleet, planted: Floats | float, most: int, share: Floats | None = None, look: int = LOOK
) -> tuple[int, list[Change]]:
    """After how many reports of the newer version anything was said, and what; (0, []) if nothing was."""
    rows = fleet.reports(HERE, 20_000, 1, OLD_CLIP, share=share)
    newer = replace(HERE, version=101)
    for count in range(look, most + 1, look):
        rows += fleet.reports(newer, look, 2 + count // 1000, CLIP, planted, share)
        if found := changes(rows):
            return count, found
    return 0, []


@pytest.mark.parametrize("seed", range(4))
def test_a_fifth_slower_simd_is_flagged_within_2000_reports_of_the_version(seed: int) -> None:
    fleet = Fleet(seed)
    count, found = first_seen(fleet, np.where(SIMD, SLOWER, 0.0)[None, :], 2000)
    assert 0 < count <= 2000
    simd = next(one for one in found if one.part == "vectorization" and not one.signature)
    assert (simd.before, simd.after, simd.level) == (100, 101, "optimisation")
    assert simd.low < SLOWER < simd.high < 0


@pytest.mark.parametrize("seed", range(4))
def test_one_function_a_fifth_slower_is_flagged_once_about_200_reports_are_about_it(seed: int) -> None:
    planted, share = np.zeros((28, len(BUILDS))), np.full(28, 0.9 / 27)
    planted[3], share[3] = SLOWER, 0.1
    count, found = first_seen(Fleet(seed), planted, 2500, share)
    assert 0 < count <= 2500
    assert {one.signature for one in found} == {f"{3:032x}"}
    assert all(np.expm1(one.change) < -LEAST for one in found)


def test_one_cause_is_told_of_once() -> None:
    """With many reports a slower function shows in the function, in each of its builds, and in what these have."""
    fleet, planted = Fleet(11), np.zeros((28, len(BUILDS)))
    planted[3] = SLOWER
    newer = fleet.reports(replace(HERE, version=101), 60_000, 2, CLIP, planted)
    (found,) = changes([*fleet.reports(HERE, 60_000, 1, OLD_CLIP), *newer])
    assert (found.level, found.signature) == ("function", f"{3:032x}")
    assert found.low < SLOWER < found.high


def test_what_is_known_is_not_found_again_in_another_form() -> None:
    fleet, planted = Fleet(12), np.where(SIMD, SLOWER, 0.0)[None, :]
    _, known_changes = first_seen(fleet, planted, 2000)
    newer = fleet.reports(replace(HERE, version=101), 60_000, 2, CLIP, planted)
    rows = [*fleet.reports(HERE, 60_000, 1, OLD_CLIP), *newer]
    assert changes(rows)
    assert changes(rows, known_changes) == []
    elsewhere = [replace(one, browser="webkit") for one in known_changes]
    assert changes(rows, elsewhere) == changes(rows)


def test_a_year_without_changes_has_less_than_one_false_alarm_a_month() -> None:
    """13 versions of 3 engines, each looked at after every 1,000 of its 4,000 reports."""
    alarms = [
        first_seen(Fleet(100 + version, functions=12), 0.0, 4000, look=1000)[1] for version in range(3 * 13)
    ]
    assert sum(map(bool, alarms)) <= 3 * 13 * (1 - CONFIDENCE) + 1
    assert sum(map(len, alarms)) < 12


def test_the_bound_holds_at_all_times_at_once() -> None:
    """Random walks without drift leave it no more often than it says, however long they are watched."""
    steps = np.random.default_rng(7).normal(0, 1, (4000, 3000)) / 0.5  # each report has the information 1/4
    information = 0.25 * np.arange(1, steps.shape[1] + 1)
    mean = np.cumsum(steps, axis=1) / np.arange(1, steps.shape[1] + 1)
    radius = np.array([_radius(float(one), 0.05) for one in information])
    left = float(np.mean(np.any(np.abs(mean) > radius, axis=1)))
    fixed = float(np.mean(np.any(np.abs(mean) > 1.96 / np.sqrt(information), axis=1)))
    assert left <= 0.05
    assert fixed > 0.3, "what looking again and again does to an interval for one look"


def test_other_machines_in_the_newer_version_are_no_change() -> None:
    fleet = Fleet(5)
    phones = Fleet(6)  # where everything is different
    rows = [
        *fleet.reports(HERE, 10_000, 1, OLD_CLIP),
        *phones.reports(replace(HERE, os="android", cores="4-7"), 1_000, 1, OLD_CLIP),
        *fleet.reports(replace(HERE, version=101), 1_000, 2, CLIP),
        *phones.reports(replace(HERE, version=101, os="android", cores="4-7"), 10_000, 2, OLD_CLIP),
    ]
    assert changes(rows) == []


def test_few_reports_are_never_told_of() -> None:
    fleet = Fleet(8, functions=1)
    fleet.model = fleet.truth.copy()

    def said(count: int) -> Sequence[Change]:
        rows = fleet.reports(HERE, 20_000, 1, OLD_CLIP)
        newer = fleet.reports(replace(HERE, version=101), 1000, 2, 2.0, 1.5)[0]
        mean, spread = newer.total / newer.count, newer.squares / newer.count
        return changes(
            [*rows, replace(newer, count=count, total=round(mean * count), squares=round(spread * count))]
        )

    assert said(GROUP - 1) == []
    assert said(3 * GROUP)


CHANGE = Change(
    "firefox",
    True,
    True,
    153,
    154,
    "build",
    f"{0:032x}",
    "inlining+vectorization",
    -0.2,
    -0.35,
    -0.05,
    412,
    900,
)
SAID = {
    "en": (
        "Firefox 154 after 153",
        "slower: <strong>−18%",
        "(−30% to −5%)",
        "412 of the newer",
        "model version 9 <small>2027-01-15<",
        "faster: <strong>+22%",
        "all builds with: SIMD",
    ),
    "ru": (
        "Firefox 154 после 153",
        "медленнее: <strong>−18 %",
        "(от −30 % до −5 %)",
        "412 о новой",
        "модель версии 9 <small>2027-01-15<",
        "быстрее: <strong>+22 %",
        "все сборки, где есть: SIMD",
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_changed_by_how_much_and_since_which_version(language: str) -> None:
    here = known([])
    every = replace(
        CHANGE, level="optimisation", signature="", part="vectorization", change=0.2, low=0.1, high=0.3
    )
    seen = [Seen(CHANGE, 9, 1_800_000_000.0), Seen(every, 8, 1_700_000_000.0)]
    html = changes_page.render(here, seen, language)
    page = Page()
    page.feed(html)
    assert page.open == []
    assert not {"script", "style"} & set(page.tags)
    text = unescape(html).replace("\u00a0", " ")
    assert '<span title="inlining+vectorization">16 ' in text
    assert 'href="functions/kernel0?lang=' in text
    for part in SAID[language]:
        assert part in text
    assert "No sure change" not in html
    assert "No sure change" in changes_page.render(here, [], "en")


async def test_a_change_stays_as_it_was_when_it_first_was_sure(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        old, new = tiny.ENVIRONMENT, replace(tiny.ENVIRONMENT, version=154)
        await here.report(200, environment=old, low=20, high=63)
        await here.report(200, environment=new, low=0, high=43)
        first = (await here.http.get("/regressions")).text
        assert "Firefox 154 after 153" in first
        assert "model version 1 " in first
        await here.report(200, environment=new, low=0, high=43)
        here.public._key = ("", 2)  # as if a version was published since
        assert (await here.http.get("/regressions")).text == first
    async with world(tmp_path) as here:  # nor does a restart change it
        assert (await here.http.get("/regressions")).text == first
