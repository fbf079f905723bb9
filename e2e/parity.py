"""The parity table: which journey passes in which engine and mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- parity: written by `pytest e2e --parity` -->", "<!-- end of parity -->"


@dataclass(frozen=True)
class Outcome:
    """One journey's test in one engine and mode."""

    journey: str
    engine: str
    version: str
    mode: str
    passed: bool
    seconds: float


@dataclass
class Parity:
    """Outcomes of a run."""

    outcomes: list[Outcome] = field(default_factory=list)

    def table(self) -> Iterator[str]:
        """Markdown: a row per engine and mode, a column per journey: passed / run and seconds."""
        journeys = sorted({outcome.journey for outcome in self.outcomes})
        yield f"| engine | version | mode | {' | '.join(journeys)} |"
        yield "|" + " --- |" * (len(journeys) + 3)
        for engine, mode in sorted({(o.engine, o.mode) for o in self.outcomes}):
            versions = {o.version for o in self.outcomes if o.engine == engine} - {"?"}
            cells = []
            for journey in journeys:
                own = [o for o in self.outcomes if (o.journey, o.engine, o.mode) == (journey, engine, mode)]
                passed = sum(o.passed for o in own)
                cells.append(f"{passed}/{len(own)}, {sum(o.seconds for o in own):.0f} s" if own else "")
            yield f"| {engine} | {', '.join(sorted(versions)) or '?'} | {mode} | {' | '.join(cells)} |"

    def write(self, readme: Path) -> None:
        """Replace the table between the markers of `readme`."""
        text = readme.read_text()
        head, rest = text.split(BEGIN)
        _, tail = rest.split(END)
        readme.write_text(f"{head}{BEGIN}\n" + "\n".join(self.table()) + f"\n{END}{tail}")
