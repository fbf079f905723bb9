"""`/functions` and `/functions/<name>`: which build is chosen in which engine and size, and how that changed.

Pages without scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from fleetune.manifest import Kernel, Manifest
from fleetune.proof import in_words
from fleetune_server.http.pages import function_words
from fleetune_server.http.pages.document import Document, table
from fleetune_server.http.pages.function_chart import cell, chart
from fleetune_server.http.pages.public_words import count, date, place_name, say, times
from fleetune_server.training.aggregate import GROUP
from fleetune_server.training.public import Answer, Place

KEPT_TURNS = 24  # entries of one function and kind of browser
MOST_QUERY = 60  # characters of a question that are looked at


@dataclass(frozen=True)
class Known:
    """What the pages of one published version tell."""

    manifest: Manifest
    catalogue: frozenset[str]  # the kernels that are not an operator's own
    version: int
    created: float  # Unix seconds
    answers: Mapping[str, Sequence[Answer]]  # by kernel
    reports: Mapping[str, int]  # about each kernel, no single one to be seen
    turns: Sequence[Turn] = ()  # how the choices changed, the newest first


def navigation(language: str, root: str) -> list[tuple[str, str]]:
    """Links between the public pages; the language stays."""
    pages = ("functions", "data/", "regressions", "privacy")
    keys = ("nav.functions", "nav.data", "nav.changes", "nav.privacy")
    return [
        (f"{root}{page}?lang={language}", say(language, key)) for page, key in zip(pages, keys, strict=True)
    ]


class Listing:
    """The list of functions in one language. Its rows are made once; a question only picks among them."""

    def __init__(self, known: Known, language: str) -> None:
        self.known, self.language = known, language
        names = sorted(known.manifest.kernels)
        self._words = {
            name: f" {' '.join(function_words.findable(known.manifest.kernels[name]))}".casefold()
            for name in names
        }
        places = _newest({row.place for name in names for row in known.answers[name]})
        self._rows = {name: _row(known, name, places, language) for name in names}
        self._head = [say(language, "functions.function"), *(place_name(place, language) for place in places)]

    def found(self, query: str) -> list[str]:
        """The functions that a question asks for: each word of it begins a word that the function is known by."""
        words = query.casefold().split()
        return [name for name, known in self._words.items() if all(f" {word}" in known for word in words)]

    def html(self, query: str) -> str:
        """The page: all functions, or those that a question asks for."""
        language, query = self.language, " ".join(query[:MOST_QUERY].split())
        names = self.found(query)
        total = count(len(self._rows), language)
        key = "functions.found" if names else "functions.none"
        said = (
            say(language, key, query=query, count=count(len(names), language), total=total) if query else ""
        )
        lead = say(language, "functions.lead", count=total)
        page = Document(
            language,
            say(language, "functions.title"),
            description=lead,
            own="functions",
            nav=navigation(language, "./"),
        )
        rows = (self._rows[name] for name in names or self._rows)
        return page.html(f"""<section>
<h1>{page.title}</h1>
<p class="lead">{lead}</p>
<form class="search" action="functions" role="search"><input type="hidden" name="lang" value="{language}">
<label for="q">{say(language, "functions.search")}</label>
<input type="search" id="q" name="q" value="{escape(query)}" maxlength="{MOST_QUERY}">
<button>{say(language, "functions.find")}</button></form>
<p><a href="functions/new?lang={language}">{say(language, "functions.write")}</a></p>
<p role="status">{escape(said)}</p>
{table(say(language, "functions.table"), self._head, rows)}
<p class="hint">{say(language, "functions.hint")} {_model(self.known, language)}</p>
</section>
{_sources(language)}""")


def _row(known: Known, name: str, places: Sequence[Place], language: str) -> str:
    kernel = known.manifest.kernels[name]
    own = {row.place: row for row in middle(known.answers[name])}
    cells = "".join(
        f"<td>{cell(kernel, own[place], language) if place in own else ''}</td>" for place in places
    )
    return (
        f'<tr><th scope="row"><a href="functions/{quote(name)}?lang={language}">{escape(name)}</a>'
        f"<small>{escape(function_words.summary(kernel, language))}</small></th>{cells}</tr>"
    )


def _newest(places: set[Place]) -> list[Place]:
    """Of each engine the place that stands for it: the newest version with the most features."""
    best: dict[str, Place] = {}
    for place in places:
        known = best.get(place.browser)
        if known is None or (place.simd, place.version) > (known.simd, known.version):
            best[place.browser] = place
    return [best[browser] for browser in sorted(best)]


def middle(rows: Sequence[Answer]) -> list[Answer]:
    """The answers for the first kind of data at a middle size."""
    first = [row for row in rows if row.context.pattern == rows[0].context.pattern]
    sizes = sorted({row.size for row in first})
    return [row for row in first if row.size == sizes[len(sizes) // 2]]


def function(known: Known, name: str, language: str) -> str:
    """The page of one function."""
    kernel, rows = known.manifest.kernels[name], known.answers[name]
    summary = function_words.summary(kernel, language)
    usual = middle(rows)
    best = {place_name(row.place, language): row for row in usual}
    shown = "; ".join(
        f"{place}: {function_words.build(kernel, row.candidate, language)}, {times(row.speedup, language)}"
        for place, row in best.items()
    )
    page = Document(
        language,
        say(language, "function.title", name=name),
        "../",
        say(language, "function.description", summary=summary, best=shown),
        quote(name),
        navigation(language, "../"),
    )
    sections = []
    for number, pattern in enumerate(dict.fromkeys(context.pattern for *_, context in kernel.contexts())):
        sections.append(
            _pattern(kernel, [row for row in rows if row.context.pattern == pattern], language, number)
        )
    size = say(language, "function.size", count=count(usual[0].size, language))
    past = history(kernel, known.turns, usual[0].context.pattern, size, language)
    reports = known.reports.get(name, 0)
    key = "function.reported" if reports else "function.few"
    said = say(language, key, count=count(reports, language), least=GROUP)
    if reports and not any(row.source == "reports" for row in rows):
        said += " " + say(language, "function.thin", least=GROUP)
    own = "" if name in known.catalogue else f'<p class="notice">{say(language, "function.own")}</p>'
    main = f"""<section>
<p><a href="../functions?lang={language}">{say(language, "function.all")}</a></p>
<h1>{escape(page.title)}</h1>
<p class="lead">{escape(summary)}</p>{own}
<p>{_model(known, language)} {said}</p>
</section>
{"".join(sections)}
{proofs(kernel, language)}{past}{_sources(language)}"""
    return page.html(main)


def _pattern(kernel: Kernel, rows: Sequence[Answer], language: str, number: int) -> str:
    """Chart and table of one kind of data."""
    pattern = function_words.pattern(rows[0].context.pattern, language)
    sizes = sorted({row.size for row in rows})
    lines = []
    for place in sorted({row.place for row in rows}):
        by_size = {row.size: row for row in rows if row.place == place}
        cells = "".join(f"<td>{cell(kernel, by_size[size], language)}</td>" for size in sizes)
        lines.append(f'<tr><th scope="row">{escape(place_name(place, language))}</th>{cells}</tr>')
    elements = (say(language, "function.size", count=count(size, language)) for size in sizes)
    head = [say(language, "function.engine"), *elements]
    title = escape(say(language, "function.data", pattern=pattern))
    label = escape(say(language, "function.chart", pattern=pattern))
    drawn = chart(kernel, rows, language, number)
    return f"""<section>
<h2>{title}</h2>
<figure class="card"><div class="scroll" tabindex="0" role="region" aria-label="{label}">{drawn}</div></figure>
{table(say(language, "function.table", pattern=pattern), head, lines)}
</section>
"""


def _model(known: Known, language: str) -> str:
    return say(language, "model", version=known.version, date=date(known.created))


def _sources(language: str) -> str:
    text = say(language, "source.text", least=GROUP)
    return f"<section><h2>{say(language, 'source.title')}</h2><p>{text}</p></section>"


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

    `chosen`: by the function's signature, one answer for each kind of browser. The KEPT_TURNS newest entries stay.
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
        if counts[key] <= KEPT_TURNS:
            kept.append(turn)
    return kept


def history(kernel: Kernel, turns: Sequence[Turn], pattern: str, size: str, language: str) -> str:
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


def proofs(kernel: Kernel, language: str) -> str:
    """The verdict on each build, with N and what it assumes. Builds of an operator's own have none."""
    lines = [
        f'<tr><th scope="row">{escape(function_words.build(kernel, name, language))}</th>'
        f"<td>{escape(in_words(kernel, variant, language))}</td></tr>"
        for name, variant in kernel.variants.items()
    ]
    head = [say(language, key) for key in ("proofs.build", "proofs.verdict")]
    return f"""<section>
<h2>{say(language, "proofs.title")}</h2>
<p>{say(language, "proofs.text")}</p>
{table(say(language, "proofs.title"), head, lines, "proofs")}
</section>
"""
