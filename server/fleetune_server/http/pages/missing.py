"""What a person sees at an address that leads nowhere; programs get the error as data."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fleetune_server.http.pages import policy
from fleetune_server.http.pages.document import Document, language_of

TITLE: Mapping[str, str] = {"en": "There is no such page", "ru": "Такой страницы нет"}
TEXT: Mapping[str, str] = {
    "en": "Nothing is kept at {path} on this server.",
    "ru": "По адресу {path} на этом сервере ничего нет.",
}


def wanted(request: Request) -> bool:
    """Whether a person's browser is going there: a GET that names HTML among what it takes."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def render(request: Request) -> Response:
    """The page, in the visitor's language; links are relative, so that it works behind any prefix."""
    language = language_of(request)
    root = "../" * (request.url.path.count("/") - 1) or "./"
    text = escape(TEXT[language].format(path=request.url.path))
    page = Document(language, TITLE[language], root, switch=False)
    html = page.html(f"""<section>
<h1>{TITLE[language]}</h1>
<p class="lead">{text}</p>
<p><a href="{root}">{policy.BACK[language]}</a></p>
</section>""")
    return HTMLResponse(html, status_code=404, headers={"vary": "accept, accept-language"})
