"""How a function's choices changed: an entry when another build is chosen, kept over a restart, in both languages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from tests.learning_world import MANIFEST
from tests.test_exports import world
from tests.test_function_pages import known

from fleetune_server.http.pages import functions as function_pages
from fleetune_server.http.pages.functions import KEPT_TURNS, Turn, middle, turned
from fleetune_server.training.public import Answer, Place

DAY = 86_400
NAME = next(iter(MANIFEST.kernels))
KERNEL = MANIFEST.kernels[NAME]
FIRST = known([])
CHOSEN = middle(FIRST.answers[NAME])
HERE, THERE = CHOSEN[0].place, CHOSEN[1].place


def answered(**candidates: str) -> dict[str, list[Answer]]:
    """What is chosen now: `here` and `there`, in two kinds of browser."""
    places = {"here": CHOSEN[0], "there": CHOSEN[1]}
    rows = [replace(places[key], candidate=name) for key, name in candidates.items()]
    return {KERNEL.signature: rows}


def told(turns: list[Turn]) -> list[tuple[int, Place, str]]:
    return [(turn.version, turn.place, turn.candidate) for turn in turns]


def test_an_entry_is_added_when_another_build_is_chosen_and_only_then() -> None:
    turns = turned([], answered(here="scalar", there="js"), 1, 0.0)
    turns = turned(turns, answered(here="scalar", there="js"), 2, DAY)
    assert told(turns) == [(1, HERE, "scalar"), (1, THERE, "js")]
    turns = turned(turns, answered(here="vectorization", there="js"), 3, 2 * DAY)
    turns = turned(turns, answered(there="js"), 4, 3 * DAY)  # nobody tells of `here` today
    turns = turned(turns, answered(here="scalar"), 5, 4 * DAY)
    assert told(turns) == [
        (5, HERE, "scalar"),
        (3, HERE, "vectorization"),
        (1, HERE, "scalar"),
        (1, THERE, "js"),
    ]
    assert [turn.published for turn in turns] == [4 * DAY, 2 * DAY, 0.0, 0.0]
    assert [Turn.from_row(row) for row in json.loads(json.dumps([turn.to_row() for turn in turns]))] == turns


def test_a_choice_that_wavers_for_years_takes_no_more_room() -> None:
    turns = turned([], answered(there="js"), 1, 0.0)
    for version in range(2, 5 * KEPT_TURNS):
        turns = turned(turns, answered(here=("scalar", "js")[version % 2]), version, 0.0)
    assert [turn.version for turn in turns] == [*range(5 * KEPT_TURNS - 1, 4 * KEPT_TURNS - 1, -1), 1]


def test_the_page_lists_them_newest_first_in_both_languages_and_not_those_of_a_function_of_old() -> None:
    first = turned([], {KERNEL.signature: CHOSEN, "ff" * 16: CHOSEN}, 1, 0.0)
    other = "js" if CHOSEN[0].candidate != "js" else "scalar"
    turns = turned(first, answered(here=other), 2, 10 * DAY)
    for language, title in (("en", "How the choice changed"), ("ru", "Как менялся выбор")):
        page = function_pages.function(replace(FIRST, turns=turns), NAME, language)
        section = page[page.index(f"<h2>{title}</h2>") :].partition("</section>")[0]
        days = re.findall(r'<th scope="row">(.*?)</th>', section)
        assert days == ["1970-01-11", *["1970-01-01"] * len(CHOSEN)]
        assert re.findall(r'<span title="(.*?)">', section)[0] == other
        assert f"<td>{2}</td>" in section
    assert title not in function_pages.function(FIRST, NAME, language), "nothing was published yet"


async def test_a_server_remembers_what_it_chose(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        shown = (await here.http.get("/functions/dot?lang=en")).text
        published = here.state.library.records[here.state.library.stable].created
    assert "How the choice changed" in shown
    kept = tmp_path / "data" / "exports" / "choices.json"
    rows = json.loads(kept.read_text())
    assert {row["published"] for row in rows} == {published}
    for row in rows:
        row["candidate"] = "branchless"  # an earlier version's choice
        row["version"] = 0
    kept.write_text(json.dumps(rows))
    async with world(tmp_path) as here:
        again = (await here.http.get("/functions/dot?lang=en")).text
    section = again[again.index("How the choice changed") :]
    assert 'title="branchless"' in section
    assert section.index("<td>1</td>") < section.index("<td>0</td>")
