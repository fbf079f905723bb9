"""The parity table: which journey passes in which engine and mode."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from e2e.engines import JOURNEY_ENGINES

BEGIN, END = "<!-- parity: written by `pytest e2e --parity` -->", "<!-- end of parity -->"
MODES = {"isolated": 1, "plain": 0}  # cross-origin isolation of our own pages
Place = tuple[str, str]  # engine, mode
_PLACE = re.compile(rf"\[(.+?)-({'|'.join(MODES)})")


def place_of(test: str) -> Place | None:
    """The place in a test's name; None without a browser."""
    found = _PLACE.search(test)
    return (found[1], found[2]) if found else None


@dataclass(frozen=True)
class Outcome:
    """One journey's test in one engine and mode."""

    journey: str
    engine: str
    version: str
    mode: str
    passed: bool
    seconds: float
    deep: bool = False

    @property
    def place(self) -> Place:
        return self.engine, self.mode


@dataclass
class Parity:
    """Outcomes of a run."""

    outcomes: list[Outcome] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Markdown: journeys × engines (passed/run, seconds), then deep extras and further environments."""
        main = [outcome for outcome in self.outcomes if outcome.engine in JOURNEY_ENGINES]
        yield from _table("journey", [outcome for outcome in main if not outcome.deep])
        for title, rest in (
            ("deep extra", [outcome for outcome in main if outcome.deep]),
            ("further environment", [o for o in self.outcomes if o.engine not in JOURNEY_ENGINES]),
        ):
            if rest:
                yield ""
                yield from _table(title, rest)
        yield ""
        spent = {place[0]: 0.0 for place in _places(self.outcomes)}
        for outcome in self.outcomes:
            spent[outcome.engine] += outcome.seconds
        versions = {outcome.engine: outcome.version for outcome in self.outcomes if outcome.version != "?"}
        told = (
            f"{engine} {versions.get(engine, '?')} ({seconds:.0f} s)" for engine, seconds in spent.items()
        )
        yield f"Versions, and seconds in their tests: {', '.join(told)}."

    def deep(self) -> str:
        """Where deep extras ran: "chromium (41 tests)"; empty if none did."""
        engines = [outcome.engine for outcome in self.outcomes if outcome.deep]
        return ", ".join(f"{name} ({engines.count(name)} tests)" for name in dict.fromkeys(engines))

    def write(self, readme: Path) -> None:
        """Replace the table between the markers of `readme`."""
        text = readme.read_text()
        head, rest = text.split(BEGIN)
        _, tail = rest.split(END)
        readme.write_text(f"{head}{BEGIN}\n" + "\n".join(self.lines()) + f"\n{END}{tail}")


def _places(outcomes: Iterable[Outcome]) -> list[Place]:
    """Where they ran: the main engine of a family first, isolated before plain."""
    return sorted({outcome.place for outcome in outcomes})


def _table(title: str, outcomes: list[Outcome]) -> Iterator[str]:
    places = _places(outcomes)
    yield f"| {title} | {' | '.join(f'{engine}, {mode}' for engine, mode in places)} |"
    yield "|" + " --- |" * (len(places) + 1)
    for journey in sorted({outcome.journey for outcome in outcomes}):
        cells = []
        for place in places:
            own = [o for o in outcomes if o.journey == journey and o.place == place]
            passed = sum(o.passed for o in own)
            cells.append(f"{passed}/{len(own)}, {sum(o.seconds for o in own):.0f} s" if own else "")
        yield f"| {journey} | {' | '.join(cells)} |"
