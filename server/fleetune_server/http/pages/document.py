"""The frame of every page that is written here, its language, and the page of an address that leads nowhere.

Links are relative, for any prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fleetune_server.http.pages import policy

LANGUAGES = ("en", "ru")
NAMES: Mapping[str, str] = {"en": "English", "ru": "Русский"}
MISSING: Mapping[str, tuple[str, str]] = {
    "en": ("There is no such page", "Nothing is kept at {path} on this server."),
    "ru": ("Такой страницы нет", "По адресу {path} на этом сервере ничего нет."),
}


def language_of(request: Request) -> str:
    """`?lang=` if we have it, else the first of Accept-Language that we have, else English."""
    asked = request.query_params.get("lang")
    if asked in LANGUAGES:
        return asked
    for part in request.headers.get("accept-language", "").split(","):
        language = part.split(";")[0].strip().lower().split("-")[0]
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def headers_of(language: str) -> dict[str, str]:
    """The headers of a page in a language."""
    return {"cache-control": "no-cache", "vary": "accept-language", "content-language": language}


@dataclass(frozen=True)
class Document:
    """One page in one language. `root` leads from its address to the server's root."""

    language: str
    title: str
    root: str = "./"
    description: str = ""  # for search engines and previews; a page without one is not previewed
    own: str = "./"  # the page's own address, for the link to it in the other language
    nav: Sequence[tuple[str, str]] = ()  # (address, words)
    switch: bool = True  # whether there is a link to the other language
    script: str = ""  # a module below `root`

    def html(self, main: str, footer: str = "") -> str:
        """The whole page around the content of <main>."""
        return f"""<!doctype html>
<html lang="{self.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(self.title)}: Fleetune</title>
{self._preview()}<link rel="icon" href="{self.root}static/shared/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{self.root}static/shared/style.css">
{self._script()}</head>
<body>
<header class="top">
<a class="brand" href="{self.root}"><img src="{self.root}static/shared/icon.svg" alt="" width="28" height="28">
Fleetune</a>
{self._nav()}</header>
<main id="main">
{main}
</main>
{footer}</body>
</html>
"""

    def _script(self) -> str:
        return f'<script type="module" src="{self.root}{self.script}"></script>\n' if self.script else ""

    def _preview(self) -> str:
        """Open Graph (ogp.me): what others show of a link to this page."""
        if not self.description:
            return ""
        shown = {
            "og:type": "website",
            "og:site_name": "Fleetune",
            "og:title": self.title,
            "og:description": self.description,
            "og:image": f"{self.root}static/shared/card.png",
            "og:locale": {"en": "en_GB", "ru": "ru_RU"}[self.language],
        }
        lines = [f'<meta name="description" content="{escape(self.description)}">']
        lines += [f'<meta property="{key}" content="{escape(value)}">' for key, value in shown.items()]
        return "\n".join(lines) + "\n"

    def _nav(self) -> str:
        links = [f'<a href="{escape(address)}">{escape(words)}</a>' for address, words in self.nav]
        if self.switch:
            other = next(one for one in LANGUAGES if one != self.language)
            links.append(
                f'<a href="{self.own}?lang={other}" lang="{other}" hreflang="{other}">{NAMES[other]}</a>'
            )
        return '<nav aria-label="Fleetune">\n' + "\n".join(links) + "\n</nav>\n" if links else ""


def table(label: str, head: Sequence[str], rows: Iterable[str], kind: str = "answers") -> str:
    """A table that scrolls sideways on narrow screens, so it can be focused. `head` is text, `rows` are HTML."""
    name = escape(label)
    columns = "".join(f'<th scope="col">{escape(words)}</th>' for words in head)
    body = "\n".join(rows)
    return (
        f'<div class="card scroll" tabindex="0" role="region" aria-label="{name}">'
        f'<table class="{kind}" aria-label="{name}"><thead><tr>{columns}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def wants_page(request: Request) -> bool:
    """Whether a person's browser is going there: a GET that names HTML among what it takes."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def missing(request: Request) -> Response:
    """What a person sees at an address that leads nowhere, in their language; programs get the error as data."""
    language = language_of(request)
    root = "../" * (request.url.path.count("/") - 1) or "./"
    title, text = MISSING[language]
    page = Document(language, title, root, switch=False)
    html = page.html(f"""<section>
<h1>{title}</h1>
<p class="lead">{escape(text.format(path=request.url.path))}</p>
<p><a href="{root}">{policy.BACK[language]}</a></p>
</section>""")
    return HTMLResponse(html, status_code=404, headers={"vary": "accept, accept-language"})
