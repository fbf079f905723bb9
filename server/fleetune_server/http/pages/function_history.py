"""How the choices for a function changed: an entry for each published version that chose another build. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from fleetune.manifest import Kernel
from fleetune_server.http.pages import function_words
from fleetune_server.http.pages.document import table
from fleetune_server.http.pages.function_chart import cell
from fleetune_server.http.pages.public_words import date, place_name, say
from fleetune_server.training.public import Answer, Place

KEPT = 24  # entries of one function and kind of browser


@dataclass(frozen=True, slots=True)
class Turn:
    """From this version on, a build was chosen for a function in a kind of browser; the answer as it then was."""

    signature: str  # of the function
    place: Place
    candidate: str
    source: str
    reports: int
    speedup: float
    low: float
    high: float
    version: int
    published: float  # Unix seconds

    def to_row(self) -> dict[str, Any]:
        """As it is remembered."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Turn:
        """The same from a row."""
        return cls(**{**row, "place": Place(**row["place"])})


def turned(
    before: Iterable[Turn], chosen: Mapping[str, Iterable[Answer]], version: int, published: float
) -> list[Turn]:
    """`before`, the newest first, with an entry above it for every choice of `version` that is new.

    `chosen`: by the function's signature, one answer for each kind of browser. The KEPT newest entries stay.
    """
    turns = list(before)
    newest: dict[tuple[str, Place], str] = {}
    for turn in turns:
        newest.setdefault((turn.signature, turn.place), turn.candidate)
    fresh = [
        Turn(
            signature,
            one.place,
            one.candidate,
            one.source,
            one.reports,
            one.speedup,
            one.low,
            one.high,
            version,
            published,
        )
        for signature, rows in chosen.items()
        for one in rows
        if newest.get((signature, one.place)) != one.candidate
    ]
    kept: list[Turn] = []
    counts: dict[tuple[str, Place], int] = {}
    for turn in [*fresh, *turns]:
        key = turn.signature, turn.place
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= KEPT:
            kept.append(turn)
    return kept


def section(kernel: Kernel, turns: Sequence[Turn], pattern: str, size: str, language: str) -> str:
    """The part of a function's page; empty before anything was chosen. `size` is in words."""
    own = [turn for turn in turns if turn.signature == kernel.signature]
    if not own:
        return ""
    rows = (
        f'<tr><th scope="row">{date(turn.published)}</th>'
        f"<td>{escape(place_name(turn.place, language))}</td><td>{cell(kernel, turn, language)}</td>"
        f"<td>{turn.version}</td></tr>"
        for turn in own
    )
    head = [say(language, f"history.{key}") for key in ("since", "engine", "build", "version")]
    data = function_words.pattern(pattern, language)
    return f"""<section>
<h2>{say(language, "history.title")}</h2>
<p>{escape(say(language, "history.text", pattern=data, size=size))}</p>
{table(say(language, "history.title"), head, rows)}
</section>
"""
