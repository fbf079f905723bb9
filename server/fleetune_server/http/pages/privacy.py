"""`/privacy`: the policy as a page without scripts, from the field table and settings that the code uses."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from fleetune import rating as feedback
from fleetune.fields import COVERS, FIELDS, HONESTY, NEVER_SENT, Field
from fleetune_server.http.pages import policy
from fleetune_server.http.pages.document import Document, headers_of, language_of
from fleetune_server.runtime import state_of
from fleetune_server.settings import Settings
from fleetune_server.training.aggregate import GROUP

# Promises that live in the browser's code; a test holds them to fleetune.app.consent and fleetune.app.ledger.
PROMISES: Mapping[str, Any] = {
    "epsilon": 2.0,
    "strict": 1.0,
    "per_day": 1,
    "cap": 60.0,
    "window": 30,
    "feedback_cap": 10,
    "feedback_epsilon": feedback.EPSILON,
}
# Not of the policy's words: another name is no reason to ask everyone again.
RUN_BY: Mapping[str, str] = {"en": "This server is run by {operator}.", "ru": "Этот сервер ведёт {operator}."}
NOBODY: Mapping[str, str] = {
    "en": "Whoever runs this server has not given a name.",
    "ru": "Тот, кто ведёт этот сервер, себя не назвал.",
}
GPC_UPDATED = "2026-11-23"


async def page(request: Request) -> Response:
    """The policy in `?lang=`, or in the language that the browser prefers."""
    language = language_of(request)
    html = render(language, state_of(request).settings)
    return HTMLResponse(html, headers=headers_of(language))


async def gpc(request: Request) -> Response:
    """`/.well-known/gpc.json`: this site honours Global Privacy Control."""
    return JSONResponse({"gpc": True, "lastUpdate": GPC_UPDATED})


def render(language: str, settings: Settings) -> str:
    """The whole page in one language."""
    numbers = _numbers(language, settings)
    page = Document(language, policy.TITLE[language], nav=[("./", policy.BACK[language])], own="")
    main = f"""<h1>{policy.TITLE[language]}</h1>
<p>{escape((RUN_BY if settings.operator else NOBODY)[language].format(operator=settings.operator))}</p>
{_sections(policy.INTRODUCTION[language], numbers)}
<section>
<h2 id="fields">{policy.FIELDS_TITLE[language]}</h2>
{_table(language)}
<h3>{policy.NEVER_TITLE[language]}</h3>
<ul class="notes">{"".join(f"<li>{escape(name)}</li>" for name in NEVER_SENT[language])}</ul>
</section>
{_sections(policy.SECTIONS[language], numbers)}"""
    revision = escape(policy.REVISION_TEXT[language].format(revision=policy.REVISION))
    return page.html(main, f"<footer><p>{revision}</p></footer>\n")


def _numbers(language: str, settings: Settings) -> dict[str, Any]:
    return {
        **PROMISES,
        "times": math.exp(PROMISES["epsilon"]),
        "strict_times": math.exp(PROMISES["strict"]),
        "honesty": HONESTY[language],
        "hold": policy.HOURS[language].format(hours=_hours(settings.hold_seconds)),
        "retention": settings.retention_days,
        "group": GROUP,
    }


def _sections(sections: tuple[tuple[str, tuple[str, ...]], ...], numbers: Mapping[str, Any]) -> str:
    return "\n".join(
        f"<section><h2>{escape(heading)}</h2>"
        + "".join(f"<p>{escape(paragraph.format(**numbers))}</p>" for paragraph in paragraphs)
        + "</section>"
        for heading, paragraphs in sections
    )


def _hours(seconds: float) -> float:
    """Rounded, but never to nothing."""
    return round(seconds / 3600, 1) or float(f"{seconds / 3600:.1g}")


def _marked(text: str) -> str:
    """Names of fields, which stand between backticks, as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))


def _table(language: str) -> str:
    """The field table; narrow screens show a row as a paragraph for each column, and roles keep it a table there."""
    columns = [escape(column) for column in policy.COLUMNS[language]]
    head = "".join(f'<th scope="col" role="columnheader">{column}</th>' for column in columns)

    def cells(field: Field) -> str:
        texts = (
            f"<code>{escape(field.example)}</code>", _marked(field.what[language]), _marked(field.why[language]),
            escape(COVERS[field.cover][language]),
        )  # fmt: skip
        return "".join(
            f'<td role="cell" data-column="{column}">{text}</td>'
            for column, text in zip(columns[1:], texts, strict=True)
        )

    rows = "\n".join(
        f'<tr role="row"><th scope="row" role="rowheader"><code>{escape(field.name).replace(".", ".<wbr>")}</code></th>'
        f"{cells(field)}</tr>"
        for field in FIELDS
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="fields">'
        '<table class="fields stacked" role="table" aria-labelledby="fields">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">{rows}</tbody></table></div>'
    )
