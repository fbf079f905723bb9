"""`/regressions`: what surely became slower or faster from one version of an engine to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from fleetune_server.http.pages import function_words
from fleetune_server.http.pages.document import Document, table
from fleetune_server.http.pages.functions import Known, navigation
from fleetune_server.http.pages.public_words import count, date, percent, place_name, say
from fleetune_server.training.public import Place
from fleetune_server.training.regressions import Change

COLUMNS = ("engine", "function", "build", "change", "reports", "since")


@dataclass(frozen=True)
class Seen:
    """A change as it was when it first was sure, and the model version of that moment."""

    change: Change
    version: int
    created: float  # Unix seconds, of that version

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Seen:
        return cls(Change(**row["change"]), row["version"], row["created"])


def render(known: Known, seen: Sequence[Seen], language: str) -> str:
    """The page, newest changes first."""
    lead = say(language, "changes.lead")
    page = Document(
        language,
        say(language, "changes.title"),
        description=lead,
        own="regressions",
        nav=navigation(language, "./"),
    )
    title = say(language, "changes.table")
    head = [say(language, f"changes.{column}") for column in COLUMNS]
    listed = (
        table(title, head, (_row(known, one, language) for one in seen))
        if seen
        else f'<p class="notice">{say(language, "changes.none")}</p>'
    )
    paragraphs = "".join(f"<p>{escape(say(language, key))}</p>" for key in ("changes.sure", "changes.power"))
    model = say(language, "model", version=known.version, date=date(known.created))
    return page.html(f"""<section>
<h1>{escape(page.title)}</h1>
<p class="lead">{escape(lead)}</p>
{listed}
<p class="hint">{model}</p>
</section>
<section><h2>{say(language, "changes.how")}</h2>
{paragraphs}
</section>""")


def _row(known: Known, seen: Seen, language: str) -> str:
    one = seen.change
    place = Place(one.browser, one.after, one.simd, one.relaxed_simd)
    kernel = known.manifest.by_signature.get(one.signature)
    if kernel and kernel.job:  # it has no page of its own
        function = escape(kernel.name)
    elif kernel:
        function = f'<a href="functions/{quote(kernel.name)}?lang={language}">{escape(kernel.name)}</a>'
    else:
        function = say(language, "changes.gone" if one.signature else "changes.every")
    if one.level == "build":
        words = function_words.build(kernel, one.part, language) if kernel else one.part
        build = f'<span title="{escape(one.part)}">{escape(words)}</span>'
    elif one.level == "optimisation":
        words = say(language, "changes.with", part=function_words.optimisation(one.part, language))
        build = f'<span title="{escape(one.part)}">{escape(words)}</span>'
    else:
        build = say(language, "changes.all")
    figure, low, high = (percent(math.expm1(value), language) for value in (one.change, one.low, one.high))
    verdict = say(language, "changes.slower" if one.change < 0 else "changes.faster")
    between = say(language, "changes.between", low=low, high=high)
    reports = say(
        language,
        "changes.counts",
        after=count(one.reports, language),
        before=count(one.reports_before, language),
    )
    since = f"{say(language, 'changes.version', version=seen.version)} <small>{date(seen.created)}</small>"
    engine = say(language, "changes.from", place=place_name(place, language), before=one.before)
    return (
        f'<tr><th scope="row">{escape(engine)}</th><td>{function}</td><td>{build}</td>'
        f"<td>{verdict} <strong>{figure}</strong><small>{between}</small></td><td>{reports}</td><td>{since}</td></tr>"
    )
